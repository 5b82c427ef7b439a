"""Android's own commands: told from the phone's transcript, with what has changed since put in."""

from __future__ import annotations

import re

from tests.support.phone import apps
from tests.support.phone.interpreter import Process, Tool
from tests.support.phone.sandbox import HOME

_AWAKE = {"KEYCODE_WAKEUP", "WAKEUP", "224"}


def told(process: Process) -> int:
    """What the transcript says to these words; unknown to this phone if nothing."""
    answer = process.phone.transcript.answers.get(tuple(process.words))
    if answer is None:
        process.phone.unknown.append(" ".join(process.words))
        return process.complain("not in the transcript of this phone") + 126
    process.say(answer.stdout)
    process.wires.err(answer.stderr.encode("utf-8", "surrogateescape"))
    return answer.status


def getprop(process: Process) -> int:
    properties = process.phone.properties()
    if len(process.words) == 1:
        process.say("".join(f"[{name}]: [{value}]\n" for name, value in properties.items()))
        return 0
    default = process.words[2] if len(process.words) > 2 else ""
    process.say(properties.get(process.words[1], default) + "\n")
    return 0


def am(process: Process) -> int:
    status = apps.am(process)
    return told(process) if status is None else status


def pm(process: Process) -> int:
    status = apps.pm(process)
    return told(process) if status is None else status


def dumpsys(process: Process) -> int:
    if process.words[1:3] == ["activity", "exit-info"]:
        process.say(apps.exit_info(process.phone, process.words[3]) or "  \n")
        return 0
    answer = process.phone.transcript.answers.get(tuple(process.words))
    if answer is None or len(process.words) < 2:
        process.wires.err(f"Can't find service: {' '.join(process.words[1:])}\n".encode())
        return 0
    change = {
        "battery": _battery,
        "thermalservice": _thermal,
        "power": _power,
        "window": _window,
    }.get(process.words[1], lambda phone, text: text)
    process.say(change(process.phone, answer.stdout))
    process.wires.err(answer.stderr.encode())
    return answer.status


def _battery(phone, text: str) -> str:
    faults = phone.faults
    if faults.battery_percent is not None:
        text = re.sub(r"(?m)^(  level:) .*", rf"\1 {faults.battery_percent}", text)
    if faults.battery_celsius is not None:
        text = re.sub(r"(?m)^(  temperature:) .*", rf"\1 {faults.battery_celsius * 10:.0f}", text)
    if faults.charging is not None:
        powered = str(faults.charging).lower()
        text = re.sub(r"(?m)^(  USB powered:) .*", rf"\1 {powered}", text)
        text = re.sub(r"(?m)^(  (?:AC|Wireless) powered:) .*", r"\1 false", text)
        text = re.sub(r"(?m)^(  status:) .*", rf"\1 {2 if faults.charging else 3}", text)
    return text


def _thermal(phone, text: str) -> str:
    sequence = phone.faults.thermal
    if not sequence:
        return text
    status = sequence.pop(0) if len(sequence) > 1 else sequence[0]
    return re.sub(r"(?m)^(Thermal Status:) .*", rf"\1 {status}", text)


def _power(phone, text: str) -> str:
    screen = phone.screen_on
    if screen is not None:
        text = re.sub(r"mWakefulness=\w+", f"mWakefulness={'Awake' if screen else 'Asleep'}", text)
        text = re.sub(r"(Display Power: state=)\w+", rf"\g<1>{'ON' if screen else 'OFF'}", text)
    stay = phone.settings.get(("global", "stay_on_while_plugged_in"), "0")
    text = re.sub(r"(mStayOnWhilePluggedInSetting=)\d+", rf"\g<1>{stay}", text)
    return re.sub(r"(mStayOn=)\w+", rf"\g<1>{'false' if stay == '0' else 'true'}", text)


def _window(phone, text: str) -> str:
    if phone.faults.locked is None:
        return text
    shown = str(phone.faults.locked).lower()
    names = "mShowingLockscreen|mDreamingLockscreen|isStatusBarKeyguard|mKeyguardShowing|showing"
    return re.sub(rf"\b({names})=\w+", rf"\1={shown}", text)


def settings(process: Process) -> int:
    kept = process.phone.settings
    match process.words[1:]:
        case ["get", space, key]:
            process.say(kept.get((space, key), "null") + "\n")
        case ["put", space, key, value]:
            kept[space, key] = value
        case ["delete", space, key]:
            count = int(kept.pop((space, key), None) is not None)
            process.say(f"Deleted {count} rows\n")
        case _:
            return told(process)
    return 0


def svc(process: Process) -> int:
    match process.words[1:]:
        case ["power", "stayon", which]:
            values = {"true": "7", "false": "0", "ac": "1", "usb": "2", "wireless": "4"}
            if process.phone.transcript.api >= 33:
                values["true"] = "15"
            process.phone.settings["global", "stay_on_while_plugged_in"] = values[which]
            return 0
        case _:
            return told(process)


def input_(process: Process) -> int:
    match process.words[1:]:
        case ["keyevent", key]:
            if key in _AWAKE:
                process.phone.screen_on = True
                return 0
    return told(process)


def df(process: Process) -> int:
    """``df -k PATH``: the transcript's table with this phone's free space in it."""
    answer = process.phone.transcript.answers.get(("df", "-k", HOME))
    if answer is None or "-k" not in process.words:
        return told(process)
    *before, last = answer.stdout.rstrip("\n").splitlines()
    words = re.split(r"(\s+)", last)
    free = max(0, process.phone.storage_free - process.phone.sandbox.used()) // 1024
    total = int(words[2])
    # Padded as the transcript has it: the columns stay where they were.
    for at, value in ((4, max(total - free, 0)), (6, free)):
        words[at] = str(value).rjust(len(words[at]))
    process.say("\n".join([*before, "".join(words)]) + "\n")
    return 0


def logcat(process: Process) -> int:
    """``logcat -d`` in any of its forms: all the lines that the phone has."""
    if "-d" not in process.words and "-t" not in process.words:
        return told(process)
    process.say("--------- beginning of main\n" + "".join(f"{n}\n" for n in process.phone.logged))
    return 0


def pidof(process: Process) -> int:
    wanted = process.words[-1]
    found = [
        str(pid)
        for pid, (words, _) in process.phone.processes.items()
        if any(word.rsplit("/", 1)[-1] == wanted for word in words)
    ]
    process.say(" ".join(found) + "\n" if found else "")
    return int(not found)


def uname(process: Process) -> int:
    whole = process.phone.transcript.answers[("uname", "-a")].stdout.split()
    known = {"-r": whole[2], "-m": "aarch64", "-s": whole[0], "-n": whole[1]}
    if len(process.words) == 2 and process.words[1] in known:
        process.say(known[process.words[1]] + "\n")
        return 0
    return told(process)


TOOLS: dict[str, Tool] = {
    "getprop": getprop, "dumpsys": dumpsys, "settings": settings, "svc": svc, "input": input_,
    "df": df, "logcat": logcat, "pidof": pidof, "uname": uname, "cmd": told, "pm": pm,
    "am": am, "run-as": apps.run_as, "id": told, "ps": told,
}  # fmt: skip

"""Lays out phones: the list, its changes, one phone's findings, the recording of one."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from edgekit.cli.output import Cell, Output

if TYPE_CHECKING:
    from edgekit.device.health import Health
    from edgekit.device.inventory import Listed
    from edgekit.device.survey import Surveyed
    from edgekit.doctor.phone import PhoneDiagnosis

COLUMNS = (
    "serial",
    "state",
    "model",
    "SoC",
    "ABI",
    "Android",
    "storage",
    "memory",
    "battery",
    "thermal",
)
_RIGHT = (6, 7)
_WARM, _LOW = 2, 30


def serials() -> list[str]:
    """Serials that ``--serial`` takes; none when adb cannot be asked quickly."""
    from edgekit.device import adb, inventory
    from edgekit.errors import EdgekitError

    try:
        return [row.serial for row in inventory.listed(adb.find())]
    except EdgekitError:
        return []


def phones(output: Output, found: Sequence[Surveyed]) -> None:
    """The table of phones and the fix of each that is not usable, or one JSON document."""
    if output.as_json:
        output.document({"devices": [one.as_dict() for one in found]})
        return
    output.table(COLUMNS, [_row(one) for one in found], right=_RIGHT)
    for one in found:
        if one.error is not None:
            output.text(one.error.message)
            output.text(f"  {one.error.hint}")


def changes(output: Output, seen: Iterable[tuple[str, Listed]]) -> None:
    """A line for each change, as it comes."""
    if output.as_json:
        output.begin_list({}, "changes")
    for kind, row in seen:
        when = datetime.now().astimezone().isoformat(timespec="seconds")
        if output.as_json:
            output.add({"time": when, "change": kind, **row.as_dict()})
        else:
            state = "gone" if kind == "removed" else row.state
            output.text(f"{when[11:19]}  {row.name}  {state}")
            if row.fix and kind != "removed":
                output.text(f"          {row.fix}")
        # A reader at the other end of a pipe wants each change when it happens.
        sys.stdout.flush()


def examined(output: Output, serial: str | None, fix: bool) -> int:
    """Look at one phone, show it, mend what the user wants mended; the exit status."""
    from edgekit.doctor.phone import diagnose_phone

    found = diagnose_phone(serial)
    if found.remedies and (fix or _asks(output)) and _mend(output, found, ask=not fix):
        found = diagnose_phone(serial)
    if output.as_json:
        output.document(found.as_dict())
    else:
        _findings(output, found)
    return 0 if found.error is None else found.error.exit_status


def recorded(output: Output, file: str, serial: str | None) -> None:
    """Record one phone into a file."""
    from pathlib import Path

    from edgekit.device import adb, inventory, transcript
    from edgekit.device.shell import Shell
    from edgekit.errors import OutputExists

    path = Path(file)
    if path.exists():
        raise OutputExists(f"{path} exists", hint="Choose another name.", path=str(path))
    client = adb.find()
    shell = Shell(client, inventory.choose(client, serial))
    answers = transcript.record(shell, say=output.say)
    transcript.write(path, answers)
    if output.as_json:
        count = len(answers["answers"])
        output.document({"transcript": str(path), "api": answers["api"], "answers": count})
        return
    output.text(f"{len(answers['answers'])} answers written to {path}")
    output.text("Serial, accounts, IMEI and network names were taken out. Read it before you send")
    output.text("it to anybody: it is plain text, and only you know what is private in it.")


def _row(one: Surveyed) -> list[Cell]:
    from edgekit.device.protocol import clean

    row, about, state = one.listed, one.phone, one.health
    style = "green" if one.error is None else "bold red"
    cells: list[Cell] = [clean(row.serial, most=80), (row.state, style)]
    if about is None or state is None:
        return [*cells, row.model or "-", *["-"] * 7]
    from edgekit.cli.render import size

    android = f"{about.android or '?'} (API {about.sdk or '?'})"
    model = " ".join(filter(None, (about.manufacturer, about.model)))
    return [
        *cells,
        model or row.model or "-",
        about.soc or "-",
        about.abis[0] if about.abis else "-",
        android,
        size(about.storage_free),
        size(about.memory_free),
        _battery(state),
        _thermal(state),
    ]


def _battery(state: Health) -> Cell:
    if state.battery_percent is None:
        return "-"
    text = f"{state.battery_percent} %"
    if state.battery_celsius is not None:
        text += f" {state.battery_celsius:.1f} C"
    if state.charging:
        text += " charging"
    return text, "yellow" if state.battery_percent < _LOW else ""


def _thermal(state: Health) -> Cell:
    from edgekit.device.health import THERMAL_NAMES

    if state.thermal_status is None:
        return "-"
    return THERMAL_NAMES[state.thermal_status], "yellow" if state.thermal_status >= _WARM else ""


def _asks(output: Output) -> bool:
    """Whether a question can be asked: somebody sits at both ends."""
    return not output.as_json and not output.quiet and sys.stdin.isatty() and sys.stderr.isatty()


def _mend(output: Output, found: PhoneDiagnosis, *, ask: bool) -> bool:
    """Apply the remedies that the user agrees to; whether there was one."""
    import click

    done = False
    for remedy in found.remedies:
        if ask and not click.confirm(f"{remedy.check}: {remedy.question}", err=True):
            continue
        if not ask:
            output.say(f"{remedy.check}: {remedy.question.removesuffix('?')}")
        remedy.apply()
        done = True
    return done


def _findings(output: Output, found: PhoneDiagnosis) -> None:
    from edgekit.cli.render import STYLES

    rows: list[list[Cell]] = [
        [check.name, (check.status, STYLES[check.status]), check.found, check.wanted]
        for check in found.checks
    ]
    output.table(["what", "status", "found", "wanted"], rows)
    fixes = [check for check in found.checks if check.fix]
    if fixes:
        output.text("to mend:")
    for check in fixes:
        output.text(f"  {check.name}: {check.fix}")
    if found.error is not None:
        output.text("edgekit cannot use this phone.")
    elif fixes:
        output.text("edgekit can use this phone; its timings may suffer from the above.")
    else:
        output.text("edgekit can use this phone.")

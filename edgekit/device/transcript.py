"""A phone's answers, recorded once, so that a scripted phone can give them again.

Only questions that edgekit asks anyway are recorded. What names a person, a network or one phone
among its model is taken out: known names (serial, Android id, device name) wherever they stand,
then everything that looks like an address or a long number. Of the two long answers only the lines
that edgekit reads are kept, since the others name the apps that are installed.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from edgekit.bundle.disk import write_error
from edgekit.device import health, phone
from edgekit.device.phone import CPUS, core_indexes
from edgekit.device.shell import Shell
from edgekit.errors import OutputExists

SCHEMA = 1
_HIDDEN = "REDACTED"
_LONGEST_ANSWER = 64 * 1024

# Asked for what they say, which is then hidden; the answers themselves are not recorded.
SECRETS: tuple[tuple[str, ...], ...] = (
    ("getprop", "ro.serialno"),
    ("getprop", "ro.boot.serialno"),
    ("settings", "get", "secure", "android_id"),
    ("settings", "get", "secure", "bluetooth_address"),
    ("settings", "get", "secure", "bluetooth_name"),
    ("settings", "get", "global", "device_name"),
)
QUESTIONS: tuple[tuple[str, ...], ...] = (
    *(("getprop", key) for keys in phone.PROPERTIES.values() for key in keys),
    phone.UNAME,
    ("uname", "-a"),
    phone.MEMINFO,
    phone.CPUINFO,
    phone.PRESENT,
    phone.DF,
    health.BATTERY,
    health.THERMAL,
    health.POWER,
    health.WINDOW,
    health.POWER_SAVER,
    health.CURRENT,
    ("settings", "get", "global", "stay_on_while_plugged_in"),
    ("settings", "get", "system", "screen_off_timeout"),
)
# The lines of these answers that are kept.
_KEPT: dict[tuple[str, ...], re.Pattern[str]] = {
    health.POWER: re.compile(
        r"m(?:Wakefulness|IsPowered|StayOn|PlugType|BatteryLevel|ScreenOffTimeoutSetting"
        r"|StayOnWhilePluggedInSetting)\w*=|Display Power: state="
    ),
    health.WINDOW: re.compile(
        r"^\s*(?:mShowingLockscreen|mKeyguardShowing|isKeyguardShowing|mIsShowing|keyguardShowing"
        r"|isStatusBarKeyguard|showing|mAwake|screenState) ?=[\w =]*$"
    ),
}
_PATTERNS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}",  # accounts
        r"\b(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}\b",  # MAC addresses
        r"\b(?:\d{1,3}\.){3}\d{1,3}\b",  # IPv4
        r"(?<![\w:])(?:[0-9a-f]{1,4}:){4,7}[0-9a-f]{1,4}(?![\w:])|(?<![\w:])[0-9a-f:]{2,30}::[0-9a-f:]{1,30}",
        r"(?<![\w.])\+?\d{14,20}(?![\w.])",  # IMEI, MEID, ICCID
        r"(?<![\w.])\+\d[\d -]{6,18}\d(?!\w)",  # telephone numbers
        r"(?<=ssid)\s*[=:]\s*(?:\"[^\"\n]*\"|[^\s,;]+)",  # Wi-Fi names
        r"(?<=\bimei)\s*[=:]\s*\S+|(?<=\bmeid)\s*[=:]\s*\S+",
        r"(?<=^serial)\s*:[^\n]*|(?<=\nserial)\s*:[^\n]*",  # of /proc/cpuinfo
    )
)


def record(shell: Shell, *, say: Callable[[str], None] | None = None) -> dict[str, Any]:
    """Ask a phone every question once; nothing on it is changed.

    Args:
        say: told each question as it is asked.

    Returns:
        The transcript, redacted: ``schema``, ``api``, ``features`` and ``answers``.

    Raises:
        EdgekitError: the phone went away or does not answer.
    """
    secrets = [shell.serial, *(shell.ask(words) or "" for words in SECRETS)]
    cores = core_indexes(shell.ask(phone.PRESENT))
    names = ("scaling_cur_freq", "cpuinfo_max_freq", "scaling_governor")
    clocks = [("cat", f"{CPUS}/cpu{index}/cpufreq/{name}") for index in cores for name in names]
    answers = []
    for words in dict.fromkeys([*QUESTIONS, *clocks]):
        if say is not None:
            say(" ".join(words))
        reply = shell.run(words, check=False, timeout=30)
        stdout = _kept(words, reply.text)
        stderr = reply.stderr.decode("utf-8", "replace")
        answers.append(
            {
                "words": list(words),
                "status": reply.status,
                "stdout": redact(stdout[:_LONGEST_ANSWER], secrets),
                "stderr": redact(stderr[:_LONGEST_ANSWER], secrets),
            }
        )
    api = phone.whole(shell.ask(["getprop", "ro.build.version.sdk"]), 1, 1000)
    return {
        "schema": SCHEMA,
        "api": api,
        "features": sorted(shell.features),
        "answers": answers,
    }


def redact(text: str, secrets: Sequence[str] = ()) -> str:
    """The text without the given secrets and without what looks like one."""
    # The longest first: one secret may be a part of another.
    for secret in sorted({one.strip() for one in secrets}, key=len, reverse=True):
        if len(secret) >= 4 and secret != "null":
            text = re.sub(re.escape(secret), _HIDDEN, text, flags=re.IGNORECASE)
    for pattern in _PATTERNS:
        text = pattern.sub(_HIDDEN, text)
    return text


def write(path: Path, transcript: dict[str, Any]) -> None:
    """Write a transcript as JSON; the name must be free, and never holds half a file.

    Raises:
        OutputExists: there is such a file.
        CannotWrite: the system refuses.
        StorageFull: there is no room.
    """
    text = json.dumps(transcript, indent=1, ensure_ascii=True) + "\n"
    part = path.with_name(f".{path.name}.part-{os.getpid()}")
    try:
        try:
            part.write_text(text, encoding="ascii")
            # Unlike a rename, a link never replaces a file.
            os.link(part, path)
        finally:
            with contextlib.suppress(OSError):
                part.unlink()
    except FileExistsError:
        raise OutputExists(f"{path} exists", hint="Choose another name.") from None
    except OSError as error:
        raise write_error(error, path) from error


def _kept(words: tuple[str, ...], text: str) -> str:
    pattern = _KEPT.get(words)
    if pattern is None:
        return text
    return "".join(
        line + "\n" for line in text.splitlines() if len(line) < 300 and pattern.search(line)
    )

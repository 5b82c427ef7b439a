"""What a phone is: the facts that do not change while it is used, read over adb.

All of it is text from the phone: cleaned, bounded, and None or empty where the phone says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edgekit.device.protocol import clean
from edgekit.device.shell import Shell

STORAGE = "/data/local/tmp"
CPUS = "/sys/devices/system/cpu"
MEMINFO = ("cat", "/proc/meminfo")
CPUINFO = ("cat", "/proc/cpuinfo")
PRESENT = ("cat", f"{CPUS}/present")
DF = ("df", "-k", STORAGE)
UNAME = ("uname", "-r")
# The first of each that the phone fills in.
PROPERTIES: dict[str, tuple[str, ...]] = {
    "manufacturer": ("ro.product.manufacturer",),
    "model": ("ro.product.model",),
    "soc": ("ro.soc.model", "ro.board.platform", "ro.hardware"),
    "abis": ("ro.product.cpu.abilist", "ro.product.cpu.abi"),
    "android": ("ro.build.version.release",),
    "sdk": ("ro.build.version.sdk",),
    "fingerprint": ("ro.build.fingerprint",),
}
MOST_CORES = 64
_LONGEST = 120


@dataclass(frozen=True)
class Phone:
    """One phone.

    Attributes:
        serial: adb's name for it, cleaned.
        abis: what it runs, best first, such as arm64-v8a.
        android: its version, such as 14; ``sdk`` is the API level.
        cpu_features: the kernel's names, such as asimddp and i8mm.
        cores: the highest frequency of each in kHz; None where it is not told.
        memory_total, memory_free: bytes; free is what programs could get now.
        storage_free: bytes that the shell user may still write in /data/local/tmp.
    """

    serial: str
    manufacturer: str
    model: str
    soc: str
    abis: tuple[str, ...]
    android: str
    sdk: int | None
    fingerprint: str
    kernel: str
    cpu_features: tuple[str, ...]
    cores: tuple[int | None, ...]
    memory_total: int | None
    memory_free: int | None
    storage_free: int | None

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


def about(shell: Shell) -> Phone:
    """Ask a phone what it is.

    Raises:
        EdgekitError: the phone went away or does not answer.
    """
    told = {name: _property(shell, keys) for name, keys in PROPERTIES.items()}
    memory = memory_bytes(shell.ask(MEMINFO))
    cores = core_indexes(shell.ask(PRESENT))
    return Phone(
        serial=clean(shell.serial, most=_LONGEST),
        manufacturer=told["manufacturer"],
        model=told["model"],
        soc=told["soc"],
        abis=tuple(filter(None, told["abis"].split(",")))[:8],
        android=told["android"],
        sdk=whole(told["sdk"], 1, 1000),
        fingerprint=told["fingerprint"],
        kernel=clean(shell.ask(UNAME) or "", most=_LONGEST),
        cpu_features=_features(shell.ask(CPUINFO)),
        cores=numbers(shell, [f"{CPUS}/cpu{n}/cpufreq/cpuinfo_max_freq" for n in cores]),
        memory_total=memory.get("MemTotal"),
        memory_free=memory.get("MemAvailable"),
        storage_free=storage_bytes(shell.ask(DF)),
    )


def texts(shell: Shell, paths: Sequence[str]) -> tuple[str | None, ...]:
    """The first line of each of the phone's files; None for those that cannot be read."""
    if not paths:
        return ()
    answer = shell.ask(["cat", *paths])
    lines = (answer or "").splitlines()
    if len(lines) != len(paths):
        # A core may be switched off: then one file is missing, and each must be asked for.
        answers = (shell.ask(["cat", path]) for path in paths)
        lines = [(each or "").partition("\n")[0] for each in answers]
    return tuple(clean(line, most=_LONGEST) or None for line in lines)


def numbers(shell: Shell, paths: Sequence[str]) -> tuple[int | None, ...]:
    """The whole number in each of the phone's files; None for those without one."""
    return tuple(whole(line, -(2**62), 2**62) for line in texts(shell, paths))


def whole(text: str | None, least: int, most: int) -> int | None:
    """A decimal number within bounds, or None."""
    if text is None or not re.fullmatch(r"\s*-?[0-9]{1,19}\s*", text):
        return None
    value = int(text)
    return value if least <= value <= most else None


def memory_bytes(meminfo: str | None) -> dict[str, int]:
    """Name -> bytes of /proc/meminfo."""
    found = re.findall(r"^(\w{1,40}):\s{1,40}(\d{1,15}) kB", meminfo or "", re.MULTILINE)
    return {name: int(count) * 1024 for name, count in found}


def core_indexes(present: str | None) -> list[int]:
    """The processors of a list such as 0-3,6; empty when the phone does not say."""
    found: list[int] = []
    for piece in clean(present or "").split(","):
        match = re.fullmatch(r"([0-9]{1,4})(?:-([0-9]{1,4}))?", piece)
        if match is None:
            return []
        found += range(int(match[1]), int(match[2] or match[1]) + 1)
    return found[:MOST_CORES]


def _property(shell: Shell, keys: Sequence[str]) -> str:
    for key in keys:
        value = clean(shell.ask(["getprop", key]) or "", most=_LONGEST)
        if value:
            return value
    return ""


def _features(cpuinfo: str | None) -> tuple[str, ...]:
    """What every core can do, sorted: cores differ on some phones, and code may move."""
    lists = re.findall(r"^Features\s*:[ \t]*([^\n]{0,2000})", cpuinfo or "", re.MULTILINE)
    common = set.intersection(*(set(line.split()) for line in lists)) if lists else set()
    return tuple(sorted(word for word in common if re.fullmatch(r"\w{1,24}", word)))[:128]


def storage_bytes(df: str | None) -> int | None:
    """Free bytes from the line of ``df -k``; toybox may break it after a long device name."""
    fields = " ".join((df or "").splitlines()[1:])[:1000].split()
    count = whole(fields[3], 0, 2**50) if len(fields) >= 4 else None
    return None if count is None else count * 1024

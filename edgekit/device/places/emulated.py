"""An emulated arm64 processor as a place: the phones' own runner under qemu-user.

An emulated processor gives the numbers that its instruction set gives; it says nothing about
speed, and it is not a phone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from edgekit.device.places.host import LocalPlace
from edgekit.device.protocol import clean
from edgekit.errors import SpecError, Unavailable
from edgekit.targets import TARGETS

DEFAULT_CPU = "cortex-a76"
_QEMU = ("qemu-aarch64-static", "qemu-aarch64")
_SECONDS = 60.0
_V8 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid"
_V82 = f"{_V8} atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp"
# Part number in the processor's identity register, and what Linux says that it can do.
_PARTS = {
    "cortex-a53": ("0xd03", _V8),
    "cortex-a76": ("0xd0b", _V82),
    "neoverse-n1": ("0xd0c", _V82),
}


def open_emulated(cpu: str = DEFAULT_CPU, runtimes: Sequence[str] = ("executorch",)) -> LocalPlace:
    """A place on an emulated processor; close it, or use it as a context manager.

    Args:
        cpu: qemu's name of the processor.
        runtimes: runners that must be there; others are looked for when a job asks for them.

    Raises:
        Unavailable: a runner is not built or qemu is not installed; the hint has the command.
        SpecError: qemu does not know the processor, or there is no such runtime.
    """
    qemu = find_qemu()
    if cpu not in _said(qemu, "-cpu", "help").split():
        known = ", ".join(sorted(set(TARGETS["android-arm64"].emulated_cpus.values())))
        raise SpecError(f"qemu does not know the processor {cpu!r}", hint=f"Try: {known}.")
    version = _said(qemu, "--version").partition("\n")[0]

    def prefix(home: Path) -> list[str]:
        return [qemu, "-cpu", cpu, "-L", str(write_system(home / "system", cpu))]

    facts = {"emulator": clean(version), "soc": cpu, "cores": []}
    return LocalPlace(f"{cpu} under qemu", "emulated", "aarch64", runtimes, prefix, facts)


def find_qemu() -> str:
    """The program that runs arm64 programs here.

    Raises:
        Unavailable: there is none.
    """
    found = next((path for name in _QEMU if (path := shutil.which(name))), None)
    if found is None:
        raise Unavailable(
            f"{' or '.join(_QEMU)} was not found: it runs arm64 programs here",
            hint="Run: sudo apt-get install qemu-user",
        )
    return found


def write_system(folder: Path, cpu: str = DEFAULT_CPU) -> Path:
    """Write what an Arm Linux says about its processors into ``folder``, for qemu's ``-L``.

    qemu shows a program these files in place of this computer's own. The runtimes read them to
    choose their kernels, and ONNX Runtime crashes on files that are not of an Arm system.

    Returns:
        ``folder``.

    Raises:
        OSError: it cannot be written.
    """
    part, features = _PARTS.get(cpu, _PARTS[DEFAULT_CPU])
    count = os.cpu_count() or 1
    identity = {
        "Features": features,
        "CPU implementer": "0x41",
        "CPU architecture": "8",
        "CPU variant": "0x0",
        "CPU part": part,
        "CPU revision": "0",
    }
    about = "".join(f"{key}\t: {value}\n" for key, value in identity.items())
    files = {"proc/cpuinfo": "".join(f"processor\t: {n}\n{about}\n" for n in range(count))}
    for name in ("possible", "present", "online"):
        files[f"sys/devices/system/cpu/{name}"] = f"0-{count - 1}\n" if count > 1 else "0\n"
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="ascii")
    return folder


def _said(*words: str) -> str:
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(
            f"{words[0]} does not start: {error}", hint="Run: sudo apt-get install qemu-user"
        ) from error
    return done.stdout.decode("utf-8", "replace")

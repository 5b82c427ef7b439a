"""A copy to a phone: edgekit's, hashed on both sides, against ``adb push`` alone.

Real adb, a scripted phone on this computer, a link of a given speed; both by turns.

    python -m benchmarks.push [--megabytes 100] [--link 40] [--rounds 5]
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

from edgekit.device import push
from edgekit.device.adb import Adb
from edgekit.device.shell import Shell
from tests.support.phone import AdbServer, ScriptedPhone

FOLDER = "/data/local/tmp/edgekit/benchmark"


def main() -> None:
    """Print a line a round, and the medians of the ratios."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--megabytes", type=int, default=100)
    options.add_argument("--link", type=float, default=40, help="MB/s; 0 for what loopback gives")
    options.add_argument("--rounds", type=int, default=5)
    asked = options.parse_args()
    ratios: list[float] = []
    bare: list[float] = []
    with tempfile.TemporaryDirectory() as name, AdbServer() as server, ScriptedPhone() as phone:
        path = Path(name, "file")
        path.write_bytes(os.urandom(asked.megabytes * 1_000_000))
        phone.faults.bytes_per_second = asked.link * 1e6 or None
        server.connect(phone)
        adb = Adb(server.program, server.whole_environment())
        shell = Shell(adb, phone.serial)
        print(f"{asked.megabytes} MB, a link of {asked.link:g} MB/s (0: loopback)")
        for _ in range(asked.rounds):
            ours, hashing = _ours(adb, shell, path)
            plain = _plain(adb, shell, path)
            ratios.append(ours / plain)
            bare.append((ours - hashing) / plain)
            print(
                f"edgekit {ours:.2f} s, of it {hashing:.2f} s hashing on the phone; "
                f"adb push {plain:.2f} s; {ratios[-1]:.2f}x, without that hashing {bare[-1]:.2f}x"
            )
    print(
        f"median {statistics.median(ratios):.2f}x, without the hashing on the phone "
        f"{statistics.median(bare):.2f}x"
    )


def _ours(adb: Adb, shell: Shell, path: Path) -> tuple[float, float]:
    """Seconds of the copy, and of hashing it once more on the phone as the copy did."""
    took = push.push(adb, shell, {"file": path}, FOLDER).seconds
    began = time.monotonic()
    push.digests(shell, [f"{FOLDER}/file"], path.stat().st_size)
    hashing = time.monotonic() - began
    shell.run(["rm", "-rf", FOLDER])
    return took, hashing


def _plain(adb: Adb, shell: Shell, path: Path) -> float:
    began = time.monotonic()
    adb.run(["push", str(path), "/data/local/tmp/plain"], serial=shell.serial, timeout=600)
    took = time.monotonic() - began
    shell.run(["rm", "-f", "/data/local/tmp/plain"])
    return took


if __name__ == "__main__":
    main()

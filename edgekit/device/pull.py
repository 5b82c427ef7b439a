"""Copies from a phone: bounded while they come, and held against what lies there."""

from __future__ import annotations

import os
import posixpath
import subprocess
import time
from pathlib import Path

from edgekit.bundle.disk import as_write_errors, require_space
from edgekit.device.adb import Adb, Reply
from edgekit.device.faults import RECONNECT
from edgekit.device.protocol import clean
from edgekit.device.push import PART, SLOWEST_LINK, digests, local_digest
from edgekit.device.shell import Shell
from edgekit.errors import (
    DeviceReplyRefused,
    DeviceTimeout,
    InputMissing,
    TransferBroken,
)

_ODD = "The phone answers oddly: is it the phone that you mean? See edgekit devices."


def pull(adb: Adb, shell: Shell, path: str, into: Path, *, most: int) -> None:
    """Copy one file from the phone; ``into`` appears when it is whole and as it is there.

    Args:
        adb: the program that copies.
        shell: of the phone.
        path: on the phone, absolute; or in the folder that the shell starts in, when that works
            within a program whose files ``adb pull`` may not read.
        into: local file; replaced when it exists.
        most: bytes that are taken.

    Raises:
        InputMissing: there is no such file on the phone.
        DeviceReplyRefused: it is, or becomes, larger than ``most``.
        TransferBroken: the connection broke off, or other bytes arrived than lie there.
        CannotWrite, StorageFull: ``into`` cannot be written.
        EdgekitError: the phone's other faults.
    """
    size = _remote_size(shell, path)
    name = clean(posixpath.basename(path), most=120)
    if size > most:
        raise DeviceReplyRefused(
            f"{name} on {clean(shell.serial)} has {size} bytes, {most} are taken at most", hint=_ODD
        )
    require_space(into.parent, size)
    part = into.with_name(f"{into.name}{PART}")
    try:
        reply = _received(adb, shell, path, part, size)
        if reply.status != 0:
            raise adb.failure(["pull"], reply, shell.serial)
        there = digests(shell, [path], size)
        with as_write_errors(part):
            came = local_digest(part, there.checksum)
        if there.found.get(path) != came:
            raise TransferBroken(
                f"{name} came from {clean(shell.serial)} with other bytes than it has there",
                hint="Try again, with another cable or port.",
            )
        with as_write_errors(into):
            os.replace(part, into)
    finally:
        part.unlink(missing_ok=True)


def _remote_size(shell: Shell, path: str) -> int:
    reply = shell.run(["stat", "-c", "%s", path], check=False, most=4096)
    if reply.status != 0 and "No such file" in (
        reply.text + reply.stderr.decode("ascii", "replace")
    ):
        raise InputMissing(
            f"there is no {clean(path, most=120)} on {clean(shell.serial)}",
            hint="Something else on the phone removed it; try again.",
        )
    if reply.status != 0:
        raise shell.failure(["stat"], reply)
    digits = reply.text.strip()
    if not digits.isascii() or not digits.isdigit() or len(digits) > 18:
        raise DeviceReplyRefused(
            f"{clean(shell.serial)} says a file has {clean(digits)!r} bytes", hint=_ODD
        )
    return int(digits)


def _started(adb: Adb, shell: Shell, path: str, part: Path) -> subprocess.Popen[bytes]:
    if not shell.within:
        return adb.start(["pull", path, str(part)], serial=shell.serial, listen=False)
    with as_write_errors(part), part.open("wb") as file:
        # exec-out: the bytes as they are, on phones whose shell is a terminal too.
        return adb.start(["exec-out", shell.line(["cat", path])], serial=shell.serial, into=file)


def _received(adb: Adb, shell: Shell, path: str, part: Path, size: int) -> Reply:
    """Let adb write ``part``, and stop it when more comes than the phone announced."""
    deadline = time.monotonic() + 60 + size / SLOWEST_LINK
    with _started(adb, shell, path, part) as process:
        try:
            while True:
                try:
                    _, stderr = process.communicate(timeout=0.05)
                    return Reply(process.returncode, b"", stderr)
                except subprocess.TimeoutExpired:
                    pass
                if part.exists() and part.stat().st_size > size:
                    raise DeviceReplyRefused("the phone sends more than the file has", hint=_ODD)
                if time.monotonic() > deadline:
                    raise DeviceTimeout(f"{part.name} did not arrive in time", hint=RECONNECT)
        finally:
            if process.poll() is None:
                process.kill()

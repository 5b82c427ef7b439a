"""Copies to and from a phone that are checked where they arrive, and go on where they broke off.

A file travels into ``.part`` inside its folder, is hashed on the phone, and only then gets its
name: a name on the phone never holds half a file, nor other bytes than the one here. The phone is
asked about names that we chose; no name that it gives becomes a path.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from edgekit.device.adb import Adb
from edgekit.device.phone import DF, storage_bytes, whole
from edgekit.device.protocol import clean
from edgekit.device.shell import Shell
from edgekit.errors import (
    DeviceStorageFull,
    DeviceTimeout,
    InputMissing,
    PermissionRefused,
    SpecError,
    TransferBroken,
)

PART = ".part"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,99}")
_DIGEST = re.compile(r"[\\]?([0-9a-f]{40}|[0-9a-f]{64})[ ]+[*]?(.+)")
# Android 7 has no sha256sum. A copy is held against damage, not against the phone it went to.
_CHECKSUMS = ("sha256", "sha1")
_NOT_FOUND = 127
_ROOM = 1.1
_LOCAL = "It was there when the job began: is something else changing these files?"
# The slowest that is still taken for work: USB 2 through a bad hub, a phone's cheapest storage.
SLOWEST_LINK = 1e6
_SLOWEST_HASH = 20e6


@dataclass(frozen=True)
class Pushed:
    """What a push did.

    Attributes:
        files: files that are on the phone now.
        bytes: their sizes together.
        resumed: files of these that were there already, with the right hash.
        sent: bytes that travelled.
        seconds: all of it, hashing included.
        checksum: what the phone hashed them with: ``sha256``, or ``sha1`` where it has no other.
    """

    files: int
    bytes: int
    resumed: int
    sent: int
    seconds: float
    checksum: str


@dataclass(frozen=True)
class Digests:
    """Hashes of files on the phone, as hex digits, and which kind of hash it is."""

    checksum: str
    found: dict[str, str]


def push(adb: Adb, shell: Shell, files: Mapping[str, Path], folder: str) -> Pushed:
    """Copy files into a folder of the phone; what is there with the right hash stays.

    Args:
        adb: the program that copies.
        shell: of the phone.
        files: name on the phone -> local file.
        folder: absolute path on the phone; it is made when missing.

    Raises:
        InputMissing, PermissionRefused: a local file cannot be read.
        SpecError: a name is not a plain file name.
        DeviceStorageFull: the phone has too little room; need and have are named.
        TransferBroken: the connection broke off, or a file arrived with other bytes.
        EdgekitError: the phone's other faults.
    """
    began = time.monotonic()
    sizes = {check_name(name): _size(path) for name, path in files.items()}
    there = _present(shell, folder, files, sum(sizes.values()))
    missing = [name for name in files if name not in there.whole | there.parts]
    need = sum(sizes[name] for name in missing)
    if there.stale:
        shell.run(["rm", "-f", *there.stale])
    require_room(shell, need)
    part = posixpath.join(folder, PART)
    if missing:
        shell.run(["mkdir", "-p", part])
    for name in missing:
        _send(adb, shell, files[name], posixpath.join(part, name), sizes[name])
    sent = {name: there.wanted[name].result() for name in missing}
    _settle(shell, folder, sent, sorted(there.parts), need)
    return Pushed(
        files=len(files),
        bytes=sum(sizes.values()),
        resumed=len(files) - len(missing),
        sent=need,
        seconds=time.monotonic() - began,
        checksum=there.checksum,
    )


def digests(shell: Shell, paths: Sequence[str], size: int, *, check: bool = True) -> Digests:
    """Hashes of files on the phone, for those of ``paths`` that it could read.

    Args:
        shell: of the phone.
        paths: absolute paths on it.
        size: of all of them in bytes, about: how long the phone may take.
        check: raise when one cannot be read.

    Raises:
        EdgekitError: with ``check``, what the phone complained of; its other faults.
    """
    timeout = 30 + size / _SLOWEST_HASH
    for checksum in _CHECKSUMS:
        words = [f"{checksum}sum", *paths]
        reply = shell.run(words, check=False, timeout=timeout, most=2**20)
        if reply.status != _NOT_FOUND:
            break
    if reply.status != 0 and (check or reply.status == _NOT_FOUND):
        raise shell.failure(words, reply)
    lines = (_DIGEST.fullmatch(line.strip()) for line in reply.text.splitlines())
    told = {line[2]: line[1] for line in lines if line is not None}
    return Digests(checksum, {path: told[path] for path in paths if path in told})


def local_digest(path: Path, checksum: str) -> str:
    """The same hash of a file here.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, checksum).hexdigest()


def check_name(name: str) -> str:
    """``name``, when it is a plain file name that every shell and file system takes.

    Raises:
        SpecError: it is not.
    """
    if not _NAME.fullmatch(name):
        raise SpecError(
            f"{clean(name)!r} is not a plain file name for a phone",
            hint="Letters, digits, dots, dashes and underscores; 100 at the most.",
        )
    return name


def require_room(shell: Shell, need: int) -> None:
    """Refuse early when the phone has less than 1.1 times what will be copied.

    Raises:
        DeviceStorageFull: need and have are named.
    """
    have = free_bytes(shell) if need else None
    wanted = int(need * _ROOM)
    if have is not None and have < wanted:
        raise _full(shell.serial, wanted, have)


def require_room_for(shell: Shell, copies: Mapping[str, int]) -> None:
    """The same for several pushes together, before the first of them.

    What lies there needs no room: it stays, or is removed before its successor comes.

    Args:
        shell: of the phone.
        copies: absolute path on the phone -> bytes that will lie there.

    Raises:
        DeviceStorageFull: need and have are named.
        EdgekitError: the phone's other faults.
    """
    staged = {path: _part(path) for path in copies}
    there = _sizes(shell, [*staged, *staged.values()])
    lacking = (
        size - there.get(path, 0) - there.get(staged[path], 0) for path, size in copies.items()
    )
    require_room(shell, sum(max(0, size) for size in lacking))


def free_bytes(shell: Shell) -> int | None:
    """Free bytes under /data/local/tmp, as df says; None when its answer is not understood."""
    return storage_bytes(shell.ask(DF))


@dataclass(frozen=True)
class _There:
    """What is on the phone: names whose content is there, or still in ``.part``; other files.

    ``wanted`` are the hashes of the files here, of the kind that the phone can make; those of files
    that the phone has nothing of are made while they travel.
    """

    checksum: str
    wanted: dict[str, Future[str]]
    whole: set[str]
    parts: set[str]
    stale: list[str]


def _present(shell: Shell, folder: str, files: Mapping[str, Path], size: int) -> _There:
    paths = {posixpath.join(folder, name): name for name in files}
    parts = {posixpath.join(folder, PART, name): name for name in files}
    there = digests(shell, [*paths, *parts], 2 * size, check=False)
    named = {**paths, **parts}
    known = {named[path] for path in there.found}
    # What the phone has something of is hashed first: it decides what travels.
    first = sorted(files, key=lambda name: name not in known)
    wanted = _hashes({name: files[name] for name in first}, there.checksum)
    right = {path for path, digest in there.found.items() if digest == wanted[named[path]].result()}
    whole = {name for path, name in paths.items() if path in right}
    left = {name for path, name in parts.items() if path in right}
    stale = [path for path in there.found if path not in right]
    return _There(there.checksum, wanted, whole, left - whole, stale)


def _hashes(files: Mapping[str, Path], checksum: str) -> dict[str, Future[str]]:
    """Hashes of files here, one after the other on a thread that nobody has to wait for."""
    wanted: dict[str, Future[str]] = {name: Future() for name in files}

    def work() -> None:
        for name, path in files.items():
            try:
                wanted[name].set_result(local_digest(path, checksum))
            except Exception as error:
                wanted[name].set_exception(error)

    threading.Thread(target=work, name="edgekit-hash", daemon=True).start()
    return wanted


def _part(path: str) -> str:
    folder, name = posixpath.split(path)
    return posixpath.join(folder, PART, name)


def _sizes(shell: Shell, paths: Sequence[str]) -> dict[str, int]:
    """Bytes of those of our paths that the phone has and tells."""
    # Its status says that a path is not there; the others are told all the same.
    reply = shell.run(["stat", "-c", "%s %n", *paths], check=False, most=2**20)
    told = (line.strip().partition(" ") for line in reply.text.splitlines())
    return {path: size for number, _, path in told if (size := whole(number, 0, 2**50)) is not None}


def _send(adb: Adb, shell: Shell, local: Path, path: str, size: int) -> None:
    words = ["push", str(local.absolute()), path]
    try:
        adb.run(words, serial=shell.serial, timeout=60 + size / SLOWEST_LINK)
    except DeviceStorageFull as full:
        raise _full(shell.serial, size, free_bytes(shell)) from full
    except DeviceTimeout as late:
        late.message = f"copying {local.name} ({size} bytes): {late.message}"
        raise


def _settle(
    shell: Shell, folder: str, sent: Mapping[str, str], parts: Sequence[str], size: int
) -> None:
    """Hash what was sent, give the right files their names, and drop the wrong ones."""
    staged = {posixpath.join(folder, PART, name): name for name in (*sent, *parts)}
    fresh = [path for path, name in staged.items() if name in sent]
    found = digests(shell, fresh, size).found if fresh else {}
    wrong = [staged[path] for path in fresh if found.get(path) != sent[staged[path]]]
    good = [path for path, name in staged.items() if name not in wrong]
    if good:
        shell.run(["mv", "-f", *good, folder + "/"])
    if staged:
        shell.run(["rm", "-rf", posixpath.join(folder, PART)])
    if wrong:
        raise TransferBroken(
            f"{', '.join(wrong)} arrived on {clean(shell.serial)} with other bytes than were sent "
            "(hashed on the phone)",
            hint="Try again: only what is wrong is copied anew. Use another cable if it stays.",
            files=wrong,
        )


def _size(path: Path) -> int:
    try:
        with path.open("rb") as file:
            return os.fstat(file.fileno()).st_size
    except (FileNotFoundError, IsADirectoryError) as error:
        raise InputMissing(f"no such file: {path}", hint=_LOCAL, path=str(path)) from error
    except OSError as error:
        raise PermissionRefused(f"cannot read {path}: {error.strerror}", hint=_LOCAL) from error


def _full(serial: str, need: int, have: int | None) -> DeviceStorageFull:
    told = "an unknown amount" if have is None else f"{have / 2**20:.1f} MiB"
    return DeviceStorageFull(
        f"not enough room on {clean(serial)}: need {need / 2**20:.1f} MiB in /data/local/tmp, "
        f"have {told}",
        hint="Free some space on the phone (Settings, Storage), then try again.",
        need_bytes=need,
        have_bytes=have,
    )

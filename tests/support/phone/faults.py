"""What can go wrong with a scripted phone. Every field may be changed while the phone runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Faults:
    """All off by default.

    Attributes:
        unauthorized: the phone asks its user at the next connection; ``phone.allow()`` is the tap.
        offline: connected, and answers nothing any more.
        drop_push_after: bytes of pushed files, then the cable comes out (``phone.plug()``).
        drop_run_after: lines that the runner prints, then the cable comes out.
        storage_full_after: bytes of pushed files, then there is no space, whatever df said.
        refused: patterns of device paths that give "Permission denied" when written.
        read_only: patterns of device paths on a read-only file system.
        corrupt: pattern of names of pushed files that arrive with one bit flipped.
        corrupt_back: pattern of names of pulled files that arrive here with one bit flipped.
        missing: tools that this phone does not have.
        may_not_start: the phone's policy forbids to start programs from its scratch folder.
        after_run: called with the working folder when a runner has ended, before anybody knows.
        kill: signal that ends the runner after ``kill_after`` lines of its output.
        out_of_memory: lines of the low memory killer stand in logcat after ``kill``.
        hang: the runner starts and prints nothing.
        lines: called for what the "runner" prints instead of running.
        status: what that "runner" ends with.
        thermal: thermal status at each question in turn; the last one stays.
        battery_percent, battery_celsius, charging, locked: as the phone tells them.
        answers: what the phone answers to exactly these words, whatever else it knows.
        properties: getprop's answers that differ.
        listed: names that every folder listing of the sync service has besides the true ones.
        bytes_per_second: speed of the link, both ways.
    """

    unauthorized: bool = False
    offline: bool = False
    drop_push_after: int | None = None
    drop_run_after: int | None = None
    storage_full_after: int | None = None
    refused: tuple[str, ...] = ()
    read_only: tuple[str, ...] = ()
    corrupt: str | None = None
    corrupt_back: str | None = None
    missing: tuple[str, ...] = ()
    may_not_start: bool = False
    after_run: Callable[[Path], None] | None = None
    kill: int | None = None
    kill_after: int = 0
    out_of_memory: bool = False
    hang: bool = False
    lines: Callable[[], Iterable[bytes]] | None = None
    status: int = 0
    thermal: list[int] = field(default_factory=list)
    battery_percent: int | None = None
    battery_celsius: float | None = None
    charging: bool | None = None
    locked: bool | None = None
    answers: dict[tuple[str, ...], bytes] = field(default_factory=dict)
    properties: dict[str, str] = field(default_factory=dict)
    listed: tuple[bytes, ...] = ()
    bytes_per_second: float | None = None


def long_line(size: int) -> Callable[[], Iterator[bytes]]:
    """One line of ``size`` bytes that looks like the beginning of an event."""

    def lines() -> Iterator[bytes]:
        yield b'{"event":"sample","note":"'
        for _ in range(size // 65536):
            yield b"x" * 65536
        yield b'"}\n'

    return lines


def repeated(line: bytes, count: int) -> Callable[[], Iterator[bytes]]:
    """``count`` times the same line, in pieces of some hundred lines."""

    def lines() -> Iterator[bytes]:
        piece = 500
        for _ in range(count // piece):
            yield line * piece
        yield line * (count % piece)

    return lines


def exactly(*lines: bytes) -> Callable[[], Iterable[bytes]]:
    """These bytes, one after the other."""
    return lambda: lines

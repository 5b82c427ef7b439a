"""What ``edgekit bench`` reads from its words: lists of numbers, the request, the record's file."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from edgekit.bench.schedule import Request

AUTO = "auto"


class Numbers(click.ParamType[tuple[int, ...]]):
    """Whole numbers separated by commas, each within bounds.

    Args:
        least: the smallest that is taken.
        most: the largest.
        auto: whether the word ``auto`` is taken too; it gives an empty tuple.
    """

    name = "numbers"

    def __init__(self, least: int, most: int, *, auto: bool = False) -> None:
        self.least = least
        self.most = most
        self.auto = auto

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Split and count; anything else is a usage error."""
        if isinstance(value, tuple):
            return value
        if self.auto and value == AUTO:
            return ()
        words = [word.strip() for word in str(value).split(",")]
        if not all(word.isascii() and word.isdigit() and len(word) < 10 for word in words):
            also = ", or auto" if self.auto else ""
            self.fail(f"{value!r} is no list of numbers such as 1,2,4{also}", param, ctx)
        numbers = tuple(dict.fromkeys(map(int, words)))
        for number in numbers:
            if not self.least <= number <= self.most:
                self.fail(f"{number} is not within {self.least} and {self.most}", param, ctx)
        return numbers


def request(
    *,
    quick: bool,
    lengths: tuple[int, ...] | None,
    threads: tuple[int, ...] | None,
    cores: tuple[int, ...] | None,
    runtimes: tuple[str, ...] | None,
    seed: int | None,
    cooldown: float | None,
    tokens: int | None,
) -> Request:
    """The words of the command line as the library takes them."""
    from edgekit.bench.schedule import Request

    return Request(
        quick=quick,
        lengths=lengths,
        threads=threads or None,
        threads_auto=threads == (),
        cores=cores,
        runtimes=runtimes,
        seed=seed,
        cooldown_minutes=cooldown,
        tokens=tokens,
    )


def record_file(out: str | None, resume: str | None) -> Path:
    """Where the record goes: ``-o``, the one to continue, or a name with today's time.

    Raises:
        click.UsageError: both were given.
    """
    if out is not None and resume is not None:
        raise click.UsageError("--resume continues FILE in its place; leave -o out.")
    if (named := out or resume) is not None:
        return Path(named)
    return Path(datetime.now(UTC).strftime("bench-%Y%m%d-%H%M%S.json"))

"""Where ``edgekit run`` gets its texts: words, a file, standard input. One line is in memory."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, TypeVar

import click

from edgekit.errors import InputMissing, InputRefused, PermissionRefused, TextRefused

LONGEST_LINE = 1 << 20
Reply = TypeVar("Reply")


def choose(words: tuple[str, ...], file: str | None) -> Texts:
    """The source that the command line asks for.

    Raises:
        click.UsageError: two sources or none.
        InputMissing: there is no such file.
        InputRefused: the file is a folder.
        PermissionRefused: the file cannot be read.
    """
    if file is not None and words:
        raise click.UsageError("give TEXT or --file, not both")
    if file is not None and file != "-":
        return Texts(file, stream=_open(Path(file)))
    if file == "-" or words == ("-",) or (not words and not sys.stdin.isatty()):
        return Texts("standard input", stream=sys.stdin.buffer)
    if not words:
        raise click.UsageError("no text: give TEXT, --file FILE, or pipe lines in")
    return Texts("", words=words)


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise InputMissing(
            f"no such file: {path}", hint="Check the name given to --file."
        ) from None
    except IsADirectoryError:
        raise InputRefused(
            f"{path} is a folder", hint="--file takes a text file, one text a line."
        ) from None
    except PermissionError:
        raise PermissionRefused(
            f"{path} cannot be read", hint=f"Allow it: chmod u+r {path}"
        ) from None


class Texts:
    """Texts one by one; knows where it is when one is refused.

    Attributes:
        blank: lines skipped because they hold only white space.
    """

    def __init__(
        self, name: str, *, words: tuple[str, ...] = (), stream: BinaryIO | None = None
    ) -> None:
        self.blank = 0
        self._name = name
        self._words = words
        self._stream = stream
        self._place = ""

    def __enter__(self) -> Texts:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._stream is not None and self._stream is not sys.stdin.buffer:
            self._stream.close()

    def __iter__(self) -> Iterator[str]:
        if self._stream is None:
            yield from self._words
            return
        number = 0
        while line := self._stream.readline(LONGEST_LINE + 1):
            number += 1
            self._place = f"line {number} of {self._name}"
            text = self._decode(line, first=number == 1)
            if text.strip():
                yield text
            else:
                self.blank += 1

    def located(self, replies: Iterable[Reply]) -> Iterator[Reply]:
        """Pass the replies on; a refused text is named by its line."""
        try:
            yield from replies
        except TextRefused as refused:
            if not self._place:
                raise
            raise TextRefused(
                f"{self._place}: {refused.message}", hint=refused.hint, **refused.details
            ) from None

    def _decode(self, line: bytes, first: bool) -> str:
        if len(line) > LONGEST_LINE:
            raise TextRefused(
                f"{self._place} is longer than {LONGEST_LINE} bytes",
                hint="Put one text on a line.",
            )
        try:
            text = line.decode("utf-8-sig" if first else "utf-8")
        except UnicodeDecodeError as error:
            raise InputRefused(
                f"{self._place} is not UTF-8 text (byte {error.start + 1})",
                hint="Convert the file: iconv -f ENCODING -t UTF-8",
            ) from None
        return text.rstrip("\r\n")

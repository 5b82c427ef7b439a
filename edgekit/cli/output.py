"""The one place that prints: results on stdout, talk on stderr, tables, JSON, failures.

While a job runs, what libraries and native code write to the process's own stdout and stderr is
dropped (``-v`` sends it to stderr), so that stdout carries the result and nothing else.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TextIO

if TYPE_CHECKING:
    from rich.console import Console

    from edgekit.stages import ProgressCallback

Cell = str | tuple[str, str]
PLAIN_WIDTH = 200
# C0, C1 and DEL but for the newline, line separators, bidirectional overrides, lone surrogates.
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class Failure(Protocol):
    """What can be reported: an ``EdgekitError``, or an end that is not in the tree."""

    @property
    def message(self) -> str: ...  # noqa: D102

    @property
    def hint(self) -> str: ...  # noqa: D102

    def as_dict(self) -> dict[str, Any]: ...  # noqa: D102


class Output:
    """Where one command's words go.

    Attributes:
        as_json: stdout gets exactly one JSON document.
        quiet: stderr gets errors only.
        verbose: libraries may speak, internal errors come with their traceback.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self.quiet = False
        self.verbose = False
        self._stdout: TextIO | None = None
        self._stderr: TextIO | None = None
        self._written = False
        self._list_open = False
        self._list_empty = True

    @property
    def _out(self) -> TextIO:
        return self._stdout or sys.stdout

    @property
    def _err(self) -> TextIO:
        return self._stderr or sys.stderr

    @property
    def _utf8(self) -> bool:
        return (self._out.encoding or "").lower().replace("-", "") == "utf8"

    def _json(self, data: Any, indent: int | None = None) -> str:
        # No NaN, and what JSON has no word for becomes a string.
        text_only = not self._utf8
        return json.dumps(data, indent=indent, ensure_ascii=text_only, allow_nan=False, default=str)

    def text(self, line: str = "") -> None:
        """One line of the result, as it is but for control characters."""
        print(printable(line), file=self._out)

    def piece(self, text: str) -> None:
        """A part of a result that is still coming, at once; tabs stay, as answers have code."""
        kept = "\t".join(printable(part) for part in text.split("\t"))
        print(kept, file=self._out, end="", flush=True)

    def script(self, text: str) -> None:
        """A text made for another program or a file, byte for byte."""
        print(text, file=self._out, end="")

    def say(self, line: str) -> None:
        """One remark on stderr; nothing with ``-q``."""
        if not self.quiet:
            print(printable(line), file=self._err, flush=True)

    def table(
        self, columns: Sequence[str], rows: Sequence[Sequence[Cell]], right: Sequence[int] = ()
    ) -> None:
        """A table of the result.

        Args:
            columns: the headings; all empty for a table without a head.
            rows: cells, each a text or a text with its rich style.
            right: indexes of the columns that hold numbers.
        """
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(
            box=box.SIMPLE_HEAD, show_header=any(columns), pad_edge=False, show_edge=False
        )
        for index, heading in enumerate(columns):
            table.add_column(heading, justify="right" if index in right else "left")
        for row in rows:
            pairs = (cell if isinstance(cell, tuple) else (cell, "") for cell in row)
            table.add_row(*(Text(printable(text), style=style) for text, style in pairs))
        console = self.console(self._out)
        # Rich ends the process when it meets a closed pipe: it draws, and we write.
        with console.capture() as drawn:
            console.print(table)
        lines = drawn.get().strip("\n").split("\n")
        self.script("\n".join(line.rstrip() for line in lines) + "\n\n")

    def bar(self, share: float, width: int = 20) -> str:
        """A share of 1 as a small bar."""
        full = "█" if self._utf8 else "#"
        return (full * round(width * min(max(share, 0.0), 1.0))).ljust(width)

    def console(self, stream: TextIO) -> Console:
        """A rich console that prints texts as they are; wide when it is not a terminal."""
        from rich.console import Console

        width = None if stream.isatty() else PLAIN_WIDTH
        return Console(file=stream, width=width, highlight=False, markup=False, emoji=False)

    def document(self, data: Mapping[str, Any]) -> None:
        """The one JSON document of this command."""
        self._written = True
        print(self._json(data, indent=2), file=self._out)

    def value(self, name: str, text: str) -> None:
        """A result that is one text: bare, or a JSON document with one field."""
        if self.as_json:
            self.document({name: text})
        else:
            self.text(text)

    def begin_list(self, head: Mapping[str, Any], key: str) -> None:
        """Begin a JSON document whose last field is a list that arrives piece by piece."""
        self._written = self._list_open = True
        fields = "".join(
            f"{self._json(name)}: {self._json(value)}, " for name, value in head.items()
        )
        self.script(f"{{{fields}{self._json(key)}: [\n")

    def add(self, item: Any) -> None:
        """One item of the list begun with ``begin_list``; a reader gets it as a whole line."""
        self.script(("" if self._list_empty else ",") + self._json(item) + "\n")
        self._list_empty = False

    def end_list(self, tail: Mapping[str, Any]) -> None:
        """End the list and its document, with what is known only now."""
        self._list_open = False
        fields = "".join(
            f", {self._json(name)}: {self._json(value)}" for name, value in tail.items()
        )
        self.script(f"]{fields}}}\n")

    def fail(self, failure: Failure, error: BaseException | None = None) -> None:
        """Report a failure on stderr, and as the JSON document (or its end) with ``--json``."""
        stream = self._err
        if self.verbose and error is not None:
            traceback.print_exception(error, file=stream)
        print(f"error: {printable(failure.message)}", file=stream)
        if failure.hint:
            print(f"hint:  {printable(failure.hint)}", file=stream)
        stream.flush()
        if not self.as_json:
            return
        if self._list_open:
            self.end_list({"error": failure.as_dict()})
        elif not self._written:
            self.document({"error": failure.as_dict()})

    @contextmanager
    def progress(self) -> Iterator[ProgressCallback | None]:
        """A job: libraries kept quiet, and a callback that shows its stages (None with ``-q``)."""
        from edgekit.cli.progress import Lines, LiveLine

        with self.libraries_quiet():
            stream = self._err
            if self.quiet:
                yield None
            elif stream.isatty() and os.environ.get("TERM") != "dumb":
                with LiveLine(self.console(stream)) as line:
                    yield line
            else:
                yield Lines(self.say)

    @contextmanager
    def libraries_quiet(self) -> Iterator[None]:
        """Keep everybody else off stdout, and off stderr unless ``-v``."""
        if not self.verbose:
            os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
            os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
            os.environ.setdefault("PYTHONWARNINGS", "ignore")
            warnings.simplefilter("ignore")
            logging.getLogger().addHandler(logging.NullHandler())
        _flush()
        stdout, stderr = _duplicate(1, sys.stdout), _duplicate(2, sys.stderr)
        null = os.open(os.devnull, os.O_WRONLY)
        try:
            self._stdout, self._stderr = stdout, stderr
            os.dup2(stderr.fileno() if self.verbose else null, 1)
            os.dup2(stderr.fileno() if self.verbose else null, 2)
            yield
        finally:
            # What libraries left in Python's buffers still goes where they wrote it.
            _flush()
            self._stdout = self._stderr = None
            os.dup2(stdout.fileno(), 1)
            os.dup2(stderr.fileno(), 2)
            os.close(null)
            stdout.close()
            stderr.close()


def printable(text: str) -> str:
    """The text with control characters spelt out: a name in a file must not drive a terminal."""
    return _CONTROL.sub(lambda found: ascii(found.group())[1:-1], text)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()


def _duplicate(fd: int, like: TextIO) -> TextIO:
    """A stream of its own on what ``fd`` is now, with the manners of ``like``."""
    encoding = getattr(like, "encoding", None) or "utf-8"
    return open(os.dup(fd), "w", buffering=1, encoding=encoding, errors="backslashreplace")

"""Shows a job's stages: one live line on a terminal, one plain line a stage elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, cast

from edgekit.stages import Progress

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text


def describe(progress: Progress) -> str:
    """One line: which stage of how many, time so far, time to go."""
    if progress.stage == "done":
        return f"done in {seconds(progress.elapsed)}"
    line = f"[{progress.index + 1}/{progress.total}] {progress.stage}  {seconds(progress.elapsed)}"
    if progress.remaining is not None:
        line += f", about {seconds(progress.remaining)} left"
    return f"{line}  {progress.note}".rstrip()


def seconds(value: float) -> str:
    """A duration in seconds, in words that fit its size."""
    if value < 59.5:
        return f"{value:.0f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest:02d} s"


class Lines:
    """Prints a line when a stage starts. Called with each ``Progress``."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    def __call__(self, progress: Progress) -> None:
        """Print the stage that starts."""
        if progress.stage == "note":
            self._say(f"      {progress.note}")
        else:
            self._say(describe(progress))


class LiveLine:
    """Redraws one line with a running clock. Called with each ``Progress``."""

    def __init__(self, console: Console) -> None:
        from rich.live import Live
        from rich.spinner import Spinner

        self._console = console
        self._now: Progress | None = None
        self._since = time.monotonic()
        # Rich would show what libraries print above the line; they are kept quiet instead.
        self._live = Live(
            Spinner("dots", text=cast("RenderableType", self)),
            console=console,
            refresh_per_second=8,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> LiveLine:
        self._live.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def __call__(self, progress: Progress) -> None:
        """Show the stage that starts."""
        if progress.stage == "note":
            self._console.print(progress.note)
        elif progress.stage == "done":
            self._console.print(describe(progress))
        else:
            self._now, self._since = progress, time.monotonic()

    def __rich__(self) -> Text:
        from rich.text import Text

        return Text(self.line())

    def line(self) -> str:
        """The line as of this moment."""
        if self._now is None:
            return "starting"
        passed = time.monotonic() - self._since
        left = self._now.remaining
        return describe(
            replace(
                self._now,
                elapsed=self._now.elapsed + passed,
                remaining=None if left is None else max(left - passed, 0.0),
            )
        )

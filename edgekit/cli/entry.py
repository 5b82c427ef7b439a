"""One command from words to exit status: every way to end is here, and none shows a traceback."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from types import FrameType
from typing import Any

import click

from edgekit.cli.group import root
from edgekit.cli.output import Output
from edgekit.errors import EdgekitError, InternalError, StorageFull

PROGRAM = "edgekit"
COMPLETE = "_EDGEKIT_COMPLETE"


@dataclass(frozen=True)
class _Ending:
    """An end that is no failure of ours (click's usage errors, signals), in the tree's shape."""

    code: str
    exit_status: int
    message: str
    hint: str = ""

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "details": {}}


class Terminated(BaseException):
    """SIGTERM or SIGHUP arrived. Like KeyboardInterrupt, it unwinds so that cleanup runs."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def run(args: Sequence[str]) -> int:
    """Run the command that ``args`` spells and return its exit status."""
    if COMPLETE in os.environ:
        return _complete()
    _standard_streams()
    output = Output(as_json=wants_json(args))
    try:
        with _signals():
            status = _dispatch(list(args), output)
            for stream in (sys.stdout, sys.stderr):
                if stream is not None:
                    stream.flush()
            return status
    except BrokenPipeError:
        return _pipe_closed()
    except (KeyboardInterrupt, Terminated) as stop:
        number = stop.number if isinstance(stop, Terminated) else signal.SIGINT
        return _stopped(number, output)


def wants_json(args: Sequence[str]) -> bool:
    """Whether ``--json`` is among the options; asked before parsing, which may itself fail."""
    words = list(args)
    return "--json" in (words[: words.index("--")] if "--" in words else words)


def _dispatch(args: list[str], output: Output) -> int:
    try:
        with root.make_context(PROGRAM, args, obj=output) as context:
            root.invoke(context)
        return 0
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as usage:
        return _usage(usage, output)
    except EdgekitError as failure:
        output.fail(failure, failure if failure.exit_status == InternalError.exit_status else None)
        return failure.exit_status
    except BrokenPipeError:
        raise
    except Exception as error:
        unexpected = _typed(error)
        output.fail(unexpected, error)
        return unexpected.exit_status


def _typed(error: Exception) -> EdgekitError:
    """The place in the tree of an exception that nobody expected."""
    if isinstance(error, ImportError):
        from edgekit.doctor.packages import explain_import_error

        explained = explain_import_error(error)
        if explained is not None:
            return explained
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFull(f"no space left: {error}", hint="Free some space and run it again.")
    return InternalError(
        f"internal error: {type(error).__name__}: {error}",
        hint=f"{InternalError.default_hint} Run with -v for the traceback.",
    )


def _usage(error: click.ClickException, output: Output) -> int:
    """A usage error in click's own words, and as JSON when JSON was asked for."""
    if output.as_json:
        hint = ""
        if isinstance(error, click.UsageError) and error.ctx is not None:
            hint = f"See {error.ctx.command_path} --help"
        output.fail(_Ending("usage", error.exit_code, error.format_message(), hint))
    else:
        error.show()
    return error.exit_code


def _stopped(number: int, output: Output) -> int:
    status = 128 + number
    try:
        output.fail(_Ending("stopped", status, f"stopped by {signal.Signals(number).name}"))
        sys.stdout.flush()
    except BrokenPipeError:
        _pipe_closed()
    return status


def _pipe_closed() -> int:
    """The reader went away: say nothing, now or when the interpreter flushes at exit."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    return 128 + signal.SIGPIPE


@contextmanager
def _signals() -> Iterator[None]:
    """Turn termination into an exception, unless the parent asked for the signal to be ignored."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Terminated(number)

    before = {}
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            before[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _standard_streams() -> None:
    """Make closed standard streams harmless, and odd characters never a reason to fail."""
    for name in ("stdin", "stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            # The lowest free descriptor is the closed one, so no file of ours can land on it.
            fd = os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, os.fdopen(fd, "r" if name == "stdin" else "w"))
        elif name != "stdin" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _complete() -> int:
    """Answer the shell's question; click's scripts ask through an environment variable."""
    from click.shell_completion import shell_complete

    return shell_complete(root, {}, PROGRAM, COMPLETE, os.environ[COMPLETE])

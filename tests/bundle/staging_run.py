"""A writer that is struck at a numbered point; ``tests/hostile/test_staging.py`` runs it.

For each line ``FOLDER FORCE KIND POINT`` on stdin a fork of this process writes ``FOLDER`` through
Staging. Before and after each system call that changes the disk it counts one; at ``POINT`` it is
struck: ``kill`` by SIGKILL, ``interrupt`` by SIGINT. A KIND that ends in ``-plain`` has a system
without renameat2. The answer is one line: the exit status, negative for a signal, 0 when the run
ended before the point.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgekit.bundle import rename, staging

WATCHED = ("mkdir", "open", "write", "fsync", "rename", "unlink", "rmdir")
SIGNALS = {"kill": signal.SIGKILL, "interrupt": signal.SIGINT}


class Strike:
    """Counts calls and sends the signal when the number is reached."""

    def __init__(self, point: int, number: signal.Signals) -> None:
        self.left = point
        self.number = number

    def count(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), self.number)

    def watch(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*args: Any, **kwargs: Any) -> Any:
            self.count()
            result = call(*args, **kwargs)
            self.count()
            return result

        return watched


def write_run(final: Path, force: bool) -> None:
    """Write two files, one of them in quarters, and commit."""
    with staging.Staging(final, force=force) as made:
        (made.folder / "sub").mkdir()
        descriptor = os.open(made.folder / "sub" / "model", os.O_WRONLY | os.O_CREAT)
        for _ in range(4):
            os.write(descriptor, b"new " * 5_000)
        os.close(descriptor)
        descriptor = os.open(made.folder / "edgekit.json", os.O_WRONLY | os.O_CREAT)
        os.write(descriptor, b"new")
        os.close(descriptor)
        made.commit()


def struck_run(folder: str, force: str, kind: str, point: str) -> int:
    """In the fork: the exit status when the run ends by itself."""
    name, _, plain = kind.partition("-")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    strike = Strike(int(point), SIGNALS[name])
    for call in WATCHED:
        setattr(os, call, strike.watch(getattr(os, call)))
    rename._renameat2 = (lambda *_: False) if plain else strike.watch(rename._renameat2)
    try:
        write_run(Path(folder), force == "force")
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


def main() -> None:
    """Answer line by line."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            os._exit(struck_run(*line.split()))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()

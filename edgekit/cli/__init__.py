"""The command line: a thin skin over ``edgekit.api``. One verb a file in ``verbs/``."""

from __future__ import annotations

from collections.abc import Sequence


def main(args: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        args: words after the program's name; the process's own unless given.

    Returns:
        The exit status, as ``docs/errors.md`` lists them.
    """
    import sys

    from edgekit.cli.entry import run

    return run(sys.argv[1:] if args is None else args)

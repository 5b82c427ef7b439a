"""The completion scripts: click's own, for the program's real name."""

from __future__ import annotations

from click.shell_completion import get_completion_class

from edgekit.cli.entry import COMPLETE, PROGRAM
from edgekit.cli.group import root
from edgekit.errors import SpecError


def script(shell: str) -> str:
    """What the shell must read to complete ``edgekit``.

    Raises:
        SpecError: click knows no such shell.
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise SpecError(f"no completion for {shell!r}", hint="There is: bash, zsh, fish.")
    return kind(root, {}, PROGRAM, COMPLETE).source()

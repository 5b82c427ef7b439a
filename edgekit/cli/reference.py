"""Writes ``docs/cli.md`` from the help texts: ``python -m edgekit.cli.reference > docs/cli.md``."""

from __future__ import annotations

from collections.abc import Iterator

import click

from edgekit.cli.entry import PROGRAM
from edgekit.cli.group import root
from edgekit.cli.output import Output

WIDTH = 100
HEAD = """# Command line

Generated from the program's own help by `python -m edgekit.cli.reference > docs/cli.md`; a test
fails when it is stale. The exit statuses are in [errors.md](errors.md).
"""


def markdown() -> str:
    """The whole page."""
    parts = [HEAD]
    for path, help_text in _helps(root, _context(root, PROGRAM)):
        parts.append(f"## {path}\n\n```text\n{help_text}\n```\n")
    return "\n".join(parts)


def _helps(command: click.Command, parent: click.Context) -> Iterator[tuple[str, str]]:
    """A command's path and help, then its subcommands'."""
    # The page must not depend on the width of the terminal that wrote it.
    parent.terminal_width = WIDTH
    yield parent.command_path, command.get_help(parent)
    if isinstance(command, click.Group):
        for name in command.list_commands(parent):
            below = command.get_command(parent, name)
            if below is not None:
                yield from _helps(below, _context(below, name, parent))


def _context(
    command: click.Command, name: str, parent: click.Context | None = None
) -> click.Context:
    return click.Context(command, parent=parent, info_name=name, **command.context_settings)


if __name__ == "__main__":
    Output().script(markdown())

"""Writes ``docs/errors.md``: ``python -m edgekit.cli.error_table > docs/errors.md``."""

from __future__ import annotations

import inspect

from edgekit.cli.output import Output
from edgekit.errors import EdgekitError, all_errors

HEAD = """# Exit statuses and errors

Generated from `edgekit/errors.py` by `python -m edgekit.cli.error_table > docs/errors.md`; a test
fails when it is stale.

Every failure has a stable code, an exit status and a hint. With `--json` the one document on
stdout is `{"error": {"code", "exit_status", "message", "hint", "details"}}`.

| exit | meaning |
|---|---|
"""
OTHER = {
    0: "fine",
    2: "usage: an unknown command or option (code `usage`)",
    130: "stopped by Ctrl-C (code `stopped`); as for every signal, 128 + its number",
    141: "the reader of stdout went away",
    143: "stopped by SIGTERM (code `stopped`)",
}


def markdown() -> str:
    """The whole page."""
    tree = [cls for cls in all_errors() if cls is not EdgekitError]
    meanings = dict(OTHER)
    for cls in tree:
        if EdgekitError in cls.__bases__:
            meanings[cls.exit_status] = _meaning(cls)
    lines = [f"| {status} | {meanings[status]} |" for status in sorted(meanings)]
    rows = [f"| `{c.code}` | {c.exit_status} | `{c.__name__}` | {_meaning(c)} |" for c in tree]
    table = "\n| code | exit | Python class | when |\n|---|---|---|---|\n"
    return HEAD + "\n".join(lines) + "\n" + table + "\n".join(rows) + "\n"


def _meaning(cls: type[EdgekitError]) -> str:
    return (inspect.getdoc(cls) or "").partition("\n\n")[0].replace("\n", " ").replace("|", "\\|")


if __name__ == "__main__":
    Output().script(markdown())

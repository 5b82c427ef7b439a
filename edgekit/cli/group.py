"""The ``edgekit`` group: finds its verbs by file name and imports one only when it is used."""

from __future__ import annotations

import ast
import importlib
from difflib import get_close_matches
from pathlib import Path

import click

from edgekit.cli.options import verb_options

VERBS = Path(__file__).parent / "verbs"


def verb_names() -> list[str]:
    """Every verb, which is every public file in ``verbs/``."""
    return sorted(path.stem for path in VERBS.glob("*.py") if not path.stem.startswith("_"))


def verb_help(name: str) -> str:
    """The first line of a verb's docstring, read without importing the verb."""
    source = (VERBS / f"{name}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]


class VerbGroup(click.Group):
    """A click group whose commands are files. Click asks for a subclass to load them lazily."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs' names."""
        return verb_names()

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one verb; only names of existing files are ever imported."""
        if cmd_name not in verb_names():
            return None
        module = importlib.import_module(f"edgekit.cli.verbs.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs with their docstrings, importing none."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, verb_help(name)) for name in verb_names()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb; a misspelt one is answered with the nearest."""
        if args[0] not in verb_names() and not args[0].startswith("-"):
            near = get_close_matches(args[0], verb_names(), n=1)
            ctx.fail(
                f"no such command {args[0]!r}." + (f" Did you mean {near[0]!r}?" if near else "")
            )
        return super().resolve_command(ctx, args)


@click.group(
    cls=VerbGroup,
    help="Turn a Hugging Face language model into a verified Android bundle "
    "(.pte for ExecuTorch and .onnx), and check it, run it and look inside.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="edgekit", prog_name="edgekit")
@verb_options
def root() -> None:
    """Hold the options that every verb shares."""

"""Options that several verbs share, and the words that a shell can complete."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from edgekit.cli.output import Output

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
Words = Callable[[], list[str]]


def _set_quiet(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        ctx.ensure_object(Output).quiet = True


def _set_verbose(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        ctx.ensure_object(Output).verbose = True


def talk_options(function: Decorated) -> Decorated:
    """Add ``-q`` and ``-v``: they are taken before and after the verb."""
    function = click.option(
        "-v",
        "--verbose",
        is_flag=True,
        expose_value=False,
        callback=_set_verbose,
        help="Let libraries speak; show the traceback of an internal error.",
    )(function)
    return click.option(
        "-q",
        "--quiet",
        is_flag=True,
        expose_value=False,
        callback=_set_quiet,
        help="No progress, no remarks; results and errors only.",
    )(function)


def verb_options(function: Decorated) -> Decorated:
    """Add what every verb with a result takes: ``--json``, ``-q``, ``-v``."""
    function = talk_options(function)
    # main() looks for --json itself, because a failure to parse must be JSON too.
    return click.option(
        "--json",
        is_flag=True,
        expose_value=False,
        help="Print the result, or the failure, as exactly one JSON document.",
    )(function)


def model_options(function: Decorated) -> Decorated:
    """Add what every verb on a model takes: which one, for what, and the texts to measure with."""
    for option in (
        click.option("--revision", metavar="REV", help="Branch, tag or commit of a hub model."),
        click.option(
            "--samples",
            metavar="FILE",
            type=click.Path(),
            help="Your own texts, one a line, that quality is measured on.",
        ),
        click.option(
            "--max-length",
            metavar="N",
            type=click.IntRange(min=1),
            help="Longest input in tokens; the model's own limit unless given.",
        ),
        click.option(
            "--task",
            default="auto",
            metavar="NAME",
            shell_complete=completes(tasks),
            help="What the model is for; auto reads it from the model's files.",
        ),
    ):
        function = option(function)
    return function


def generation_options(function: Decorated) -> Decorated:
    """Add how a text is continued; the model's own defaults where nothing is said."""
    for option in (
        click.option("--raw", is_flag=True, help="Continue the text as it is: no chat template."),
        click.option("--system", metavar="TEXT", help="A message of the system before the others."),
        click.option(
            "--stop", multiple=True, metavar="TEXT", help="End the answer here; may be repeated."
        ),
        click.option(
            "--beams",
            metavar="N",
            type=int,
            help="Search for the likeliest answer with N beams, 1 for none; for models that read a "
            "text and answer it.",
        ),
        click.option("--seed", metavar="N", type=int, help="Of the random choice of tokens."),
        click.option(
            "--repetition-penalty",
            metavar="X",
            type=float,
            help="Above 1: tokens that were there already become less likely.",
        ),
        click.option(
            "--top-p",
            metavar="P",
            type=float,
            help="Choose among the likeliest tokens that make up this share.",
        ),
        click.option(
            "--temperature",
            metavar="T",
            type=float,
            help="0 takes the likeliest token, more makes answers vary.",
        ),
        click.option("--max-tokens", metavar="N", type=int, help="The most tokens of one answer."),
        click.option("--chat", is_flag=True, help="Talk to the model in the terminal."),
    ):
        function = option(function)
    return function


class CommaList(click.ParamType[tuple[str, ...]]):
    """Words separated by commas."""

    name = "list"

    def __init__(self, words: Words) -> None:
        self.words = words

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Split; an empty word is a usage error, a wrong one is judged by the library."""
        if isinstance(value, tuple):
            return value
        words = tuple(word.strip() for word in str(value).split(","))
        if not all(words):
            self.fail(f"an empty name in {value!r}", param, ctx)
        return words

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete the word after the last comma."""
        done, comma, last = incomplete.rpartition(",")
        left = [word for word in self.words() if word not in done.split(",")]
        return [CompletionItem(done + comma + word) for word in left if word.startswith(last)]


def completes(words: Words) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """A click completion callback from a function that lists the words."""

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
        return [word for word in words() if word.startswith(incomplete)]

    return complete


def targets() -> list[str]:
    """Names that ``--target`` takes."""
    from edgekit.targets import TARGETS

    return sorted(TARGETS)


def runtimes() -> list[str]:
    """Names that ``--runtime`` takes."""
    from edgekit.targets import TARGETS

    return list(dict.fromkeys(name for target in TARGETS.values() for name in target.runtimes))


def delegates() -> list[str]:
    """Names that ``--delegate`` takes."""
    from edgekit.targets import TARGETS

    lists = (names for target in TARGETS.values() for names in target.delegates.values())
    return list(dict.fromkeys(name for names in lists for name in names))


def schemes() -> list[str]:
    """Names that ``--quantize`` takes."""
    from edgekit.api import schemes as known

    return sorted(known())


def packs() -> list[str]:
    """Names of task packs."""
    from edgekit import packs as known

    return list(known.names())


def cpus() -> list[str]:
    """Names that ``--isa`` takes."""
    from edgekit.targets import TARGETS

    return list(dict.fromkeys(name for target in TARGETS.values() for name in target.emulated_cpus))


def tasks() -> list[str]:
    """Names that ``--task`` takes."""
    from edgekit.tasks import names

    return ["auto", *names()]

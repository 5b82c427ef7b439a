"""Have a big model write the small one's training data, cleaned and counted."""

from __future__ import annotations

from typing import Any

import click

from edgekit.cli import options
from edgekit.cli.output import Output


def _formats() -> list[str]:
    from edgekit.api.teach import formats

    return formats()


@click.command(context_settings={"show_default": True})
@click.option(
    "-o",
    "--output",
    "out",
    metavar="FILE.jsonl",
    type=click.Path(),
    required=True,
    help="The rows. Beside it: its report, and a journal of all answers, so that none is asked "
    "for twice.",
)
@click.option("--teacher", metavar="MODEL", help="A folder or hub id; it answers on this machine.")
@click.option("--endpoint", metavar="URL", help="An OpenAI-compatible server instead.")
@click.option("--model", metavar="NAME", help="The model at the endpoint.")
@click.option(
    "--key-env",
    metavar="NAME",
    default="OPENAI_API_KEY",
    help="Environment variable with the endpoint's key. It is written nowhere.",
)
@click.option(
    "--prompts",
    metavar="FILE",
    type=click.Path(),
    help="A prompt a line, or .csv, .jsonl or .parquet with a column input, prompt or text.",
)
@click.option(
    "--clean", metavar="FILE", type=click.Path(), help="Ask nobody; clean the rows of this file."
)
@click.option(
    "--format",
    metavar="NAME",
    default="answer",
    shell_complete=options.completes(_formats),
    help="What the rows hold: answer (prompt, completion), label (text, label) or rationale "
    "(input, rationale, label).",
)
@click.option(
    "--labels",
    metavar="A,B,C",
    type=options.CommaList(list),
    help="The only labels that the teacher may give.",
)
@click.option("--system", metavar="TEXT", help="What the teacher is told before each prompt.")
@click.option(
    "--erase-system",
    is_flag=True,
    help="Leave that out of the rows: the student finds out itself when to do so (Orca 2).",
)
@click.option("--template", metavar="TEXT", help="A text around each prompt, which is {input}.")
@click.option("--temperature", metavar="T", type=click.FloatRange(0, 2), default=0.0)
@click.option(
    "--max-tokens",
    metavar="N",
    type=click.IntRange(min=1),
    default=512,
    help="Of an answer; longer ones are dropped, not cut.",
)
@click.option("--seed", metavar="N", type=int, default=0, help="Of the sampling.")
@click.option(
    "--per-minute",
    metavar="N",
    type=click.FloatRange(0, min_open=True),
    help="Most questions in a minute.",
)
@click.option(
    "--retries",
    metavar="N",
    type=click.IntRange(0, 20),
    default=5,
    help="How often a failed question is asked again.",
)
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.FloatRange(0, min_open=True),
    default=60.0,
    help="How long to wait for an answer.",
)
@click.option(
    "--re-ask",
    metavar="N",
    type=int,
    default=0,
    help="Ask N more times; keep rows whose label has the majority.",
)
@click.option("--price-in", metavar="P", type=float, help="Cost of a million tokens read.")
@click.option("--price-out", metavar="P", type=float, help="Cost of a million tokens written.")
@click.option("--dry-run", is_flag=True, help="Say what would be asked and stop.")
@click.option(
    "--evaluation",
    metavar="FILE",
    type=click.Path(),
    help="Drop rows that hold a text of this file: they would be measured by heart.",
)
@click.option("--min-characters", metavar="N", type=int, default=1, help="Of a row's output.")
@click.option("--max-characters", metavar="N", type=int, default=20_000, help="Of a row's output.")
@click.option(
    "--script",
    metavar="NAME",
    help="Drop outputs whose letters are not of this Unicode script, such as Latin. It tells "
    "alphabets apart, not languages.",
)
@click.option(
    "--near",
    metavar="SHARE",
    type=float,
    default=0.85,
    help="Drop rows that share so many runs of three words with an earlier one.",
)
@click.option("--force", is_flag=True, help="Replace existing rows; the journal is kept.")
@options.verb_options
@click.pass_obj
def command(output: Output, /, **request: Any) -> None:
    """Have a big model write the small one's training data, cleaned and counted.

    The rows go into edgekit tune and edgekit distill as they are. A run that was killed goes on
    where it was when the same command is given again, and pays for no answer twice.
    """
    from edgekit.api.teach import teach
    from edgekit.cli import teach_view

    with output.progress() as progress:
        made = teach(progress=progress, **request)
    if output.as_json:
        output.document(teach_view.record(made))
    else:
        teach_view.summary(output, made)

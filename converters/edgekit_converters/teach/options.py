"""What a teacher is asked for, and what is kept of its answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from edgekit.errors import SpecError

ANSWER = "answer"
_PATHS = ("prompts", "out", "clean", "evaluation")
_MOST_AGAIN = 20


@dataclass(frozen=True)
class Options:
    """What was said on the command line or in Python.

    Attributes:
        out: the file of rows, JSONL.
        teacher: a Hugging Face folder, a hub id or ``minilm``; None with an endpoint.
        endpoint: base URL of an OpenAI-compatible server.
        model: the model's name at the endpoint.
        key_env: environment variable that holds the endpoint's key.
        prompts: a file with a prompt a line, or a column ``input``, ``prompt`` or ``text``.
        clean: a file of rows to clean, instead of asking anybody.
        format: a name of ``teach.formats``: what the rows hold.
        labels: the only labels that the teacher may give.
        system: the strategy that the teacher is told before each prompt.
        erase_system: leave the strategy out of the rows (Orca 2's prompt erasure).
        template: a text around each prompt, which stands for ``{input}``.
        temperature: 0 for the likeliest answer.
        max_tokens: of an answer; longer ones are dropped, not cut.
        seed: of the sampling, where the teacher takes one.
        per_minute: most questions in a minute; None for no limit.
        retries: how often a question is asked again after a failure.
        timeout: seconds to wait for an answer.
        re_ask: how often a question is asked again, to keep labels that the teacher is sure of.
        price_in: cost of a million prompt tokens, in any currency.
        price_out: cost of a million answer tokens.
        dry_run: say what would be asked; ask nothing.
        evaluation: a file whose texts must not be among the rows.
        min_characters: of a row's output.
        max_characters: of a row's output.
        script: Unicode script that most letters must be of, such as ``Latin``.
        near: Jaccard similarity from which two rows count as the same; 1 for equal words only.
        force: replace an existing file.
    """

    out: Path
    teacher: str | None = None
    endpoint: str | None = None
    model: str | None = None
    key_env: str = "OPENAI_API_KEY"
    prompts: Path | None = None
    clean: Path | None = None
    format: str = ANSWER
    labels: tuple[str, ...] | None = None
    system: str | None = None
    erase_system: bool = False
    template: str | None = None
    temperature: float = 0.0
    max_tokens: int = 512
    seed: int = 0
    per_minute: float | None = None
    retries: int = 5
    timeout: float = 60.0
    re_ask: int = 0
    price_in: float | None = None
    price_out: float | None = None
    dry_run: bool = False
    evaluation: Path | None = None
    min_characters: int = 1
    max_characters: int = 20_000
    script: str | None = None
    near: float = 0.85
    force: bool = False

    def __post_init__(self) -> None:
        sources = [name for name in ("teacher", "endpoint", "clean") if getattr(self, name)]
        if len(sources) != 1:
            raise SpecError(
                f"{' and '.join(sources) or 'no teacher'} given; exactly one is needed",
                hint="Give --teacher FOLDER, --endpoint URL, or --clean FILE.",
            )
        if self.clean is None and self.prompts is None:
            raise SpecError("no prompts are given", hint="Name a file: --prompts prompts.txt")
        if self.endpoint and not self.model:
            raise SpecError(
                "an endpoint serves many models and none is named", hint="Add --model NAME."
            )
        if self.template is not None and "{input}" not in self.template:
            raise SpecError("the template has no {input}", hint="It stands for the prompt.")
        if self.erase_system and not self.system:
            raise SpecError("there is no system prompt to erase", hint="Add --system TEXT.")
        if not 0 <= self.re_ask <= _MOST_AGAIN:
            raise SpecError(f"re-asking {self.re_ask} times", hint=f"0 to {_MOST_AGAIN}.")
        if self.re_ask and self.temperature <= 0:
            raise SpecError(
                "re-asking at temperature 0 gives the same answer again",
                hint="Add --temperature 0.7.",
            )
        if not 0.3 <= self.near <= 1:
            raise SpecError(f"a similarity of {self.near}", hint="0.3 to 1; 0.85 is usual.")


def options_from(said: Mapping[str, Any]) -> Options:
    """Options by name; None is unsaid.

    Raises:
        SpecError: there is no such option, or options contradict each other.
    """
    known = [one.name for one in fields(Options)]
    for name in said:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            raise SpecError(
                f"unknown option {name!r}",
                hint=f"Did you mean {near[0]!r}?" if near else f"Options: {', '.join(known)}.",
            )
    given = {name: value for name, value in said.items() if value is not None}
    if "out" not in given:
        raise SpecError("no output file is given", hint="Name one: -o data.jsonl")
    given |= {name: Path(given[name]) for name in _PATHS if name in given}
    if "teacher" in given:
        given["teacher"] = str(given["teacher"])
    if "labels" in given:
        given["labels"] = tuple(given["labels"])
    return Options(**given)

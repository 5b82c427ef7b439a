"""What a fine-tuning run is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from edgekit.errors import SpecError

AUTO = "auto"
_LARGEST_RANK = 512


@dataclass(frozen=True)
class Options:
    """What was said on the command line or in Python.

    Attributes:
        data: files with training rows.
        validation: a file with the rows to measure on; None to hold some of the data out.
        task: a name of ``tune.tasks``, or ``auto`` to see it from the columns.
        columns: our name of a column -> its name in the files.
        kind: kind of data where its values do not tell: single, multi or regression labels.
        labels: the only labels that may occur, in the order of a new head's outputs; None for
            those of the data.
        epochs: passes over the data; 3 where no steps are given.
        steps: updates of the weights, instead of epochs.
        batch: rows of one update.
        accumulate: parts that a batch is computed in, to need less memory.
        learning_rate: the largest; 5e-5, or 5e-4 with LoRA, unless given.
        lora: rank of the adapters that are trained instead of the weights; None for the weights.
        max_length: most tokens of an input; at most 512 of what the model takes unless given.
        held_out: share of the data to measure on.
        patience: looks at the held-out rows without improvement after which training stops; 0 for
            never.
        seed: of the split, the new head, the order of rows and dropout.
    """

    data: tuple[Path, ...]
    validation: Path | None = None
    task: str = AUTO
    columns: Mapping[str, str] = field(default_factory=dict)
    kind: str | None = None
    labels: tuple[str, ...] | None = None
    epochs: float | None = None
    steps: int | None = None
    batch: int = 16
    accumulate: int = 1
    learning_rate: float | None = None
    lora: int | None = None
    max_length: int | None = None
    held_out: float = 0.1
    patience: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.data:
            raise SpecError("no data is given", hint="Name a file: --data rows.csv")
        if self.epochs is not None and self.steps is not None:
            raise SpecError("both --epochs and --steps are given", hint="Give one of them.")
        if self.epochs is not None and not 0 < self.epochs < 10_000:
            raise SpecError(f"{self.epochs:g} epochs", hint="Try 3.")
        if self.lora is not None and not 1 <= self.lora <= _LARGEST_RANK:
            raise SpecError(f"LoRA of rank {self.lora}", hint=f"1 to {_LARGEST_RANK}; try 16.")
        if self.seed < 0 or self.seed >= 2**32:
            raise SpecError(f"a seed of {self.seed}", hint="0 to 4294967295.")


def options_from(said: Mapping[str, Any]) -> Options:
    """Options by name, as they come from Python or the command line; None is unsaid.

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
    data = given.get("data", ())
    data = (data,) if isinstance(data, str | Path) else data
    given["data"] = tuple(Path(path) for path in data)
    if "validation" in given:
        given["validation"] = Path(given["validation"])
    if "labels" in given:
        given["labels"] = tuple(given["labels"])
    return Options(**given)

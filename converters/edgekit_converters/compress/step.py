"""What a stage is given: the model as the stages before left it, the original, and the rows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.errors import SpecError
from edgekit.stages import ProgressCallback
from edgekit_converters.compress.rows import Rows
from edgekit_converters.prune.subject import Subject


@dataclass(frozen=True)
class Setting:
    """What is settled before the first stage begins.

    Attributes:
        original: the model of the job, loaded.
        rows: to train with, and to measure with.
        recipe: the file.
        bridged: an earlier stage of the recipe gives the model another vocabulary.
    """

    original: Subject
    rows: Rows
    recipe: Path
    bridged: bool = False


@dataclass(frozen=True)
class Step:
    """One stage at work.

    Attributes:
        setting: of the job.
        model: what the user named: the original.
        folder: what the stages before left; None for the first.
        out: the new folder.
        max_length: most tokens of a text; the model's own when None.
        revision: of an original on the hub.
        progress: told of the stage's own stages.
    """

    setting: Setting
    model: str | Path
    folder: Path | None
    out: Path
    max_length: int | None
    revision: str | None
    progress: ProgressCallback

    @property
    def origin(self) -> dict[str, Any]:
        """The stage's input and what else finds it, as stages take it."""
        if self.folder is None:
            return {"model": self.model, "revision": self.revision}
        return {"model": self.folder}


def refuse(table: dict[str, Any], keys: tuple[str, ...], why: str) -> None:
    """Refuse keys that a stage has by itself and that mean nothing in a recipe of several.

    Raises:
        SpecError: the first of them that is there.
    """
    for key in keys:
        if key in table:
            raise SpecError(f"{key} has no place in a recipe of several stages", hint=why)

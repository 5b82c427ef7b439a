"""The job that makes a small model of a large one. A request to the converters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.api.packages import packages_present
from edgekit.errors import SpecError
from edgekit.stages import ProgressCallback

if TYPE_CHECKING:
    from edgekit_converters.distill.report import Distilled as Distilled


def distill(
    teacher: str | Path,
    data: Sequence[str | Path],
    *,
    out: str | Path | None = None,
    student: str | Path | None = None,
    layers: int | str | None = None,
    config: str | Path | None = None,
    recipe: str | Path | None = None,
    task: str = "auto",
    bridge_tokenizer: bool = False,
    revision: str | None = None,
    force: bool = False,
    progress: ProgressCallback | None = None,
    **options: Any,
) -> Distilled:
    """Teach a student: an ordinary Hugging Face folder, smaller, that answers like its teacher.

    Args:
        teacher: a Hugging Face folder, a hub id, or ``minilm``.
        data: files to learn from: texts, or texts with labels; a tenth is held out to measure on.
        out: the new folder; named after the teacher unless given.
        student: a model that the student begins as.
        layers: how many of the teacher's layers it begins with (the best ones are searched), or
            which: ``"0,3,5"``.
        config: JSON file with the sizes in which it differs from the teacher.
        recipe: TOML file with options and losses; arguments win over it.
        task: what the teacher is for; ``auto`` reads it from its files.
        bridge_tokenizer: let teacher and student cut texts into different tokens.
        revision: branch, tag or commit of a hub model.
        force: replace an existing distilled folder.
        progress: told of each stage.
        options: ``loss`` (such as ``"relations,similarity=0.5"``), ``steps``, ``batch``,
            ``accumulate``, ``learning_rate``, ``evaluate_every``, ``patience``, ``max_length``,
            ``held_out``, ``seed``, ``controls`` and ``repair`` (False to leave them out),
            ``cache_mb`` and the other keys of a recipe.

    Returns:
        The folder and its report.

    Raises:
        SpecError: an unknown name or option, or options that contradict each other.
        InputMissing, InputRefused: a model or data are missing, damaged or do not fit.
        CheckFailed: the loss is no number any more; the last good checkpoint stays.
        Unsupported: the architecture or the task has no distillation here.
        Unavailable: torch and its companions are not installed.
        CannotWrite, StorageFull: nothing was left behind but whole checkpoints, which the same
            call goes on from.
    """
    if not data:
        raise SpecError("no data to learn from", hint="Name a file of texts with --data.")
    with packages_present():
        from edgekit_converters.distill import distilling
        from edgekit_converters.distill import recipe as recipes
        from edgekit_converters.distill.wanted import beginning

        return distilling.distill(
            teacher,
            [Path(file) for file in data],
            out=None if out is None else Path(out),
            beginning=beginning(
                student,
                None if layers is None else str(layers),
                None if config is None else Path(config),
            ),
            said=recipes.said(options),
            recipe=None if recipe is None else Path(recipe),
            task=task,
            bridge=bridge_tokenizer,
            revision=revision,
            force=force,
            progress=progress,
        )


def losses() -> Mapping[str, str]:
    """Every loss with its first line of documentation."""
    with packages_present():
        from edgekit_converters.distill.losses import summaries

        return summaries()

"""Several stages from one recipe, to a bundle. A request to the converters."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.api.packages import packages_present
from edgekit.api.paths import path_of
from edgekit.stages import ProgressCallback

if TYPE_CHECKING:
    from edgekit_converters.compress.job import Compressed as Compressed


def compress(
    model: str | Path,
    recipe: str | Path,
    *,
    out: str | Path | None = None,
    data: str | Path | None = None,
    task: str = "auto",
    revision: str | None = None,
    force: bool = False,
    keep_stages: bool = False,
    progress: ProgressCallback | None = None,
) -> Compressed:
    """Prune, distill and quantize as a recipe says, and export the result as a verified bundle.

    Args:
        model: a Hugging Face folder, a hub id, or ``minilm``.
        recipe: TOML file with ``[[stages]]`` and ``[export]``; see ``docs/compress.md``.
        out: the bundle's folder; named after the model unless given.
        data: texts to train with; a part of them is never trained on, and every figure of the
            record is measured on it.
        task: what the model is for; ``auto`` reads it from its files.
        revision: branch, tag or commit of a hub model.
        force: replace an existing bundle.
        keep_stages: keep the folders of single stages in ``NAME.stages`` beside the bundle.
        progress: told of each stage.

    Returns:
        The bundle's folder and the figures after each stage.

    Raises:
        SpecError, Unsupported: a mistake in any stage, named, before the first one begins.
        InputMissing, InputRefused, PermissionRefused, Unavailable: model, recipe or data cannot be
            had or used.
        CheckFailed: a stage or an artifact did not hold; whole stages stay for the same call.
        CannotWrite, StorageFull: there is no half of anything.
    """
    with packages_present():
        from edgekit_converters.compress import job

        return job.compress(
            model,
            Path(recipe),
            out=path_of(out),
            data=path_of(data),
            task=task,
            revision=revision,
            force=force,
            keep_stages=keep_stages,
            progress=progress,
        )

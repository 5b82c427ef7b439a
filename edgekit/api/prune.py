"""Pruning: a request to the converters."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.api.packages import packages_present
from edgekit.api.paths import path_of
from edgekit.stages import ProgressCallback

if TYPE_CHECKING:
    from edgekit_converters.prune.job import PrunedFolder as PrunedFolder
    from edgekit_converters.prune.scan import Scan as Scan


def prune(
    model: str | Path,
    *,
    out: str | Path | None = None,
    recipe: str | Path | None = None,
    task: str = "auto",
    max_length: int | None = None,
    samples: str | Path | None = None,
    revision: str | None = None,
    force: bool = False,
    progress: ProgressCallback | None = None,
    **options: Any,
) -> PrunedFolder:
    """Remove what matters least of a model: a smaller folder of the same architecture.

    Args:
        model: a Hugging Face folder, a hub id, or ``minilm``.
        out: the new folder; named after the model, the granularity and the amount unless given.
        recipe: TOML file with options; arguments win over it.
        task: what the model is for; ``auto`` reads it from the config.
        max_length: longest input in tokens; the model's own limit unless given.
        samples: file of real texts, one a line, that quality is measured on.
        revision: branch, tag or commit of a hub model.
        force: replace an existing pruned folder.
        progress: told of each stage.
        options: ``method``, ``granularity``, ``amount``, ``schedule``, ``rounds``, ``allocation``,
            ``lift``, ``data``, ``repair``, ``retrain``, ``seed``, ``control``, ``measure``: what
            ``edgekit prune --help`` lists.

    Raises:
        SpecError: an unknown name or option, or options that contradict each other.
        Unsupported: the architecture has no such units.
        InputMissing, InputRefused: model, recipe or texts are missing, damaged or do not fit.
        Unavailable, CannotWrite, StorageFull: as for ``export``.
    """
    with packages_present():
        from edgekit_converters.prune import job

        return job.prune(
            model,
            options,
            out=path_of(out),
            recipe=path_of(recipe),
            task=task,
            max_length=max_length,
            samples_file=path_of(samples),
            revision=revision,
            force=force,
            progress=progress,
        )


def prune_scan(
    model: str | Path,
    *,
    recipe: str | Path | None = None,
    task: str = "auto",
    max_length: int | None = None,
    samples: str | Path | None = None,
    revision: str | None = None,
    progress: ProgressCallback | None = None,
    **options: Any,
) -> Scan:
    """What each part of a model would lose by each amount, nothing being written.

    Args:
        model: a Hugging Face folder, a hub id, or ``minilm``.
        recipe: TOML file with options; arguments win over it.
        task: what the model is for; ``auto`` reads it from the config.
        max_length: longest input in tokens; the model's own limit unless given.
        samples: file of real texts, one a line, that quality is measured on.
        revision: branch, tag or commit of a hub model.
        progress: told of each stage.
        options: ``method``, ``granularity``, ``amounts``, ``data``, ``lift``, ``seed``, ``plot``.

    Raises:
        SpecError, Unsupported, InputMissing, InputRefused, Unavailable: as for ``prune``.
    """
    with packages_present():
        from edgekit_converters.prune import scan

        return scan.run(
            model,
            options,
            recipe=path_of(recipe),
            task=task,
            max_length=max_length,
            samples_file=path_of(samples),
            revision=revision,
            progress=progress,
        )


def prune_names(kind: str) -> tuple[str, ...]:
    """Names that an option takes: ``methods`` or ``granularities``."""
    from edgekit_converters.prune import request

    return request.methods() if kind == "methods" else request.granularities()

"""Fine-tune a model on rows of data: a request to the converters."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.api.packages import packages_present
from edgekit.stages import ProgressCallback

if TYPE_CHECKING:
    from edgekit_converters.tune.record import Tuned as Tuned


def tune(
    model: str | Path,
    *,
    out: str | Path | None = None,
    revision: str | None = None,
    force: bool = False,
    progress: ProgressCallback | None = None,
    **options: Any,
) -> Tuned:
    """Fine-tune a model: a folder and rows of data in, an ordinary Hugging Face folder out.

    A run that was killed goes on from its last checkpoint when it is called again.

    Args:
        model: a Hugging Face folder, a hub id, or ``minilm``.
        out: the new folder; ``NAME-tuned`` unless given.
        revision: branch, tag or commit of a hub model.
        force: replace an existing tuned folder.
        progress: told of each stage.
        options: ``data`` (files), and what ``edgekit tune --help`` lists: ``validation``, ``task``,
            ``columns``, ``kind``, ``labels``, ``epochs``, ``steps``, ``batch``, ``accumulate``,
            ``learning_rate``, ``lora``, ``max_length``, ``held_out``, ``patience``, ``seed``.

    Raises:
        SpecError: an unknown name or option, or options that contradict each other.
        InputMissing, InputRefused: model or data are missing, damaged or do not fit; a wrong row is
            named.
        CheckFailed: training diverged.
        TemporaryFailure: another run is training the same output.
        Unsupported, Unavailable, CannotWrite, StorageFull: as for ``export``.

    Example:
        >>> from edgekit.api.tune import tune
        >>> made = tune("minilm", data="tickets.csv", out="tickets")  # doctest: +SKIP
        >>> made.report["metrics"]["after"]["accuracy"]  # doctest: +SKIP
    """
    with packages_present():
        from edgekit_converters.tune import job
        from edgekit_converters.tune.options import options_from

        return job.tune(
            model,
            options_from(options),
            out=None if out is None else Path(out),
            revision=revision,
            force=force,
            progress=progress,
        )


def tasks() -> list[str]:
    """Names that a tuning's ``task`` takes."""
    with packages_present():
        from edgekit_converters.tune.tasks import names

        return names()

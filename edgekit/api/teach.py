"""Have a teacher write training data: a request to the converters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgekit.api.packages import packages_present
from edgekit.stages import ProgressCallback

if TYPE_CHECKING:
    from edgekit_converters.teach.job import Taught as Taught


def teach(*, progress: ProgressCallback | None = None, **options: Any) -> Taught:
    """Ask a teacher for training data, or clean what one wrote before.

    Answers are kept as they come; the same call after a kill asks for nothing twice.

    Args:
        progress: told of each stage.
        options: ``out`` (the file of rows, JSONL); one of ``teacher`` (a model), ``endpoint`` (a
            URL, with ``model``) and ``clean`` (a file of rows); ``prompts``; and what
            ``edgekit teach --help`` lists: ``format``, ``labels``, ``system``, ``erase_system``,
            ``template``, ``temperature``, ``max_tokens``, ``seed``, ``per_minute``, ``retries``,
            ``timeout``, ``key_env``, ``re_ask``, ``price_in``, ``price_out``, ``dry_run``,
            ``evaluation``, ``min_characters``, ``max_characters``, ``script``, ``near``, ``force``.

    Raises:
        SpecError: an unknown name or option, or options that contradict each other.
        InputMissing, InputRefused: a file cannot be used, or the endpoint refuses the question.
        PermissionRefused: the endpoint refuses the key.
        Unavailable: nothing answers at the endpoint, or a package is not installed.
        TemporaryFailure: the endpoint failed too often; the answers so far are kept.
        CheckFailed: no row is left.
        CannotWrite, StorageFull: the rows cannot be written.

    Example:
        >>> from edgekit.api.teach import teach
        >>> made = teach(teacher="big", prompts="p.txt", out="data.jsonl")  # doctest: +SKIP
        >>> made.report["rows"]  # doctest: +SKIP
    """
    with packages_present():
        from edgekit_converters.teach import job
        from edgekit_converters.teach.options import options_from

        return job.teach(options_from(options), progress)


def formats() -> list[str]:
    """Names that ``format`` takes."""
    with packages_present():
        from edgekit_converters.teach.formats import names

        return names()

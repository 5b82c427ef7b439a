"""What a model that is no bundle is for, and whether its answers are texts."""

from __future__ import annotations

from pathlib import Path

from edgekit_converters.detect import task_of
from edgekit_converters.folder import check
from edgekit_converters.source import resolve
from edgekit_converters.tasks import head_module

AUTO = "auto"


def settled_task(model: str | Path, task: str = AUTO) -> str:
    """The task of a model: the one that was named, or what its files say.

    Args:
        model: a Hugging Face folder, a hub id or ``minilm``.
        task: a name of ``edgekit.tasks``, or ``auto``.

    Raises:
        SpecError: files that do not tell it.
        InputMissing, InputRefused, Unsupported: there is no such model.
    """
    if task != AUTO:
        return task
    source = resolve(model)
    return task_of(source.folder, check(source.folder).config)


def writes(model: str | Path, task: str = AUTO) -> bool:
    """Whether a model's answers are texts that come from a loop, token by token.

    Arguments and failures as of ``settled_task``.

    Raises:
        SpecError: an unknown task as well.
    """
    return hasattr(head_module(settled_task(model, task)), "BUILD")

"""Ask a model inside a scoring generator: the query's passes are yielded, the answer comes back."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from edgekit.runtime import Floats
from edgekit.runtime.encode import Inputs, unpad
from edgekit.scoring.kinds import Asked
from edgekit.tasks import Query, Run, pairs, takes_windows

Passing = Generator[Inputs, Floats, list[Run]]


def passed(asked: Asked, query: Query) -> Passing:
    """The passes of a query; yields each one's inputs and takes its output.

    Raises:
        TextRefused: a text is too long, or not what the task needs.
    """
    encoded = [
        one
        for first, second in pairs(asked.task, query, asked.context)
        for one in asked.encoder.passes(first, second, windows=takes_windows(asked.task))
    ]
    runs = []
    for one in encoded:
        output = yield one.inputs
        runs.append(Run(*unpad(output, one.inputs), one.offsets, one.words, one.sequences))
    return runs


def answered(asked: Asked, query: Query) -> Generator[Inputs, Floats, dict[str, Any]]:
    """The task's first answer to a query, as ``edgekit run`` gives it."""
    runs = yield from passed(asked, query)
    return asked.task.answer(runs, query, asked.context)

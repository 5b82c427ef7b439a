"""Ask a loaded artifact: one query, one or several passes, one answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from edgekit.runtime import Floats
from edgekit.runtime.encode import Encoder, Inputs, unpad
from edgekit.tasks import Query, Run, Task, pairs, takes_windows


def ask(
    of: Task, encoder: Encoder, run: Callable[[Inputs], Floats], query: Query, top_k: int = 5
) -> dict[str, Any]:
    """The task's answer to a query.

    Args:
        of: the task.
        encoder: of the bundle.
        run: one pass through an artifact: named inputs to its output.
        query: what is asked.
        top_k: candidates to give where there are many.

    Raises:
        TextRefused: a text is empty, too long, or not what the task needs.
        SpecError: the query's options do not fit.
    """
    context = replace(encoder.context, top_k=top_k)
    runs = []
    for first, second in pairs(of, query, context):
        for encoded in encoder.passes(first, second, windows=takes_windows(of)):
            output, ids = unpad(run(encoded.inputs), encoded.inputs)
            runs.append(Run(output, ids, encoded.offsets, encoded.words, encoded.sequences))
    return of.answer(runs, query, context)

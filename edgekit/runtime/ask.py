"""Ask a loaded artifact: queries, one or several texts each, one answer a query."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from edgekit.errors import TextRefused
from edgekit.runtime import Floats
from edgekit.runtime.encode import Encoded, Encoder, Inputs, unpad
from edgekit.tasks import Query, Run, Task, pairs, takes_windows


def ask(
    of: Task,
    encoder: Encoder,
    run: Callable[[Sequence[Inputs]], Sequence[Floats]],
    queries: Sequence[Query],
    top_k: int = 5,
) -> Iterator[dict[str, Any]]:
    """The task's answers to queries whose texts go through the artifact together.

    Args:
        of: the task.
        encoder: of the bundle.
        run: what an artifact gives for each of some texts: named inputs to outputs.
        queries: what is asked; those before a refused one are answered first.
        top_k: candidates to give where there are many.

    Raises:
        TextRefused: a text is empty, too long, or not what the task needs.
        SpecError: a query's options do not fit.
    """
    context = replace(encoder.context, top_k=top_k)
    encoded: list[list[Encoded]] = []
    refused: TextRefused | None = None
    for query in queries:
        try:
            encoded.append(
                [
                    one
                    for first, second in pairs(of, query, context)
                    for one in encoder.passes(first, second, windows=takes_windows(of))
                ]
            )
        except TextRefused as error:
            refused = error
            break
    outputs = iter(run([one.inputs for texts in encoded for one in texts]))
    for query, texts in zip(queries, encoded, strict=False):
        runs = [
            Run(*unpad(next(outputs), one.inputs), one.offsets, one.words, one.sequences)
            for one in texts
        ]
        yield of.answer(runs, query, context)
    if refused is not None:
        raise refused

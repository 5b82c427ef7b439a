"""Answers that changed against the first contestant's, counted, with examples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from edgekit.scoring.document import Board
from edgekit.scoring.journal import Entry

Answers = Callable[[], Iterable[Entry]]
_LONGEST = 160


def note(
    board: Board,
    answers: Sequence[Answers],
    texts: Callable[[Sequence[int]], dict[int, str]],
    examples: int,
) -> None:
    """Count changed answers into every standing but the first.

    Args:
        board: with the contestants that answered.
        answers: each one's entries, in the order of the standings.
        texts: gives what rows of some numbers say.
        examples: how many to show of each; those that became wrong come first.
    """
    for standing, other in zip(board.standings[1:], answers[1:], strict=True):
        standing.flips = _compared(board, answers[0](), other(), examples)
    shown = [one for standing in board.standings[1:] for one in standing.flips["examples"]]
    if not shown:
        return
    said = texts(sorted({one["row"] for one in shown}))
    for one in shown:
        one["text"] = said.get(one["row"], "")[:_LONGEST]


def _compared(
    board: Board, first: Iterable[Entry], other: Iterable[Entry], examples: int
) -> dict[str, Any]:
    counts = {"now wrong": 0, "now right": 0, "otherwise": 0}
    kept: dict[str, list[dict[str, Any]]] = {name: [] for name in counts}
    for one, two in zip(first, other, strict=True):
        if one.mark is None or two.mark is None or not board.scored[one.row - 1]:
            continue
        # Without right and wrong every last digit would be a change.
        if one.mark.right is None or one.mark.shown == two.mark.shown:
            continue
        what = "otherwise"
        if one.mark.right != two.mark.right:
            what = "now right" if two.mark.right else "now wrong"
        counts[what] += 1
        if len(kept[what]) < examples:
            kept[what].append(
                {
                    "row": one.row,
                    "what": what,
                    "wanted": one.mark.wanted,
                    "first": one.mark.shown,
                    "this": two.mark.shown,
                }
            )
    chosen = [example for name in counts for example in kept[name]][:examples]
    return {"counts": counts, "examples": chosen}

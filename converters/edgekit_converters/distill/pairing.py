"""Which layer of the teacher a layer of the student follows. Layers are numbered from 1."""

from __future__ import annotations

SKIP = "skip"
LAST = "last"


def all_pairs(student: int, teacher: int) -> list[tuple[int, int]]:
    """Every student layer and the evenly spaced teacher layer: the last follows the last."""
    return [(own, max(1, own * teacher // student)) for own in range(1, student + 1)]


def inner_pairs(student: int, teacher: int, way: str) -> list[tuple[int, int]]:
    """Pairs without the last layer, which the logits already bind; all of it where there is one.

    Args:
        student: its layers.
        teacher: its layers.
        way: ``skip`` for evenly spaced teacher layers, ``last`` for the highest ones.
    """
    if student == 1:
        return [(1, teacher)]
    if way == SKIP:
        return all_pairs(student, teacher)[:-1]
    return [(own, max(1, teacher - student + own)) for own in range(1, student)]

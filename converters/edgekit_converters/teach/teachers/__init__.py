"""Who answers: a local folder, or an endpoint. One kind a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Answered:
    """One answer.

    Attributes:
        text: what was said.
        prompt_tokens: that were read.
        answer_tokens: that were written.
        whole: whether the teacher came to its end, and was not cut at the limit.
    """

    text: str
    prompt_tokens: int
    answer_tokens: int
    whole: bool


class Teacher(Protocol):
    """The interface of a teacher.

    Attributes:
        identity: what answers depend on besides the question; never a key.
        exact: whether ``count`` is exact.
    """

    identity: str
    exact: bool

    def ask(self, messages: list[dict[str, str]], seed: int) -> Answered: ...  # noqa: D102

    def count(self, messages: list[dict[str, str]]) -> int: ...  # noqa: D102

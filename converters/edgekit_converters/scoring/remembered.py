"""Answers to lm-eval's requests, kept on the disk as they come: a stopped run goes on from them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from edgekit.scoring import journal
from edgekit_converters.scoring.language_model import Told

_FORMAT = "requests 1"
# What lm-eval asks a model for.
_KINDS = ("loglikelihood", "loglikelihood_rolling", "generate_until")
# So many requests a kill can cost.
_TOGETHER = 16

Answer = Any  # a pair of likelihood and greediness, a likelihood, or a text
Ask = Callable[..., Sequence[Answer]]


class Remembered:
    """One model's answers by what was asked.

    Attributes:
        resumed: answers of an earlier run.
    """

    def __init__(self, path: Path, identity: str, told: Told, check: Callable[[], None]) -> None:
        """Read what an earlier run was told.

        Args:
            path: the file.
            identity: a digest of the model, its tokenizer included.
            told: of requests that are answered, and all of their kind.
            check: raises what makes the model's last answers worthless; they are not kept then.

        Raises:
            CannotWrite, StorageFull: the file cannot be written.
        """
        self._kept = journal.Lines(path, journal.key_of(_FORMAT, identity))
        self._answers = {}
        if self._kept.done:
            self._answers = {key: answer for key, answer in journal.lines(path)}
        self.resumed = len(self._answers)
        self._told, self._check = told, check

    def attach(self, model: Any) -> None:
        """Let a model of lm-eval answer through this."""
        for kind in _KINDS:
            setattr(model, kind, partial(self._asked, kind, getattr(model, kind)))

    def close(self) -> None:
        """Write what is buffered."""
        self._kept.close()

    def _asked(
        self, kind: str, ask: Ask, requests: Sequence[Any], disable_tqdm: bool = False
    ) -> list[Answer]:
        keys = [journal.key_of(kind, _plain(request.args)) for request in requests]
        lacking = {key: one for key, one in zip(keys, requests, strict=True) if key not in self}
        # Neighbours begin alike, and what they have in common is read once.
        order = sorted(lacking, key=lambda key: json.dumps(_plain(lacking[key].args)))
        for start in range(0, len(order), _TOGETHER):
            batch = order[start : start + _TOGETHER]
            found = ask([lacking[key] for key in batch], disable_tqdm=True)
            self._check()
            for key, answer in zip(batch, found, strict=True):
                self._answers[key] = _plain(answer)
                self._kept.add([key, self._answers[key]])
            self._kept.flush()
            self._told(len(requests) - len(order) + start + len(batch), len(requests))
        return [_whole(self._answers[key]) for key in keys]

    def __contains__(self, key: str) -> bool:
        return key in self._answers


def _plain(value: Any) -> Any:
    """Request or answer as JSON has it, numbers of NumPy and PyTorch included."""
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if value is None or isinstance(value, str | bool | int):
        return value
    return bool(value) if str(getattr(value, "dtype", "")).startswith("bool") else float(value)


def _whole(answer: Any) -> Answer:
    return tuple(answer) if isinstance(answer, list) else answer

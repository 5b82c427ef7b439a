"""Read texts through a decoder in a child process, token by token, and say what it expected."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from edgekit.bundle.manifest import Signature
from edgekit.runtime import Floats
from edgekit.runtime.generation.loop import Steps
from edgekit.runtime.generation.seq2seq import TextSteps
from edgekit.runtime.generation.seq2seq_signature import answers_texts
from edgekit.runtime.replay import in_child, serve


@dataclass(frozen=True)
class Passage:
    """A text to read.

    Attributes:
        ids: the whole text.
        prompt: how many of them are read in one pass; the rest one by one.
        more: tokens to add greedily when the text is read.
        text: what an encoder-decoder answers with ``ids``; empty for a decoder.
    """

    ids: tuple[int, ...]
    prompt: int
    more: int = 0
    text: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Reading:
    """What a decoder made of a passage.

    Attributes:
        rows: logits after token ``prompt`` and every later one, ``(len(ids) - prompt + 1,
            vocabulary)``.
        answer: the ids that it added.
    """

    rows: Floats
    answer: tuple[int, ...]


def replay(
    runtime: str,
    path: Path,
    signature: Signature,
    passages: Sequence[Passage],
    timeout: float = 600.0,
) -> list[Reading]:
    """Read ``passages`` through an artifact, in order; see ``edgekit.runtime.replay.replay``."""
    samples = [
        {
            "ids": np.array(passage.ids, dtype=np.int64),
            "counts": np.array([passage.prompt, passage.more], dtype=np.int64),
            **({"text": np.array(passage.text, dtype=np.int64)} if passage.text else {}),
        }
        for passage in passages
    ]
    found = in_child(__name__, runtime, path, signature, samples, timeout)
    return [Reading(one["rows"], tuple(one["answer"].tolist())) for one in found]


def read(steps: Steps, passage: Passage) -> Reading:
    """Read one passage."""
    if passage.text:
        cast(TextSteps, steps).read(passage.text)
    ids, prompt = list(passage.ids), passage.prompt
    rows = [steps.feed(ids[:prompt], 0)]
    rows += [steps.feed([ids[at]], at) for at in range(prompt, len(ids))]
    answer: list[int] = []
    last = rows[-1]
    while len(answer) < passage.more:
        answer.append(int(last.argmax()))
        if len(answer) < passage.more:
            last = steps.feed([answer[-1]], len(ids) + len(answer) - 1)
    return Reading(np.stack(rows), tuple(answer))


def open_steps(runtime: str, path: Path, signature: Signature) -> Steps:
    """A runtime's decoder or encoder-decoder, by its signature.

    The name is one that ``edgekit.runtime.load_runtime`` knows.

    Raises:
        ImportError: the runtime is not installed.
        InternalError: it refused the file.
    """
    kind = f"seq2seq_{runtime}" if answers_texts(signature) else runtime
    module: Any = importlib.import_module(f"edgekit.runtime.generation.{kind}")
    return cast(Steps, module.open_steps(path, signature))


def _work(
    runtime: str, path: Path, signature: Signature, samples: list[dict[str, Any]]
) -> list[Mapping[str, NDArray[Any]]]:
    steps = open_steps(runtime, path, signature)
    made: list[Mapping[str, NDArray[Any]]] = []
    for sample in samples:
        prompt, more = sample["counts"].tolist()
        text = tuple(sample["text"].tolist()) if "text" in sample else ()
        found = read(steps, Passage(tuple(sample["ids"].tolist()), prompt, more, text))
        made.append({"rows": found.rows, "answer": np.array(found.answer, dtype=np.int64)})
    steps.close()
    return made


if __name__ == "__main__":
    serve(_work)

"""Texts read through a decoder at a place, token by token: the logits of every pass come back."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgekit.bundle.disk import as_write_errors
from edgekit.device import stream
from edgekit.device.job import Job, Runtime
from edgekit.device.places import Place
from edgekit.device.protocol import Event
from edgekit.errors import DeviceReplyRefused, InputMissing, InputRefused

Floats = NDArray[np.float32]

# Logits that lie at a place, and then here, at one time.
_MOST_BYTES = 64 * 2**20
_HINT = "The runner or the place is broken: build the runner anew with edgekit runner build --force"


@dataclass(frozen=True)
class Passage:
    """A text to read: the first ``prompt`` ids in one pass, the others one by one."""

    ids: tuple[int, ...]
    prompt: int

    @property
    def passes(self) -> int:
        """How many rows of logits it gives."""
        return len(self.ids) - self.prompt + 1


def read(
    place: Place,
    runtime: Runtime,
    model: str,
    passages: Sequence[Passage],
    *,
    context: int,
    vocabulary: int,
    timeout: float,
    threads: int | None = None,
    on_event: Callable[[Event], None] = lambda event: None,
) -> Iterator[Floats]:
    """Read passages through a decoder that lies at a place.

    Args:
        place: where.
        runtime: which runner.
        model: the artifact's name in the working folder.
        passages: at least one id each, within context and vocabulary.
        context: the most tokens in all.
        vocabulary: number of token ids.
        timeout: seconds for each job.
        threads: of the runtime; None for its own choice.
        on_event: told of the runner's events.

    Yields:
        Logits after the prompt and after every later token, ``(passes, vocabulary)``, a passage at
        a time, in their order.

    Raises:
        DeviceReplyRefused: what came back is not an answer to what was sent.
        EdgekitError: whatever the place raises.
    """
    job = Job(
        mode="goldens",
        runtime=runtime,
        model=model,
        inputs="inputs",
        outputs="outputs",
        threads=threads,
        context=context,
    )
    for batch in _batches(passages, 4 * vocabulary):
        with tempfile.TemporaryDirectory(prefix="edgekit-readings-") as name:
            given, made = Path(name, "inputs"), Path(name, "outputs")
            with as_write_errors(given):
                stream.write(given, [_tensors(passage) for passage in batch])
            place.put({"inputs": given})
            place.run(job, timeout=timeout, on_event=on_event)
            yield from _answers(place, made, [(one.passes, vocabulary) for one in batch])


def _tensors(passage: Passage) -> list[NDArray[np.int64]]:
    ids = np.array([passage.ids], dtype=np.int64)
    return [ids, np.array([passage.prompt], dtype=np.int64)]


def _batches(passages: Sequence[Passage], row: int) -> Iterator[list[Passage]]:
    """As many at a time as have logits for the bound, one at least."""
    batch: list[Passage] = []
    size = 0
    for passage in passages:
        if batch and size + passage.passes * row > _MOST_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(passage)
        size += passage.passes * row
    if batch:
        yield batch


def _answers(place: Place, made: Path, shapes: Sequence[tuple[int, int]]) -> list[Floats]:
    try:
        place.fetch("outputs", made)
        answers = stream.read(made)
    except InputMissing:
        reason = "the runner says that it is done, and its outputs are missing"
        raise DeviceReplyRefused(f"{place.name}: {reason}", hint=_HINT) from None
    except InputRefused as error:
        reason = f"its outputs: {error.message}"
        raise DeviceReplyRefused(f"{place.name}: {reason}", hint=_HINT) from None
    found = [(answer[0].shape, answer[0].dtype) if len(answer) == 1 else None for answer in answers]
    wanted = [(shape, np.dtype(np.float32)) for shape in shapes]
    if found != wanted:
        raise DeviceReplyRefused(
            f"{place.name}: the logits that came back are not those of the texts that were sent",
            hint=_HINT,
        )
    return [answer[0] for answer in answers]

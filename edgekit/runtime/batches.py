"""Several texts in one pass, for artifacts that were made for a batch: filled up and taken apart.

Such an artifact has a fixed number of texts, any length that all of them are padded to, and a
padding mask; each text gets the answer that it gets alone. Everywhere else one text is one sample,
``(1, tokens)``: samples become passes here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from edgekit.bundle.manifest import Signature
from edgekit.runtime import Floats, Session, Tensors
from edgekit.runtime.encode import MASK, Inputs

Answer = Callable[[Sequence[Inputs]], Sequence[Floats]]

# Full passes whose texts are sorted by length, so that little is padded.
_PASSES = 8


def at_a_time(signature: Signature) -> int:
    """How many texts are best given to ``answers`` at a time; 1 for an artifact without a batch."""
    return 1 if signature.texts == 1 else _PASSES * signature.texts


def stacked(samples: Sequence[Inputs], signature: Signature, pad_id: int = 0) -> Inputs:
    """One to ``signature.texts`` samples as the inputs of one pass, ``(texts, longest)``.

    Places without a text repeat the first one: its answer is computed and not looked at.

    Args:
        samples: one text each; a mask of their own is kept.
        signature: of the artifact.
        pad_id: fills up shorter texts.
    """
    filled = [*samples, *[samples[0]] * (signature.texts - len(samples))]
    longest = max(sample["input_ids"].shape[1] for sample in filled)
    made: Inputs = {}
    for spec in signature.inputs:
        filler = pad_id if spec.name == "input_ids" else 0
        rows = np.full((len(filled), longest), filler, dtype=np.int64)
        for row, sample in zip(rows, filled, strict=True):
            values = sample.get(spec.name)
            if values is None and spec.name == MASK:
                values = np.ones_like(sample["input_ids"])
            assert values is not None, f"a sample has no {spec.name}"
            row[: values.shape[1]] = values[0]
        made[spec.name] = rows
    return made


def answers(
    answer: Answer,
    samples: Sequence[Inputs],
    signature: Signature,
    pad_id: int = 0,
    *,
    sort: bool = True,
) -> list[Floats]:
    """What an artifact gives for each of any number of samples, as if each were alone.

    Args:
        answer: takes the inputs of some passes and gives the output of each.
        samples: one text each.
        signature: of the artifact; one without a batch gets one sample a pass.
        pad_id: fills up shorter texts.
        sort: put texts of like length together, so that little is padded.

    Returns:
        One output ``(1, ...)`` a sample, in the samples' order, without what padding added.
    """
    together = signature.texts
    if together == 1:
        return list(answer(samples))
    order = list(range(len(samples)))
    if sort:
        order.sort(key=lambda index: samples[index]["input_ids"].shape[1])
    chunks = [order[start : start + together] for start in range(0, len(order), together)]
    outputs = answer([stacked([samples[i] for i in one], signature, pad_id) for one in chunks])
    found: list[Floats] = [np.empty(0, np.float32)] * len(samples)
    for chunk, output in zip(chunks, outputs, strict=True):
        for row, index in enumerate(chunk):
            found[index] = _row(output, row, samples[index])
    return found


def _row(output: Floats, row: int, sample: Inputs) -> Floats:
    one = output[row : row + 1]
    return one[:, : sample["input_ids"].shape[1]] if one.ndim == 3 else one


class FilledSession:
    """A loaded artifact with a batch that takes single texts as well, each with empty company."""

    def __init__(self, session: Session, signature: Signature, pad_id: int) -> None:
        """Wrap a loaded artifact."""
        self._session, self._signature, self._pad_id = session, signature, pad_id

    def run(self, inputs: Tensors) -> dict[str, Floats]:
        """One forward pass; for one text ``(1, tokens)`` its own outputs are given."""
        if inputs["input_ids"].shape[0] > 1:
            return self._session.run(inputs)
        sample: Inputs = dict(inputs)
        found = self._session.run(stacked([sample], self._signature, self._pad_id))
        return {name: _row(output, 0, sample) for name, output in found.items()}

    def close(self) -> None:
        """Release the artifact."""
        self._session.close()

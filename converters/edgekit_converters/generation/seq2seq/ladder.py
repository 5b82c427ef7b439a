"""The parity ladder of an encoder-decoder: eager -> captured -> rewritten -> quantized -> files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from edgekit.bundle.manifest import HopQuality, Signature, Tolerance
from edgekit.parity import measure
from edgekit.runtime.generation.replay import Passage, Reading, read, replay
from edgekit.tasks import task
from edgekit.verify.tokens import judged
from edgekit_converters.export.capture import Captured
from edgekit_converters.generation.seq2seq.capture import DECODE, ENCODE
from edgekit_converters.generation.seq2seq.parity import reference_logits
from edgekit_converters.generation.seq2seq.samples import Asking, Sample, prompts

_TASK = "text2text-generation"
# A graph in eager mode is slow, and its artifact is measured on every sample.
_FEW = 4
_FEW_ROWS = 6

Floats = NDArray[np.float32]


@dataclass
class TextLadder:
    """Samples with the eager model's logits, and the hops measured so far.

    Attributes:
        asking: the eager model.
        samples: texts with its answers.
        reference: its rows for each sample.
        prompts: texts to be answered greedily.
        answers: its answers to them.
        hops: measured hops, in order.
    """

    asking: Asking
    samples: list[Sample]
    reference: list[Floats]
    prompts: list[Passage]
    answers: list[list[int]]
    hops: list[HopQuality] = field(default_factory=list)

    def graphs(self, hop: str, methods: Mapping[str, Captured], floor: Tolerance) -> None:
        """Measure graphs of either form in eager mode, on some of the samples."""
        chosen = range(0, len(self.samples), max(1, len(self.samples) // _FEW))
        steps = GraphSteps(methods)
        rows, wanted = [], []
        for index in chosen:
            whole = self.samples[index].passage
            part = replace(whole, ids=whole.ids[: whole.prompt + _FEW_ROWS - 1])
            rows.append(read(steps, part).rows)
            wanted.append(self.reference[index][: len(rows[-1])])
        self._measure(hop, "", list(chosen), wanted, rows, floor)

    def artifact(
        self, runtime: str, path: Path, signature: Signature, floor: Tolerance
    ) -> list[Floats]:
        """Measure a file in its runtime, in a child process; returns its rows for each sample."""
        passages = [sample.passage for sample in self.samples] + self.prompts
        readings = replay(runtime, path, signature, passages)
        rows = [reading.rows for reading in readings[: len(self.samples)]]
        every = list(range(len(self.samples)))
        same = self._same_greedy(readings[len(self.samples) :])
        self._measure(runtime, path.name, every, self.reference, rows, floor, same)
        return rows

    def _measure(
        self,
        hop: str,
        artifact: str,
        chosen: Sequence[int],
        wanted: Sequence[Floats],
        rows: Sequence[Floats],
        floor: Tolerance,
        same: float | None = None,
    ) -> None:
        texts = [self.samples[index].text for index in chosen]
        found = measure(hop, artifact, task(_TASK), texts, wanted, rows, floor)
        passages = [self.samples[index].passage for index in chosen]
        followed = [
            [*one.ids[one.prompt :], -1][: len(made)]
            for one, made in zip(passages, rows, strict=True)
        ]
        self.hops.append(judged(found, wanted, rows, followed, floor.tokens, same))

    def _same_greedy(self, readings: Sequence[Reading]) -> float:
        """Share of the eager answers' tokens before the first that differs; ties count as same."""
        same = total = 0
        for passage, wanted, made in zip(self.prompts, self.answers, readings, strict=True):
            each = enumerate(zip(wanted, made.answer, strict=True))
            at = next((n for n, (one, other) in each if one != other), len(wanted))
            if at < len(wanted) and self._tie(passage, wanted[:at], made.answer[at]):
                at = len(wanted)
            same, total = same + at, total + len(wanted)
        return same / total if total else 1.0

    def _tie(self, passage: Passage, before: Sequence[int], other: int) -> bool:
        """Whether the eager model itself could as well have chosen ``other``: by rounding alone."""
        logits = reference_logits(self.asking.model, passage.text, [*passage.ids, *before])[-1]
        return bool(logits.max() - logits[other] <= 1e-4 * max(1.0, float(np.abs(logits).max())))


def first_rungs(asking: Asking, samples: list[Sample]) -> TextLadder:
    """The eager model's logits for every sample, and its greedy answers."""
    reference = []
    for sample in samples:
        one = sample.passage
        rows = reference_logits(asking.model, one.text, one.ids)[one.prompt - 1 :]
        reference.append(rows.astype(np.float32))
    asked = prompts(asking, samples)
    answers = [asking.answer(one.text, one.more, past_end=True) for one in asked]
    return TextLadder(asking, samples, reference, asked, answers)


class GraphSteps:
    """Captured graphs of either form in eager mode; see ``runtime.generation.seq2seq``."""

    def __init__(self, methods: Mapping[str, Captured]) -> None:
        """Take ``encode`` and ``decode``."""
        encode, decode = methods[ENCODE], methods[DECODE]
        self.source = encode.signature.inputs[0].dims[1].maximum
        self.context = decode.signature.inputs[0].dims[1].maximum
        self.vocabulary = decode.signature.outputs[0].dims[-1].maximum
        # An encoder's own output, where it is one, comes first.
        self._states = len(encode.signature.outputs) % 2
        self._encode, self._decode = encode.module(), decode.module()
        own = [spec for spec in decode.signature.inputs if ".decoder." in spec.name]
        self._shapes = [[dim.maximum for dim in spec.dims] for spec in own]
        self._text: tuple[torch.Tensor, ...] = ()
        self._past: list[torch.Tensor] = []

    def read(self, ids: Sequence[int]) -> None:
        """Read a text."""
        with torch.no_grad():
            found = self._encode(torch.tensor([list(ids)]))
        self._text = tuple(found[self._states :])
        self._past = [torch.zeros(1, s[1], 0, s[3]) for s in self._shapes]

    def feed(self, ids: Sequence[int], position: int) -> Floats:
        """Read tokens of the answer and say what follows."""
        row = torch.tensor([list(ids)])
        with torch.no_grad():
            if self._shapes:
                past = [states[:, :, :position].contiguous() for states in self._past]
                logits, *self._past = self._decode(row, *past, *self._text)
            else:
                logits = self._decode(row, torch.tensor([position]), *self._text)
        found: Floats = logits.reshape(-1, self.vocabulary)[-1].float().numpy()
        return found

    def close(self) -> None:
        """Forget the caches."""
        self._text, self._past = (), []

"""The parity ladder of a decoder: eager -> captured -> rewritten -> quantized -> each artifact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edgekit.bundle.manifest import HopQuality, Signature, Tolerance
from edgekit.parity import measure
from edgekit.runtime.generation.replay import Passage, Reading, read, replay
from edgekit.tasks import task
from edgekit.verify.tokens import judged
from edgekit_converters.generation.parity import reference_logits
from edgekit_converters.generation.texts import Sample, greedy, greedy_prompts

TASK = "text-generation"
# A graph in eager mode is slow, and its artifact is measured on every sample.
_FEW = 4
_FEW_ROWS = 6

Floats = NDArray[np.float32]


@dataclass
class TokenLadder:
    """Samples with the eager model's logits, and the hops measured so far.

    Attributes:
        model: eager, fp32.
        samples: what is read.
        reference: the eager model's rows for each sample.
        prompts: what is continued greedily.
        answers: the eager model's continuations.
        hops: measured hops, in order.
    """

    model: Any
    samples: list[Sample]
    reference: list[Floats]
    prompts: list[Passage]
    answers: list[list[int]]
    hops: list[HopQuality] = field(default_factory=list)

    def graph(self, hop: str, module: nn.Module, signature: Signature, floor: Tolerance) -> None:
        """Measure a graph of either form in eager mode, on some of the samples."""
        step = max(1, len(self.samples) // _FEW)
        chosen = range(0, len(self.samples), step)
        steps = GraphSteps(module, signature)
        rows, wanted = [], []
        for index in chosen:
            whole = self.samples[index].passage
            part = Passage(whole.ids[: whole.prompt + _FEW_ROWS - 1], whole.prompt)
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
        found = measure(hop, artifact, task(TASK), texts, wanted, rows, floor)
        followed = [
            _followed(self.samples[index].passage, len(made))
            for index, made in zip(chosen, rows, strict=True)
        ]
        self.hops.append(judged(found, wanted, rows, followed, floor.tokens, same))

    def _same_greedy(self, readings: Sequence[Reading]) -> float:
        """Share of the eager answers' tokens before the first that differs; ties count as same."""
        same = total = 0
        for passage, wanted, made in zip(self.prompts, self.answers, readings, strict=True):
            pairs = enumerate(zip(wanted, made.answer, strict=True))
            at = next((n for n, (one, other) in pairs if one != other), len(wanted))
            if at < len(wanted) and self._tie([*passage.ids, *wanted[:at]], made.answer[at]):
                at = len(wanted)
            same, total = same + at, total + len(wanted)
        return same / total if total else 1.0

    def _tie(self, ids: Sequence[int], other: int) -> bool:
        """Whether the eager model itself could as well have chosen ``other``: by rounding alone."""
        logits = reference_logits(self.model, ids)[-1]
        return bool(logits.max() - logits[other] <= 1e-4 * max(1.0, float(np.abs(logits).max())))


def first_rungs(model: Any, samples: list[Sample], context: int) -> TokenLadder:
    """The eager model's logits for every sample, and its greedy answers."""
    reference = []
    for sample in samples:
        rows = reference_logits(model, sample.passage.ids)[sample.passage.prompt - 1 :]
        reference.append(rows.astype(np.float32))
    prompts = greedy_prompts(samples, context)
    answers = [greedy(model, one.ids, one.more) for one in prompts]
    return TokenLadder(model, samples, reference, prompts, answers)


class GraphSteps:
    """A captured graph of either form, run in eager mode; see ``runtime.generation.loop.Steps``."""

    def __init__(self, module: nn.Module, signature: Signature) -> None:
        """Take a module whose inputs are as in the signature."""
        self.context = signature.inputs[0].dims[1].maximum
        self.vocabulary = signature.outputs[0].dims[-1].maximum
        self._module = module
        self._caches = [[dim.maximum for dim in spec.dims] for spec in signature.inputs[3:]]
        self._past: list[torch.Tensor] = []

    def feed(self, ids: Sequence[int], position: int) -> Floats:
        """Read tokens and say what follows."""
        row = torch.tensor([list(ids)])
        with torch.no_grad():
            if not self._caches:
                logits = self._module(row, torch.tensor([position]))
            else:
                logits = self._passed(row, position)
        found: Floats = logits.reshape(-1, self.vocabulary)[-1].float().numpy()
        return found

    def close(self) -> None:
        """Forget the caches."""
        self._past = []

    def _passed(self, row: torch.Tensor, position: int) -> torch.Tensor:
        if position == 0:
            self._past = [torch.zeros(1, s[1], 0, s[3]) for s in self._caches]
        past = [states[:, :, :position].contiguous() for states in self._past]
        total = position + row.shape[1]
        mask, places = torch.ones(1, total, dtype=torch.int64), torch.arange(position, total)[None]
        logits, *self._past = self._module(row, mask, places, *past)
        found: torch.Tensor = logits
        return found


def _followed(passage: Passage, count: int) -> list[int]:
    """The token that came after each of the first ``count`` rows; -1 after the text."""
    after = [*passage.ids[passage.prompt :], -1]
    return after[:count]

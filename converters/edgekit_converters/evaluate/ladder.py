"""The parity ladder: eager -> exported -> rewritten -> lowered -> each artifact on this host.

Every hop is measured against the eager model on the same real text, so the first one that diverges
can be named. The eager model reads each text alone, whatever company a hop puts it in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import nn

from edgekit.bundle.manifest import HopQuality, Signature, Tolerance
from edgekit.parity import measure
from edgekit.runtime import batches
from edgekit.runtime.encode import Inputs, encode, unpad
from edgekit.runtime.replay import replay
from edgekit.tasks import Context, Floats, halves, task

# A graph with integers is slow in eager mode, and its artifact is measured on every sample.
_FEW = 16


@dataclass
class Ladder:
    """Samples with the eager model's answers, and the hops measured so far.

    Attributes:
        task: name of the task.
        texts: one a sample.
        inputs: what goes into the graphs, one a sample.
        context: what the task needs to read an output.
        reference: the eager model's compared rows, one array a sample.
        hops: measured hops, in order.
        batch: the signature of graphs that take several texts at once, from ``together`` on.
        pad_id: fills up the shorter ones.
    """

    task: str
    texts: list[str]
    inputs: list[Inputs]
    context: Context
    reference: list[Floats]
    hops: list[HopQuality] = field(default_factory=list)
    batch: Signature | None = None
    pad_id: int = 0

    def together(self, signature: Signature, pad_id: int) -> None:
        """From here on several texts go through at once, in the samples' order: ragged."""
        self.batch, self.pad_id = signature, pad_id

    def given(self, index: int) -> Inputs:
        """What goes into an artifact for one sample: with several at once, the first of them."""
        if self.batch is None:
            return self.inputs[index]
        count = len(self.inputs)
        company = [self.inputs[(index + i) % count] for i in range(self.batch.texts)]
        return batches.stacked(company[:count], self.batch, self.pad_id)

    def graph(self, hop: str, module: nn.Module, floor: Tolerance, *, few: bool = False) -> None:
        """Measure a graph in eager mode; with ``few`` on some samples, spread over all."""
        step = max(1, len(self.inputs) // _FEW) if few else 1
        chosen = self.inputs[::step]
        outputs = self._answers(lambda given: [run(module, one) for one in given], chosen)
        self._measure(hop, "", self._rows(outputs, chosen), floor, step)

    def artifact(
        self, runtime: str, path: Path, signature: Signature, floor: Tolerance
    ) -> list[Floats]:
        """Measure a file in its runtime, in a child process; returns its compared rows."""
        name = signature.outputs[0].name
        outputs = self._answers(
            lambda given: [one[name] for one in replay(runtime, path, signature, given)],
            self.inputs,
        )
        rows = self._rows(outputs, self.inputs)
        self._measure(runtime, path.name, rows, floor)
        return rows

    def _answers(self, answer: batches.Answer, samples: Sequence[Inputs]) -> Sequence[Floats]:
        """One output a sample."""
        if self.batch is None:
            return answer(samples)
        return batches.answers(answer, samples, self.batch, self.pad_id, sort=False)

    def _rows(self, outputs: Sequence[Floats], samples: Sequence[Inputs]) -> list[Floats]:
        of = task(self.task)
        return [
            of.rows(*unpad(output, sample), self.context)
            for output, sample in zip(outputs, samples, strict=True)
        ]

    def _measure(
        self, hop: str, artifact: str, rows: list[Floats], floor: Tolerance | None, step: int = 1
    ) -> None:
        texts, reference = self.texts[::step], self.reference[::step]
        self.hops.append(measure(hop, artifact, task(self.task), texts, reference, rows, floor))


def climb_from(
    name: str,
    eager: nn.Module,
    eager_signature: Signature,
    signature: Signature,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    context: Context,
    limit: int,
    pad_id: int,
) -> Ladder:
    """Run the eager model on every text.

    Args:
        name: the task.
        eager: the wrapped model as transformers made it; never padded.
        eager_signature: its inputs.
        signature: the artifacts' inputs.
        tokenizer: without truncation and padding.
        texts: real text, see ``edgekit.tasks.halves``; longer ones are cut at ``limit`` tokens.
        context: what the task needs to read an output.
        limit: most tokens of one text.
        pad_id: fills up fixed lengths.
    """
    of = task(name)
    reference: list[Floats] = []
    inputs: list[Inputs] = []
    for line in texts:
        text, pair = halves(name, line)
        plain = encode(tokenizer, eager_signature, text, limit, pair=pair, truncate=True)
        given = encode(tokenizer, signature, text, limit, pair=pair, pad_id=pad_id, truncate=True)
        inputs.append(given)
        reference.append(of.rows(run(eager, plain), plain["input_ids"], context))
    return Ladder(name, list(texts), inputs, context, reference)


def run(module: nn.Module, sample: Inputs) -> Floats:
    """One forward pass of a torch module over named numpy inputs, in the signature's order."""
    with torch.no_grad():
        output = module(*tensors(sample))
    return np.asarray(output.detach().numpy(), dtype=np.float32)


def tensors(sample: Inputs) -> tuple[torch.Tensor, ...]:
    """The inputs as torch tensors, in the signature's order."""
    return tuple(torch.from_numpy(array) for array in sample.values())

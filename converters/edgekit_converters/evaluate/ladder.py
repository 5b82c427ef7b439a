"""The parity ladder: eager -> exported -> rewritten -> lowered -> each artifact on this host.

Every hop is measured against the eager model on the same real text, so the first one that diverges
can be named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import nn

from edgekit.bundle.manifest import HopQuality, Signature, Tolerance
from edgekit.parity import measure
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
    """

    task: str
    texts: list[str]
    inputs: list[Inputs]
    context: Context
    reference: list[Floats]
    hops: list[HopQuality] = field(default_factory=list)

    def graph(self, hop: str, module: nn.Module, floor: Tolerance, *, few: bool = False) -> None:
        """Measure a graph in eager mode; with ``few`` on some samples, spread over all."""
        step = max(1, len(self.inputs) // _FEW) if few else 1
        chosen = self.inputs[::step]
        rows = [self._rows(run(module, sample), sample) for sample in chosen]
        self._measure(hop, "", rows, floor, step)

    def artifact(
        self, runtime: str, path: Path, signature: Signature, floor: Tolerance
    ) -> list[Floats]:
        """Measure a file in its runtime, in a child process; returns its compared rows."""
        name = signature.outputs[0].name
        outputs = replay(runtime, path, signature, self.inputs)
        rows = [
            self._rows(output[name], sample)
            for output, sample in zip(outputs, self.inputs, strict=True)
        ]
        self._measure(runtime, path.name, rows, floor)
        return rows

    def _rows(self, output: NDArray[Any], sample: Inputs) -> Floats:
        return task(self.task).rows(*unpad(output, sample), self.context)

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

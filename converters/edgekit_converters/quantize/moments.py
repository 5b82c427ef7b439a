"""What calibration text leaves of each activation: enough for every calibrator, whatever the size.

One pass over the texts, one text at a time; memory does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.fx import GraphModule

from edgekit_converters.quantize.watching import watch

# Rows kept to try a choice on; spread evenly over everything seen.
KEPT_ROWS = 512

_AT_ONCE = 512


@dataclass
class Moments:
    """Statistics of one activation with ``columns`` channels, over ``count`` tokens.

    Attributes:
        count: tokens seen.
        peak: largest magnitude of each channel, ``(columns,)``.
        size: mean magnitude of each channel, ``(columns,)``.
        gram: mean of ``x^T x``, ``(columns, columns)``; half the Hessian of a linear's squared
            output error.
        rows: a sample of tokens, ``(at most KEPT_ROWS, columns)``.
    """

    count: int
    peak: Tensor
    size: Tensor
    gram: Tensor
    rows: Tensor

    def scaled(self, factor: Tensor) -> Moments:
        """The statistics of ``x * factor``, without another pass; ``factor`` is ``(columns,)``."""
        return Moments(
            self.count,
            self.peak * factor.abs(),
            self.size * factor.abs(),
            self.gram * factor[:, None] * factor[None, :],
            self.rows * factor,
        )

    def only(self, channels: Tensor) -> Moments:
        """The statistics of some channels, by index."""
        return Moments(
            self.count,
            self.peak[channels],
            self.size[channels],
            self.gram[channels][:, channels],
            self.rows[:, channels],
        )


def moments(
    graph_module: GraphModule, watched: set[str], inputs: Iterable[tuple[Tensor, ...]]
) -> dict[str, Moments]:
    """Run the graph over ``inputs`` and keep the statistics of the nodes named in ``watched``."""
    seen: dict[str, _Seen] = {}

    def see(name: str, value: Tensor) -> None:
        rows = value.detach().reshape(-1, value.shape[-1])
        if name not in seen:
            seen[name] = _Seen(rows.shape[1])
        seen[name].add(rows)

    watch(graph_module, watched, inputs, see)
    return {name: found.result() for name, found in seen.items()}


class _Seen:
    """The running sums of one activation."""

    def __init__(self, columns: int) -> None:
        self.count = 0
        self.peak = torch.zeros(columns)
        self.size = torch.zeros(columns)
        self.gram = torch.zeros(columns, columns)
        self.waiting: list[Tensor] = []
        self.many = 0
        self.rows: list[Tensor] = []
        self.step = 1
        self.skip = 0

    def add(self, rows: Tensor) -> None:
        self.count += len(rows)
        self.peak = torch.maximum(self.peak, rows.abs().amax(dim=0))
        self.size += rows.abs().sum(dim=0)
        self.waiting.append(rows)
        self.many += len(rows)
        if self.many >= _AT_ONCE:
            self._flush()
        chosen = rows[self.skip :: self.step]
        self.skip = (self.skip - len(rows)) % self.step
        self.rows.extend(chosen.clone())
        while len(self.rows) > KEPT_ROWS:
            # Every second one goes, and from now on only every second one comes.
            self.rows = self.rows[::2]
            self.step *= 2

    def _flush(self) -> None:
        """One product for many short texts: far fewer passes over the matrix of moments."""
        rows = torch.cat(self.waiting)
        self.gram.addmm_(rows.T, rows)
        self.waiting, self.many = [], 0

    def result(self) -> Moments:
        if self.waiting:
            self._flush()
        rows = torch.stack(self.rows)
        return Moments(self.count, self.peak, self.size / self.count, self.gram / self.count, rows)

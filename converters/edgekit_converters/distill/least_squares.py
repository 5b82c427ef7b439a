"""A linear layer fitted in closed form, text by text: only its normal matrices are kept.

Ridge regression of what is still missing (Hoerl and Kennard 1970): the old weights are the centre,
so that nothing changes where nothing is missing. How much is held back is chosen on texts that the
fit has not seen, out of a few sizes, and the old weights are one of the choices.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# Shares of the inputs' mean square that are added to every direction.
DAMPINGS = (1e-6, 1e-4, 1e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 10.0)
_CHECKED = 5  # one batch of so many chooses the damping


@dataclass(frozen=True)
class Fit:
    """A change of a linear layer.

    Attributes:
        change: to be added to the weights, float64 ``(inputs, outputs)``; the last input is the
            constant 1 where there is a bias.
        left: share of the squared error that is left on the batches that chose; 1 where the old
            weights stay.
        damping: that was chosen; None where the old weights stay.
    """

    change: Tensor
    left: float
    damping: float | None


class NormalEquations:
    """Sums over rows of inputs and of what is missing, for the fit and for its choice."""

    def __init__(self, inputs: int, outputs: int) -> None:
        """Begin with nothing.

        Args:
            inputs: of the layer, the constant included.
            outputs: of the layer.
        """
        size = torch.float64
        self._grams = [torch.zeros(inputs, inputs, dtype=size) for _ in range(2)]
        self._products = [torch.zeros(inputs, outputs, dtype=size) for _ in range(2)]
        self._squares = [0.0, 0.0]
        self._batches = 0

    def add(self, inputs: Tensor, missing: Tensor) -> None:
        """One batch.

        Args:
            inputs: ``(rows, inputs)``.
            missing: ``(rows, outputs)``; what the output lacks.
        """
        self._batches += 1
        place = int(self._batches % _CHECKED == 0)
        # A batch's own sums are short enough for the type that they come in.
        self._grams[place] += inputs.T @ inputs
        self._products[place] += inputs.T @ missing
        self._squares[place] += float(missing.square().sum())

    def fit(self) -> Fit:
        """The change that leaves least, by the batches that chose; fitted to all batches."""
        (gram, other), (product, target) = self._grams, self._products
        whole, left = self._squares[1], 1.0
        chosen: float | None = None
        for damping in DAMPINGS if whole > 0 and self._squares[0] > 0 else ():
            change = _solved(gram, product, damping)
            if change is None:
                continue
            error = whole - 2 * float((change * target).sum())
            error += float((change * (other @ change)).sum())
            share = max(0.0, error / whole)  # of nothing, rounding may leave less
            if share < left:
                chosen, left = damping, share
        final = None
        if chosen is not None:
            final = _solved(gram + other, product + target, chosen)
        if final is None:
            return Fit(torch.zeros_like(product), 1.0, None)
        return Fit(final, left, chosen)


def _solved(gram: Tensor, product: Tensor, damping: float) -> Tensor | None:
    """``(G + d I)^-1 P``, ``d`` being the damping in units of the mean of G's diagonal.

    None where that is too little for a matrix whose rounding errors are larger.
    """
    extra = damping * gram.diagonal().mean().clamp_min(1e-300)
    held = gram + extra * torch.eye(len(gram), dtype=gram.dtype)
    factor, failed = torch.linalg.cholesky_ex(held)
    return None if int(failed) else torch.cholesky_solve(product, factor)

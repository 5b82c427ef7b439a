"""What a score may look at: the weights, texts through the model, gradients, activations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

Batch = Any
Rows = Callable[[nn.Module, Batch], Tensor]
Answers = Callable[[Batch], Tensor | None]


@dataclass
class Evidence:
    """A model and what it is judged on.

    Attributes:
        model: never changed by a score for longer than its call.
        rows: the model's output for a batch, ``(rows, features)``.
        categorical: rows are logits, otherwise vectors.
        batches: inputs of real texts; empty where none were given.
        answers: right answers of a batch's rows, -100 for none; None where there are none at all.
        seed: of everything drawn.
        amount: share that will be removed, for scores that are learnt under a mask.
        probes: random directions a batch for stochastic diagonals.
    """

    model: nn.Module
    rows: Rows
    categorical: bool
    batches: Sequence[Batch]
    answers: Answers = field(default=lambda batch: None)
    seed: int = 0
    amount: float = 0.5
    probes: int = 1

    def generator(self) -> torch.Generator:
        """A fresh source of random numbers."""
        return torch.Generator().manual_seed(self.seed)

    def weights(self) -> dict[str, nn.Parameter]:
        """Every parameter by its first name."""
        return dict(self.model.named_parameters())

    def curvature_loss(self, rows: Tensor, draw: torch.Generator) -> Tensor:
        """A random scalar whose gradient's covariance is the Gauss-Newton matrix of the loss.

        The curvature of cross entropy in its logits is ``S S^T`` with ``S = diag(sqrt(p)) -
        p sqrt(p)^T``: the gradient in the logits is S times random signs. Labels drawn from p
        would do too, but a model that is nearly sure draws a telling one once in thousands of
        rows. For vectors it is the random signs themselves, which belongs to half the squared
        error. Draws of different rows are independent, so that one backward pass serves a whole
        batch.
        """
        signs = torch.randint(0, 2, rows.shape, generator=draw).to(rows) * 2 - 1
        if not self.categorical:
            return (rows * signs).sum()
        chance = rows.detach().softmax(-1)
        roots = chance.sqrt() * signs
        return (rows * (roots - chance * roots.sum(-1, keepdim=True))).sum()

    def gradients(self, value: Tensor) -> dict[str, Tensor]:
        """Gradient of a scalar with respect to every parameter that it depends on."""
        named = {n: p for n, p in self.weights().items() if p.requires_grad}
        found = torch.autograd.grad(value, list(named.values()), allow_unused=True)
        return {n: g for n, g in zip(named, found, strict=True) if g is not None}

    @contextmanager
    def differentiable(self) -> Iterator[None]:
        """Parameters with gradients inside, as before outside."""
        before = {p: p.requires_grad for p in self.model.parameters()}
        self.model.requires_grad_(True)
        try:
            yield
        finally:
            for parameter, wanted in before.items():
                parameter.requires_grad_(wanted)


def linears(model: nn.Module) -> dict[str, tuple[nn.Module, int]]:
    """Linear layers by name, with the dimension of their weight that reads the input."""
    found: dict[str, tuple[nn.Module, int]] = {}
    for name, child in model.named_modules():
        if isinstance(child, nn.Linear):
            found[name] = (child, 1)
        elif type(child).__name__ == "Conv1D":
            found[name] = (child, 0)
    return found


@contextmanager
def reading(
    model: nn.Module, see: Callable[[str, Tensor], None], only: Sequence[str] | None = None
) -> Iterator[None]:
    """Show every linear layer's input, ``(tokens, features)``, while forward passes run inside."""

    def hook(name: str) -> Callable[..., None]:
        def seen(module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
            see(name, given[0].detach().reshape(-1, given[0].shape[-1]))

        return seen

    hooks = [
        layer.register_forward_hook(hook(name))
        for name, (layer, _) in linears(model).items()
        if only is None or name in only
    ]
    try:
        yield
    finally:
        for one in hooks:
            one.remove()


def grams(evidence: Evidence, only: Sequence[str] | None = None) -> dict[str, Tensor]:
    """X^T X of each linear layer's input over all texts, float64 ``(features, features)``."""
    found: dict[str, Tensor] = {}

    def see(name: str, rows: Tensor) -> None:
        wide = rows.double()
        found[name] = found[name] + wide.T @ wide if name in found else wide.T @ wide

    with torch.no_grad(), reading(evidence.model, see, only):
        for batch in evidence.batches:
            evidence.rows(evidence.model, batch)
    return found


def norms(evidence: Evidence) -> dict[str, Tensor]:
    """Euclidean norm of each input feature of each linear layer over all tokens, float64."""
    found: dict[str, Tensor] = {}

    def see(name: str, rows: Tensor) -> None:
        squares = rows.double().square().sum(0)
        found[name] = found[name] + squares if name in found else squares

    with torch.no_grad(), reading(evidence.model, see):
        for batch in evidence.batches:
            evidence.rows(evidence.model, batch)
    return {name: squares.sqrt() for name, squares in found.items()}


def spread(norm: Tensor, weight: Tensor, axis: int) -> Tensor:
    """A number for each input feature as a tensor of the weight's shape."""
    shape = [1] * weight.dim()
    shape[axis] = -1
    return norm.to(weight).reshape(shape).expand_as(weight)


def as_mapping(found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Detached copies."""
    return {name: tensor.detach().clone() for name, tensor in found.items()}

"""Repair without training what dropped layers, neurons or heads leave behind.

Layer after layer, the last matrix of the feed-forward network and its bias are fitted by least
squares so that the layer ends where the teacher is at that point: after the layers that are gone,
just before the next one that stayed. What a layer is given is what the repaired layers before it
give. ReplaceMe (Shopkhoev et al. 2025, arXiv 2505.02819) fits one linear map for a gap and merges
it the same way; here every layer that stayed is fitted, with all that its neurons know.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from edgekit.errors import Unsupported
from edgekit_converters.distill.endings import Ending, Inputs, endings, look
from edgekit_converters.distill.least_squares import Fit, NormalEquations
from edgekit_converters.distill.measure import Measure
from edgekit_converters.distill.models import parameters
from edgekit_converters.distill.outputs import Asks, shape_of

Say = Callable[[str], None]
MOST_TEXTS = 2048
_MOST_TOKENS, _FEWEST_TOKENS = 65_536, 8_192
_WORK = 2e12  # tokens times parameters: what large models may cost is bounded
_BATCH = 32
_FEWEST_BATCHES = 10  # so that some are left to choose by
_FEWEST_TEXTS = 32  # fewer would be learnt by heart


@dataclass(frozen=True)
class Repair:
    """What a repair came to.

    Attributes:
        before: fidelity without it, on texts that it was not fitted to.
        after: fidelity with it; None where it was not tried.
        kept: whether the model has it; it stays as it was where that is no better.
        texts: that were fitted to.
        reason: why it was not tried; empty where it was.
        left: for each layer the share of its squared error that is left.
    """

    before: float
    after: float | None = None
    kept: bool = False
    texts: int = 0
    reason: str = ""
    left: tuple[float, ...] = ()

    @property
    def fidelity(self) -> float:
        """What the model has now."""
        return self.after if self.kept and self.after is not None else self.before

    def record(self) -> dict[str, Any]:
        """As JSON-able data, rounded."""
        found: dict[str, Any] = {"kept": self.kept, "before": round(self.before, 5)}
        if self.after is None:
            return found | {"reason": self.reason}
        left = [round(share, 4) for share in self.left]
        return found | {"after": round(self.after, 5), "texts": self.texts, "left": left}

    def words(self) -> str:
        """One line of what happened."""
        if self.after is None:
            return f"nothing was refitted: {self.reason}"
        gain = f"fidelity {self.before:.4f} -> {self.after:.4f}"
        return f"refitted: {gain}" if self.kept else f"refitting would not help: {gain}"


def follows(kept: Sequence[int], total: int) -> list[int]:
    """Which layer of the teacher each layer that stayed must end like, counted from 0.

    Args:
        kept: layers that stayed, in order.
        total: layers of the teacher.
    """
    return [number - 1 for number in kept[1:]] + [total - 1]


def batches(rows: Any, collate: Callable[[list[Any]], dict[str, Tensor]]) -> list[Inputs]:
    """The first rows as batches of texts of about one length, as many as a repair looks at.

    None where they are too few for one.
    """
    count = min(len(rows), MOST_TEXTS)
    if count < _FEWEST_TEXTS:
        return []
    size = max(1, min(_BATCH, count // _FEWEST_BATCHES))
    every = [rows[number] for number in range(count)]
    every.sort(key=lambda row: sum(len(value) for value in row.values() if isinstance(value, str)))
    return [collate(every[start : start + size]) for start in range(0, count, size)]


def _affordable(texts: Sequence[Inputs], model: nn.Module) -> Sequence[Inputs]:
    """As many of the batches as a model of its size is run on, of all lengths."""
    most = min(_MOST_TOKENS, max(_FEWEST_TOKENS, int(_WORK / parameters(model))))
    tokens = sum(int(batch["attention_mask"].sum()) for batch in texts)
    return texts[:: max(1, -(-tokens // most))]


def repair(
    student: Asks,
    teacher: nn.Module,
    ends: Sequence[int],
    texts: Sequence[Inputs],
    measure: Measure,
    say: Say = lambda line: None,
) -> Repair:
    """Refit a model that lost parts, in place, where that brings it nearer to its teacher.

    Args:
        student: of the teacher's kind and width.
        teacher: the model as it was; not changed.
        ends: see ``follows``; each layer's own number where no layer is gone.
        texts: to fit to; see ``batches``.
        measure: of fidelity, on other texts.
        say: told what comes of it.
    """
    before = measure(student).fidelity
    texts = _affordable(texts, teacher)
    try:
        own, other = _both(student.model, teacher, texts)
    except Unsupported as error:
        found = Repair(before, reason=error.message)
        say(found.words())
        return found
    kept = [_weights(ending) for ending in own]
    fits = refitted(student.model, teacher, own, [other[number] for number in ends], texts)
    after = measure(student).fidelity
    if not after > before:
        for ending, weights in zip(own, kept, strict=True):
            _put(ending, weights)
    count = sum(len(batch["input_ids"]) for batch in texts)
    found = Repair(before, after, after > before, count, "", tuple(fit.left for fit in fits))
    say(found.words())
    return found


def _both(
    student: nn.Module, teacher: nn.Module, texts: Sequence[Inputs]
) -> tuple[list[Ending], list[Ending]]:
    """Endings of both.

    Raises:
        Unsupported: they cannot be held together.
    """
    if not texts:
        raise Unsupported("there are no texts to fit to", hint="Give some hundred.")
    if shape_of(student).hidden != shape_of(teacher).hidden:
        raise Unsupported("the width is another one", hint="Nothing is refitted in it.")
    one = {name: tensor[:1] for name, tensor in texts[0].items()}
    return endings(student, one), endings(teacher, one)


def refitted(
    student: nn.Module,
    teacher: nn.Module,
    own: Sequence[Ending],
    other: Sequence[Ending],
    texts: Sequence[Inputs],
) -> list[Fit]:
    """Fit every layer of a student in turn, in place.

    Args:
        student: in eval mode.
        teacher: in eval mode; not changed.
        own: how the student's layers end.
        other: for each of them the ending of the teacher that it is fitted to.
        texts: batches of both models' inputs.
    """
    fits = []
    for ending, target in zip(own, other, strict=True):
        last: Any = ending.last
        shape = last.weight.shape if ending.transposed else last.weight.T.shape
        bias = last.bias is not None
        equations = NormalEquations(shape[0] + bias, shape[1])
        for batch in texts:
            seen, wanted = look(student, ending, batch), look(teacher, target, batch).state
            read = torch.cat([seen.read, seen.read.new_ones(len(seen.read), bias)], 1)
            # What reads a state divides by its size, so errors count as shares of it.
            size = wanted.std(1, keepdim=True).clamp_min(1e-6)
            missing = (wanted - seen.state) / ending.scale
            equations.add(read / size, missing / size)
        fit = equations.fit()
        _add(ending, fit)
        if ending.norm is not None and target.norm is not None:
            ending.norm.load_state_dict(target.norm.state_dict())
        fits.append(fit)
    return fits


def _add(ending: Ending, fit: Fit) -> None:
    if fit.damping is None:
        return
    last: Any = ending.last
    bias = last.bias is not None
    change = fit.change[:-1] if bias else fit.change
    with torch.no_grad():
        last.weight += (change if ending.transposed else change.T).to(last.weight)
        if bias:
            last.bias += fit.change[-1].to(last.bias)


def _weights(ending: Ending) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in _parameters(ending)]


def _put(ending: Ending, weights: Sequence[Tensor]) -> None:
    with torch.no_grad():
        for parameter, before in zip(_parameters(ending), weights, strict=True):
            parameter.copy_(before)


def _parameters(ending: Ending) -> list[nn.Parameter]:
    norm = [] if ending.norm is None else list(ending.norm.parameters())
    return [*ending.last.parameters(), *norm]

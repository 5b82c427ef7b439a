"""Where a layer ends, and the linear map that can be refitted so that it ends elsewhere.

The map is the last one of the feed-forward network, found as pruning finds its neurons. It ends in
the sum with what the layer was given: after it comes nothing (norms first: GPT-2, Llama) or the
layer's last norm (BERT). Which it is, and that the sum is one, is seen by running the layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from edgekit.errors import Unsupported
from edgekit_converters.distill.outputs import Probe, layer_list
from edgekit_converters.prune import architecture

Inputs = Mapping[str, Tensor]
_EXACT = 1e-3  # how far a sum may be from one, as a share


@dataclass(frozen=True)
class Ending:
    """How one layer ends.

    Attributes:
        layer: the whole of it.
        last: the linear map whose output is added last.
        transposed: whether its weight is ``(inputs, outputs)``, as GPT-2 stores it.
        norm: what the sum goes through; None where nothing comes after it.
        scale: what the map's output is multiplied by in the sum.
    """

    layer: nn.Module
    last: nn.Module
    transposed: bool
    norm: nn.Module | None
    scale: float


@dataclass(frozen=True)
class Seen:
    """What one batch looks like at an ending, real tokens alone.

    Attributes:
        read: by the linear map, ``(tokens, inputs)``.
        state: the sum, ``(tokens, width)``.
    """

    read: Tensor
    state: Tensor


class _Enough(Exception):
    """The rest of the forward pass is of no use."""


def endings(model: nn.Module, inputs: Inputs) -> list[Ending]:
    """How every layer of a model ends.

    Args:
        model: a transformers model, in eval mode.
        inputs: a batch to try it with.

    Raises:
        Unsupported: its feed-forward networks are not known, or do not end in a sum.
    """
    name, layers = layer_list(model)
    readers: dict[int, tuple[str, int]] = {}
    for group in architecture.neurons(model):
        for member in group.members:
            if member.reads and member.parameter.startswith(f"{name}."):
                number = int(member.parameter[len(name) + 1 :].partition(".")[0])
                if number in readers:
                    raise _no_sum(model)  # several networks in a layer
                readers[number] = member.parameter.rpartition(".")[0], member.dim
    if sorted(readers) != list(range(len(layers))):
        raise _no_sum(model)
    modules = dict(model.named_modules())
    found = []
    for number, layer in enumerate(layers):
        place, axis = readers[number]
        norm = _last_norm(model, layer, inputs)
        ending = Ending(layer, modules[place], axis == 0, norm, 1.0)
        scale = _scale(model, ending, inputs)
        found.append(Ending(layer, modules[place], axis == 0, norm, scale))
    return found


def look(model: nn.Module, ending: Ending, inputs: Inputs) -> Seen:
    """Run a batch up to the end of a layer."""
    kept: dict[str, Tensor] = {}

    def reads(module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        kept["read"] = given[0]

    with _hooked([(ending.last, reads)]):
        kept["state"] = _state(model, ending, inputs)
    real = inputs["attention_mask"].bool()
    return Seen(kept["read"][real], kept["state"][real])


def _state(model: nn.Module, ending: Ending, inputs: Inputs) -> Tensor:
    """The sum at the end of a layer, before its last norm, ``(texts, tokens, width)``."""
    kept: list[Tensor] = []

    def ended(module: nn.Module, given: Any, output: Any) -> None:
        kept.append(_first(output) if ending.norm is None else given[0])
        raise _Enough

    _run(model, inputs, [(ending.layer if ending.norm is None else ending.norm, ended)])
    return kept[0]


def _last_norm(model: nn.Module, layer: nn.Module, inputs: Inputs) -> nn.Module | None:
    """The norm whose output is the layer's."""
    made: list[tuple[nn.Module, Tensor]] = []
    ends: list[Tensor] = []

    def gave(module: nn.Module, given: Any, output: Tensor) -> None:
        made.append((module, output))

    def ended(module: nn.Module, given: Any, output: Any) -> None:
        ends.append(_first(output))
        raise _Enough

    norms = [
        module
        for module in layer.modules()
        if "norm" in type(module).__name__.lower() and hasattr(module, "weight")
    ]
    _run(model, inputs, [*((norm, gave) for norm in norms), (layer, ended)])
    return next((norm for norm, output in made if torch.equal(output, ends[0])), None)


def _scale(model: nn.Module, ending: Ending, inputs: Inputs) -> float:
    """By how much the sum moves with the map's output.

    Raises:
        Unsupported: it does not move along with it.
    """
    before = _state(model, ending, inputs)
    draw = torch.Generator().manual_seed(0)
    push = torch.randn(before.shape[-1], generator=draw) * before.std().clamp_min(1e-3).cpu()
    push = push.to(before)

    def moved(module: nn.Module, given: Any, output: Tensor) -> Tensor:
        return output + push

    with _hooked([(ending.last, moved)]):
        apart = _state(model, ending, inputs) - before
    scale = float((apart * push).sum() / (push.square().sum() * apart[..., 0].numel()))
    rest = float((apart - scale * push).norm())
    if not abs(scale) > 0 or rest > _EXACT * float(apart.norm()):
        raise _no_sum(model)
    return scale


def _run(model: nn.Module, inputs: Inputs, hooks: list[tuple[nn.Module, Any]]) -> None:
    with _hooked(hooks), torch.no_grad():
        try:
            Probe(model, None)(inputs, ())
        except _Enough:
            return


@contextmanager
def _hooked(hooks: list[tuple[nn.Module, Callable[..., Any]]]) -> Iterator[None]:
    handles = [module.register_forward_hook(hook) for module, hook in hooks]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _first(output: Any) -> Tensor:
    state: Tensor = output[0] if isinstance(output, tuple) else output
    return state


def _no_sum(model: Any) -> Unsupported:
    return Unsupported(
        f"the layers of a {model.config.model_type} model do not end in a sum with what their "
        "feed-forward network gives",
        hint="Nothing is refitted in it.",
    )

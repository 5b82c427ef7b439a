"""Cut a model to smaller shapes: config and weights together, so that ``from_pretrained`` works."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from edgekit.errors import InternalError
from edgekit_converters.prune.architecture import Architecture
from edgekit_converters.prune.groups import Group
from edgekit_converters.quiet import quiet

# What stays in each group: unit numbers in ascending order.
Kept = Mapping[str, Sequence[int]]


def cut(
    architecture: Architecture, groups: Sequence[Group], kept: Kept, sizes: Mapping[str, int]
) -> nn.Module:
    """A new model of the same class that has only what is kept.

    Args:
        architecture: of the model; it stays as it is.
        groups: what shrinks; groups without an entry in ``kept`` stay whole.
        kept: group name -> units that stay.
        sizes: the config's new numbers.

    Raises:
        InternalError: the class does not take the shapes that were left.
    """
    state = {name: tensor.detach() for name, tensor in architecture.model.state_dict().items()}
    config = copy.deepcopy(architecture.config)
    for group in groups:
        if group.name not in kept:
            continue
        units = list(kept[group.name])
        if group.whole is None:
            for member in group.members:
                index = member.index(units).to(state[member.parameter].device)
                state[member.parameter] = state[member.parameter].index_select(member.dim, index)
        else:
            state = _renumbered(state, group, units)
            _cut_lists(config, group.count, units)
    if hasattr(architecture.facts, "EPSILON") and architecture.facts.HIDDEN in sizes:
        _rescale_norms(architecture, state, config, sizes[architecture.facts.HIDDEN])
    for key, value in sizes.items():
        setattr(config, key, value)
    return assembled(type(architecture.model), config, state)


def assembled(cls: Any, config: Any, state: Mapping[str, Tensor]) -> nn.Module:
    """A model of a class and a config with these weights, in eval mode, without gradients.

    Raises:
        InternalError: they do not fit together.
    """
    try:
        with quiet(), torch.random.fork_rng(devices=[]):
            model = cls(copy.deepcopy(config))
            model.load_state_dict({n: t.contiguous() for n, t in state.items()}, strict=True)
            model.tie_weights()
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise InternalError(f"the cut model does not fit its class: {reason}") from error
    made: nn.Module = model.requires_grad_(False).eval()
    return made


def _renumbered(
    state: Mapping[str, Tensor], group: Group, units: Sequence[int]
) -> dict[str, Tensor]:
    """The state with a stack's layers thinned out and counted anew."""
    assert group.whole is not None
    stack = re.escape(group.name.removesuffix(" layers"))
    pattern = re.compile(rf"((?:^|\.){stack}\.)(\d+)(\.)")
    places = {old: new for new, old in enumerate(units)}
    found: dict[str, Tensor] = {}
    for name, tensor in state.items():
        inside = pattern.search(name)
        if inside is None:
            found[name] = tensor
        elif (old := int(inside.group(2))) in places:
            found[pattern.sub(rf"\g<1>{places[old]}\g<3>", name, count=1)] = tensor
        elif old == 0 and "relative_attention_bias" in name:
            # The first block holds the position biases of all: they move to the new first one.
            found[name] = tensor
    return found


def _cut_lists(config: Any, count: int, units: Sequence[int]) -> None:
    """Settings that say something of each layer, such as its kind of attention."""
    for key, value in list(vars(config).items()):
        if isinstance(value, list) and len(value) == count and key.startswith("layer"):
            setattr(config, key, [value[unit] for unit in units])


def _rescale_norms(
    architecture: Architecture, state: dict[str, Tensor], config: Any, width: int
) -> None:
    """Root-mean-square norms divide by the width: what they lose of it goes into their weights."""
    facts = architecture.facts
    before = architecture.size(facts.HIDDEN)
    factor = math.sqrt(before / width)
    # The heads' own norms, where there are any, are as wide as a head.
    norms = [n for n, t in state.items() if t.dim() == 1 and "norm" in n.lower()]
    tied = getattr(config, "scale_decoder_outputs", False)
    for name in norms:
        shrunk = state[name].shape[0] == width and architecture.shapes[name][0] == before
        if shrunk and not (tied and name == getattr(facts, "UNSCALED", None)):
            state[name] = state[name] * factor
    setattr(config, facts.EPSILON, getattr(config, facts.EPSILON) * before / width)

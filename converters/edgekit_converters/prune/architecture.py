"""Where an architecture keeps its units, found by laying the model out with one size changed.

The dimensions that grow when the config's feed-forward width grows are the neurons; so it is with
the width of the model and the vocabulary. Only heads need names: their size is often that of the
model's width.
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from edgekit.errors import Unsupported
from edgekit_converters import prune
from edgekit_converters.prune.groups import Group, Member
from edgekit_converters.quiet import quiet

# What most configs call their sizes.
_USUAL = SimpleNamespace(HIDDEN="hidden_size", FFN="intermediate_size", HEADS="num_attention_heads")
_LAYER = re.compile(r"\.(\d+)\.")


@dataclass(frozen=True)
class Architecture:
    """A model's structure.

    Attributes:
        model: laid out as its config says; never changed.
        facts: the file of its architecture in ``architectures``.
        config: a copy of the model's config, every size that matters stated.
        shapes: shape of each entry of the state dict.
        linear: names of the weights of linear layers -> the dimension that reads the input.
    """

    model: nn.Module
    facts: Any
    config: Any
    shapes: dict[str, tuple[int, ...]]
    linear: dict[str, int]

    def size(self, key: str) -> int:
        """A size of the config."""
        return int(getattr(self.config, key))

    @property
    def heads_are_free(self) -> bool:
        """Whether the config states a head's width, so that heads can go without the model's."""
        return hasattr(self.facts, "HEAD_WIDTH")

    @property
    def head_width(self) -> int:
        """Entries of one head."""
        if self.heads_are_free:
            return self.size(self.facts.HEAD_WIDTH)
        return self.size(self.facts.HIDDEN) // self.size(self.facts.HEADS)

    def heads(self) -> tuple[Group, ...]:
        """Heads of every attention; with grouped queries a unit is a key head and its queries."""
        places: dict[str, list[Member]] = {}
        key_heads = self.key_heads
        units = key_heads if key_heads > 1 else self.size(self.facts.HEADS)
        per = self.size(self.facts.HEADS) // units
        for name in self.shapes:
            member = self._head_member(name, per, alone=key_heads == 1 and units > 1)
            if member is not None:
                places.setdefault(self._attention(name), []).append(member)
        return tuple(Group(place, units, tuple(found)) for place, found in places.items())

    @property
    def key_heads(self) -> int:
        """Heads of keys and values."""
        key = getattr(self.facts, "KEY_HEADS", self.facts.HEADS)
        return self.size(key)

    def _head_member(self, name: str, per: int, *, alone: bool) -> Member | None:
        facts, width = self.facts, self.head_width
        axis = self.linear.get(name, 1)
        written = 1 - axis if name.endswith("weight") else 0
        if re.search(facts.QUERIES, name):
            run = self.size(facts.HEADS) * width
            starts = tuple(run * i for i in range(getattr(facts, "FUSED", 1)))
            return Member(name, written, starts, per * width)
        if facts.KEYS and re.search(facts.KEYS, name):
            return None if alone else Member(name, written, (0,), width)
        if re.search(facts.OUTPUT, name):
            return Member(name, axis, (0,), per * width, reads=True)
        if re.search(getattr(facts, "BIASES", "$^"), name):
            return Member(name, 1, (0,), 1)
        return None

    def _attention(self, name: str) -> str:
        """The name of the attention that a head's parameter is of."""
        if hasattr(self.facts, "BIASES") and "SelfAttention" in name:
            return f"{name.partition('.block.')[0]}.heads"
        layers = list(_LAYER.finditer(name))
        place = name[: layers[-1].end() - 1] if layers else name
        return f"{place}.heads"

    def along(self, key: str, label: str) -> tuple[Group, ...]:
        """Groups whose size is a key of the config: one for each layer that holds some of it.

        Args:
            key: such as ``intermediate_size``.
            label: what the groups are called after their layer.
        """
        places: dict[str, list[Member]] = {}
        for member in self._growing(key):
            found = _LAYER.search(member.parameter)
            place = f"{member.parameter[: found.end() - 1]}.{label}" if found else label
            places.setdefault(place, []).append(member)
        units = self.size(key)
        return tuple(Group(place, units, tuple(ms)) for place, ms in places.items())

    def throughout(self, key: str, label: str) -> Group:
        """The one group of a size that the whole model shares: its width, its vocabulary."""
        members = []
        inner = {(m.parameter, m.dim) for group in self.heads() for m in group.members}
        for member in self._growing(key):
            if key != self.facts.HIDDEN or (member.parameter, member.dim) not in inner:
                members.append(member)
        return Group(label, self.size(key), tuple(members))

    def layers(self) -> tuple[Group, ...]:
        """Whole blocks; a model with encoder and decoder has a group of each."""
        groups = []
        for stack, key in self.facts.LAYERS.items():
            pattern = re.compile(rf"(^|\.){re.escape(stack)}\.(\d+)\.")
            held: dict[int, list[str]] = {}
            for name in self.shapes:
                if found := pattern.search(name):
                    held.setdefault(int(found.group(2)), []).append(name)
            if held:
                whole = tuple(tuple(held[i]) for i in range(self.size(key)))
                groups.append(Group(f"{stack} layers", len(whole), whole=whole))
        return tuple(groups)

    def _growing(self, key: str) -> list[Member]:
        before = self.size(key)
        config = copy.deepcopy(self.config)
        # Heads must still divide the width.
        more = before + (self.size(self.facts.HEADS) if key == self.facts.HIDDEN else 1)
        setattr(config, key, more)
        after = _shapes(_empty(type(self.model), config))
        members = []
        for name, shape in self.shapes.items():
            for dim, (old, new) in enumerate(zip(shape, after[name], strict=True)):
                if old == new:
                    continue
                runs = old // before
                if old != runs * before or new != runs * more:
                    raise Unsupported(
                        f"{name} does not grow in step with {key}: {old} -> {new}",
                        hint="Prune another granularity.",
                    )
                starts = tuple(before * i for i in range(runs))
                members.append(Member(name, dim, starts, 1, reads=self.linear.get(name) == dim))
        return members


def of(model: Any) -> Architecture:
    """The structure of a transformers model.

    Raises:
        Unsupported: no file in ``architectures`` knows this model type.
    """
    return _laid_out(model, _facts(model.config.model_type))


def neurons(model: Any) -> tuple[Group, ...]:
    """The feed-forward neurons of each layer, also of models that cannot be cut.

    Raises:
        Unsupported: the config does not say how many there are.
    """
    try:
        structure = of(model)
    except Unsupported:
        if not isinstance(getattr(model.config, _USUAL.FFN, None), int):
            raise
        structure = _laid_out(model, _USUAL)
    return structure.along(structure.facts.FFN, "ffn")


def _laid_out(model: Any, facts: Any) -> Architecture:
    config = copy.deepcopy(model.config)
    if hasattr(facts, "prepare"):
        facts.prepare(config)
    state = model.state_dict()
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    linear = {}
    for name, child in model.named_modules():
        kind = type(child).__name__
        if isinstance(child, nn.Linear):
            linear[f"{name}.weight"] = 1
        elif kind == "Conv1D":
            linear[f"{name}.weight"] = 0
    return Architecture(model, facts, config, shapes, linear)


def known() -> tuple[str, ...]:
    """Model types that can be cut."""
    files = (prune.module("architectures", name) for name in prune.names("architectures"))
    return tuple(sorted(kind for file in files for kind in file.MODEL_TYPES))


def _facts(model_type: str) -> Any:
    for name in prune.names("architectures"):
        file = prune.module("architectures", name)
        if model_type in file.MODEL_TYPES:
            return file
    raise Unsupported(
        f"{model_type} models cannot be cut: their units are not known",
        hint=f"Known: {', '.join(known())}. --granularity element, block and 2:4 work on any.",
    )


def _empty(cls: type[nn.Module], config: Any) -> nn.Module:
    with quiet(), torch.device("meta"):
        return cls(config)


def _shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}

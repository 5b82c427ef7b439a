"""Where a student begins: some layers of the teacher, a narrower teacher, a folder, or chance."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from edgekit.errors import SpecError
from edgekit_converters.distill.models import fixed
from edgekit_converters.distill.outputs import layer_list, shape_of

_FIXED_KEYS = ("model_type", "vocab_size", "auto_map", "architectures")


def from_layers(teacher: nn.Module, layers: Sequence[int]) -> nn.Module:
    """A model made of some layers of another one, counted from 0, and of all that is around them.

    Raises:
        SpecError: there is no such layer, or they are not in order.
        Unsupported: the model has no single list of layers.
    """
    count = shape_of(teacher).layers
    if (
        not layers
        or sorted(set(layers)) != list(layers)
        or not 0 <= layers[0] <= layers[-1] < count
    ):
        raise SpecError(
            f"layers {','.join(map(str, layers))} cannot be taken from {count}",
            hint=f"Name some of 0 to {count - 1}, each once and in order, or how many to keep.",
        )
    student = shell(teacher, layers)
    fill(student, teacher, layers)
    return student


def shell(teacher: nn.Module, layers: Sequence[int]) -> nn.Module:
    """A model of so many layers, its weights still to be filled."""
    layer_list(teacher)
    whole: Any = teacher
    config = copy.deepcopy(whole.config)
    count = shape_of(teacher).layers
    for name, value in list(vars(config).items()):
        # What is said layer by layer, such as which kind of attention each has.
        if (
            isinstance(value, list)
            and len(value) == count
            and count > 1
            and name != "architectures"
        ):
            setattr(config, name, [value[index] for index in layers])
    config.num_hidden_layers = len(layers)
    return made(whole, config, 0)


def fill(student: nn.Module, teacher: nn.Module, layers: Sequence[int]) -> None:
    """Copy all weights, layer ``i`` of the student from layer ``layers[i]`` of the teacher."""
    prefix = layer_list(teacher)[0] + "."
    source = teacher.state_dict()
    with torch.no_grad():
        for name, tensor in student.state_dict().items():
            tensor.copy_(source[_renamed(name, prefix, layers)])


def _renamed(name: str, prefix: str, layers: Sequence[int]) -> str:
    if not name.startswith(prefix):
        return name
    index, _, rest = name[len(prefix) :].partition(".")
    return f"{prefix}{layers[int(index)]}.{rest}"


def made(like: nn.Module, config: Any, seed: int) -> nn.Module:
    """A model of the same class with random weights."""
    kind: Any = type(like)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return fixed(kind(config))


def changed_config(teacher: nn.Module, changes: Mapping[str, Any]) -> Any:
    """The teacher's configuration with some sizes of its own.

    Raises:
        SpecError: a key that cannot differ or that the family has not, or sizes that do not fit.
    """
    whole: Any = teacher
    known = whole.config.to_dict()
    names = {whole.config.attribute_map.get(key, key): value for key, value in changes.items()}
    for key, value in names.items():
        if key not in known:
            raise SpecError(
                f"{known['model_type']} models have no {key!r}",
                hint="A --config file names what differs: num_hidden_layers, hidden_size, ...",
            )
        if key in _FIXED_KEYS and value != known[key]:
            raise SpecError(
                f"the student's {key} is {value!r}, the teacher's {known[key]!r}",
                hint="Give a student of its own kind as a folder: --student FOLDER.",
            )
        if type(known[key]) is int and (type(value) is not int or value < 1):
            raise SpecError(f"{key} is {value!r}", hint="A whole number of 1 or more.")
    config = type(whole.config).from_dict(known | names)
    config._attn_implementation = whole.config._attn_implementation
    hidden, heads = int(config.hidden_size), int(config.num_attention_heads)
    if hidden % heads:
        raise SpecError(
            f"{heads} attention heads do not divide a hidden size of {hidden}",
            hint="Choose numbers that divide.",
        )
    return config

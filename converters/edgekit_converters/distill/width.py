"""A narrower student cut out of its teacher: the widths, neurons and heads that matter most stay.

Importance is read from the weights: a hidden width by the norms of all that reads or writes it, a
neuron of the feed-forward by the product of the norms of what goes in and what comes out, a head by
that of its values and its output. For BERT-like encoders, whose parameters say by name what each of
their sides is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from edgekit.errors import SpecError
from edgekit_converters.distill.outputs import layer_list, shape_of
from edgekit_converters.distill.student import made

# A parameter's sides: h the hidden width, a the width of all heads, f the feed-forward, - anything.
_SIDES = (
    (r"(attention\.self\.(query|key|value)|attention\.[qkv]_lin)\.weight", "ah"),
    (r"(attention\.self\.(query|key|value)|attention\.[qkv]_lin)\.bias", "a"),
    (r"(attention\.output\.dense|attention\.out_lin)\.weight", "ha"),
    (r"(attention\.output\.dense|attention\.out_lin)\.bias", "h"),
    (r"(intermediate\.dense|ffn\.lin1)\.weight", "fh"),
    (r"(intermediate\.dense|ffn\.lin1)\.bias", "f"),
    (r"(output\.dense|ffn\.lin2)\.weight", "hf"),
    (r"(output\.dense|ffn\.lin2)\.bias", "h"),
    (r"embeddings\.\w*embeddings\.weight", "-h"),
    (r"(LayerNorm|layer_norm|_norm|norm)\.(weight|bias)", "h"),
    (r"(pooler\.dense|transform\.dense|pre_classifier|vocab_transform)\.weight", "hh"),
    (r"(pooler\.dense|transform\.dense|pre_classifier|vocab_transform)\.bias", "h"),
    (r"classifier\.dense\.weight", "hh"),
    (r"classifier\.dense\.bias", "h"),
    (r"(classifier(\.out_proj)?|decoder|vocab_projector|qa_outputs)\.weight", "-h"),
    (r"\.bias|\.position_ids|^classifier(\.out_proj)?\.bias", "-"),
)
_PATTERNS = tuple((re.compile(f"({pattern})$"), sides) for pattern, sides in _SIDES)


def can_cut(teacher: nn.Module) -> bool:
    """Whether every parameter's sides are known."""
    return all(_sides(name) is not None for name in teacher.state_dict())


def cut(teacher: nn.Module, config: Any, layers: Sequence[int]) -> nn.Module:
    """A student of a smaller configuration with the teacher's most important weights.

    Args:
        teacher: not changed.
        config: of the student; no width above the teacher's.
        layers: which layers of the teacher it has, counted from 0.

    Raises:
        SpecError: a width is above the teacher's, or heads have another width.
    """
    whole: Any = teacher
    own, other = shape_of_config(config), shape_of_config(whole.config)
    if any(small > large for small, large in zip(own, other, strict=True)):
        raise SpecError(
            "a narrower student cannot be wider than its teacher",
            hint=f"The teacher's hidden size, heads, feed-forward: {', '.join(map(str, other))}.",
        )
    if own[0] // own[1] != other[0] // other[1]:
        raise SpecError(
            f"a head would be {own[0] // own[1]} wide, the teacher's are {other[0] // other[1]}",
            hint="Heads are taken whole: hidden size over heads must stay as it is.",
        )
    student = made(teacher, config, 0)
    prefix = layer_list(teacher)[0] + "."
    source = teacher.state_dict()
    hidden = _top(_hidden_importance(source), own[0])
    keep: dict[int, dict[str, Tensor]] = {}
    for index in range(shape_of(student).layers):
        own_layer = {n: t for n, t in source.items() if n.startswith(f"{prefix}{layers[index]}.")}
        keep[index] = {
            "h": hidden,
            "f": _top(_neuron_importance(own_layer), own[2]),
            "a": _head_columns(own_layer, other[0] // other[1], own[1]),
        }
    with torch.no_grad():
        for name, tensor in student.state_dict().items():
            layer, theirs = _origin(name, prefix, layers)
            chosen = {"h": hidden} if layer is None else keep[layer]
            values = source[theirs]
            for side, letter in enumerate(_sides(name) or ""):
                if letter in chosen:
                    values = values.index_select(side, chosen[letter])
            tensor.copy_(values)
    return student


def shape_of_config(config: Any) -> tuple[int, int, int]:
    """Hidden size, heads, width of the feed-forward."""
    wide = getattr(config, "intermediate_size", None) or getattr(config, "hidden_dim", None)
    return int(config.hidden_size), int(config.num_attention_heads), int(wide or 0)


def _sides(name: str) -> str | None:
    for pattern, sides in _PATTERNS:
        if pattern.search(name):
            return sides
    return None


def _origin(name: str, prefix: str, layers: Sequence[int]) -> tuple[int | None, str]:
    if not name.startswith(prefix):
        return None, name
    index, _, rest = name[len(prefix) :].partition(".")
    return int(index), f"{prefix}{layers[int(index)]}.{rest}"


def _top(importance: Tensor, count: int) -> Tensor:
    """Indexes of the largest, in their old order."""
    return importance.topk(count).indices.sort().values


def _squares(tensors: dict[str, Tensor], sides: str, along: str) -> Tensor:
    """Sum of squares along one side of all parameters with these sides."""
    found = [
        tensor.to(torch.float64).square().sum([i for i, s in enumerate(sides) if s != along])
        for name, tensor in tensors.items()
        if _sides(name) == sides
    ]
    return torch.stack(found).sum(0)


def _hidden_importance(tensors: dict[str, Tensor]) -> Tensor:
    reads = _squares(tensors, "ah", "h") + _squares(tensors, "fh", "h")
    writes = _squares(tensors, "ha", "h") + _squares(tensors, "hf", "h")
    return reads * writes


def _neuron_importance(tensors: dict[str, Tensor]) -> Tensor:
    return _squares(tensors, "fh", "f") * _squares(tensors, "hf", "f")


def _head_columns(tensors: dict[str, Tensor], width: int, count: int) -> Tensor:
    """Columns of the heads whose values and outputs are largest."""
    values = {n: t for n, t in tensors.items() if "value" in n or "v_lin" in n}
    by_column = _squares(values, "ah", "a") * _squares(tensors, "ha", "a")
    heads = _top(by_column.view(-1, width).sum(1), count)
    return (heads[:, None] * width + torch.arange(width)).flatten()

"""What stands in a captured decoder for ONNX Runtime's attention operators.

``edgekit::biased_attention`` is ``com.microsoft.GroupQueryAttention`` with a bias on the scores,
``edgekit::cross_attention`` is ``com.microsoft.MultiHeadAttention`` over keys and values that are
there already. Without a bias, attention to the answer is ``edgekit::grouped_attention``, as in any
decoder. What they compute here is the same function.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from edgekit_converters.quantize.onnx_graph import CONTRIB


@torch.library.custom_op("edgekit::biased_attention", mutates_args=())
def biased_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    past_key: Tensor,
    past_value: Tensor,
    last: Tensor,
    total: Tensor,
    bias: Tensor,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Append keys and values to a cache, and attend over all of it with a bias.

    Args:
        query: ``(1, tokens, heads * head_dim)``.
        key: like query; value likewise.
        value: see key.
        past_key: ``(1, heads, past, head_dim)``; past_value likewise.
        past_value: see past_key.
        last: int32 ``(1, 1)``: position of the last token.
        total: int32 scalar: tokens in all, those of this call included.
        bias: ``(1, heads, tokens, past + tokens)``, added to the scores.
        scale: factor of the scores.

    Returns:
        ``(1, tokens, heads * head_dim)``, and keys and values with the new ones at their end.
    """
    heads, head_dim = past_key.shape[1], past_key.shape[3]

    def split(states: Tensor) -> Tensor:
        return states.view(1, -1, heads, head_dim).transpose(1, 2)

    keys = torch.cat([past_key, split(key)], dim=2)
    values = torch.cat([past_value, split(value)], dim=2)
    rows = torch.arange(query.shape[1])[:, None] + past_key.shape[2]
    seen = torch.arange(keys.shape[2])[None, :] <= rows
    scores = split(query) @ keys.transpose(2, 3) * scale + bias
    weights = torch.softmax(scores.masked_fill(~seen, -1e30), dim=-1)
    mixed = (weights @ values).transpose(1, 2)
    return mixed.reshape(query.shape).contiguous(), keys, values


@biased_attention.register_fake
def _(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    past_key: Tensor,
    past_value: Tensor,
    last: Tensor,
    total: Tensor,
    bias: Tensor,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    length = past_key.shape[2] + query.shape[1]
    shape = (1, past_key.shape[1], length, past_key.shape[3])
    return torch.empty_like(query), past_key.new_empty(shape), past_value.new_empty(shape)


@torch.library.custom_op("edgekit::cross_attention", mutates_args=())
def cross_attention(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """Attend over another text's keys and values.

    Args:
        query: ``(1, tokens, heads * head_dim)``.
        key: ``(1, heads, length, head_dim)``; value likewise.
        value: see key.
        scale: factor of the scores.

    Returns:
        ``(1, tokens, heads * head_dim)``.
    """
    split = query.view(1, -1, key.shape[1], key.shape[3]).transpose(1, 2)
    weights = torch.softmax(split @ key.transpose(2, 3) * scale, dim=-1)
    return (weights @ value).transpose(1, 2).reshape(query.shape).contiguous()


@cross_attention.register_fake
def _(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    return torch.empty_like(query)


def translations() -> dict[Any, Any]:
    """What stands for them in ONNX."""
    from onnxscript import values

    opset = values.Opset(CONTRIB, 1)
    grouped = values.Op(opset, "GroupQueryAttention", _grouped_schema())
    crossed = values.Op(opset, "MultiHeadAttention", _cross_schema())

    def biased(
        query: Any,
        key: Any,
        value: Any,
        past_key: Any,
        past_value: Any,
        last: Any,
        total: Any,
        bias: Any,
        scale: float,
    ) -> Any:
        heads = past_key.shape[1]
        return grouped(
            *(query, key, value, past_key, past_value, last, total, None, None, None, bias),
            num_heads=heads,
            kv_num_heads=heads,
            scale=scale,
        )

    def cross(query: Any, key: Any, value: Any, scale: float) -> Any:
        return crossed(query, key, value, num_heads=key.shape[1], scale=scale)

    return {
        torch.ops.edgekit.biased_attention.default: biased,
        torch.ops.edgekit.cross_attention.default: cross,
    }


def _grouped_schema() -> Any:
    names = (
        *("query", "key", "value", "past_key", "past_value"),
        *("seqlens_k", "total_sequence_length"),
        *("cos_cache", "sin_cache", "position_ids", "attention_bias"),
    )
    kinds = {"seqlens_k": "M", "total_sequence_length": "M", "position_ids": "P"}
    attributes = {"num_heads": "INT", "kv_num_heads": "INT", "scale": "FLOAT"}
    outputs = ("output", "present_key", "present_value")
    return _schema("GroupQueryAttention", names, kinds, attributes, outputs)


def _cross_schema() -> Any:
    attributes = {"num_heads": "INT", "scale": "FLOAT"}
    return _schema("MultiHeadAttention", ("query", "key", "value"), {}, attributes, ("output",))


def _schema(
    name: str,
    inputs: tuple[str, ...],
    kinds: dict[str, str],
    attributes: dict[str, str],
    outputs: tuple[str, ...],
) -> Any:
    """An operator of ONNX Runtime as far as it is used here; onnx knows its own alone."""
    import onnx

    schema = onnx.defs.OpSchema
    optional = schema.FormalParameterOption.Optional
    single = schema.FormalParameterOption.Single
    return schema(
        name,
        CONTRIB,
        1,
        inputs=[
            schema.FormalParameter(
                one, kinds.get(one, "T"), param_option=optional if at > 6 else single
            )
            for at, one in enumerate(inputs)
        ],
        outputs=[schema.FormalParameter(one, "T") for one in outputs],
        type_constraints=[
            ("T", ["tensor(float)"], ""),
            ("M", ["tensor(int32)"], ""),
            ("P", ["tensor(int64)"], ""),
        ],
        attributes=[
            schema.Attribute(one, getattr(schema.AttrType, kind), required=False)
            for one, kind in attributes.items()
        ],
    )

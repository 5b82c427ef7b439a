"""Attention without a mask as one operator, ``com.microsoft.MultiHeadAttention``.

Eleven nodes become one: three splits into heads, two products, a softmax, and the way back. The
function is the same; what is saved is the time to load them and a meeting of all threads after
each. Only for ONNX Runtime's own kernels: delegates know no such operator.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from edgekit_converters.quantize.onnx_graph import CONTRIB, Draft, attribute

_SPLIT = [1, 0, 2]
_SPLIT_AND_TURNED = [1, 2, 0]


@dataclass(frozen=True)
class _Attention:
    """One match: the values before their split into heads, and the nodes that go."""

    query: str
    key: str
    value: str
    heads: int
    nodes: tuple[onnx.NodeProto, ...]


def apply(model: onnx.ModelProto) -> int:
    """Join every attention of the plain form, in place; returns how many.

    The form is that of batch 1 after the rewrites: ``(1, tokens, width)`` viewed as
    ``(tokens, heads, head)`` and turned, with nothing between the scores and their softmax.
    """
    draft = Draft(model)
    found = {id(node): match for node in draft.nodes if (match := _match(draft, node))}
    gone = {id(node) for match in found.values() for node in match.nodes}
    for node in draft.nodes:
        match = found.get(id(node))
        if match is not None:
            draft.add(
                "MultiHeadAttention",
                [match.query, match.key, match.value],
                node.output[0],
                domain=CONTRIB,
                num_heads=match.heads,
                scale=1.0,
            )
        elif id(node) not in gone:
            draft.keep(node)
    draft.finish()
    return len(found)


def _match(draft: Draft, last: onnx.NodeProto) -> _Attention | None:
    """The attention that ends in ``last``, which joins the heads again."""
    turned = _made_by(draft, last.input[0], "Transpose") if last.op_type == "Reshape" else None
    if turned is None or attribute(turned, "perm", None) != _SPLIT:
        return None
    mixed = _made_by(draft, turned.input[0], "MatMul")
    weights = mixed and _made_by(draft, mixed.input[0], "Softmax")
    scores = weights and _made_by(draft, weights.input[0], "MatMul")
    if mixed is None or weights is None or scores is None:
        return None
    parts = (
        _split(draft, scores.input[0], _SPLIT),
        _split(draft, scores.input[1], _SPLIT_AND_TURNED),
        _split(draft, mixed.input[1], _SPLIT),
    )
    sources = [part[0] for part in parts if part is not None]
    heads = {part[1] for part in parts if part is not None}
    if len(sources) != 3 or len(heads) != 1 or attribute(weights, "axis", -1) not in (-1, 2):
        return None
    joined = draft.dims(last.output[0])
    if joined is None or len(joined) != 3 or joined[0] != 1:
        return None
    query, key, value = sources
    return _Attention(query, key, value, heads.pop(), (turned, mixed, weights, scores))


def _split(draft: Draft, name: str, order: list[int]) -> tuple[str, int] | None:
    """The ``(1, tokens, width)`` value behind one split into heads, and how many heads."""
    turned = _made_by(draft, name, "Transpose")
    view = turned and _made_by(draft, turned.input[0], "Reshape")
    if turned is None or view is None or attribute(turned, "perm", None) != order:
        return None
    sizes = draft.constant(view.input[1])
    source = draft.dims(view.input[0])
    if sizes is None or sizes.shape != (3,) or source is None or len(source) != 3:
        return None
    heads, head = int(sizes[1]), int(sizes[2])
    return (view.input[0], heads) if source[0] == 1 and source[2] == heads * head else None


def _made_by(draft: Draft, name: str, kind: str) -> onnx.NodeProto | None:
    """The node of a kind that makes a value for one reader alone."""
    node = draft.producers.get(name)
    alone = node is not None and node.op_type == kind and draft.reads_only(name) is not None
    return node if alone else None

"""Rotary positions as one operator, ``com.microsoft.RotaryEmbedding``.

Seven nodes for the queries of a layer and seven for its keys become one each; what they cost is not
arithmetic but the start of each node. Only where the halves of a head are turned, by the same
angles, at the positions that are given; anything else stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx

from edgekit_converters.quantize.onnx_graph import CONTRIB, Array, Draft

POSITIONS = "position_ids"

# What leads from a row of a table to a factor of every head.
_VIEWS = ("Transpose", "Unsqueeze", "Reshape")
_HEADS = 4


@dataclass(frozen=True)
class _Turn:
    """One match, ``x * cos + turned(x) * sin``; its readers want it as ``(1, tokens, width)``."""

    source: str
    cos: tuple[str, Array]
    sin: tuple[str, Array]
    readers: tuple[onnx.NodeProto, ...]


def apply(model: onnx.ModelProto) -> int:
    """Join what is found, in place; returns how many."""
    draft = Draft(model)
    found = {id(node): turn for node in draft.nodes if (turn := _match(draft, node)) is not None}
    gone = {id(reader) for turn in found.values() for reader in turn.readers}
    for node in draft.nodes:
        turn = found.get(id(node))
        if turn is not None:
            _write(draft, turn)
        elif id(node) not in gone:
            draft.keep(node)
    draft.finish()
    return len(found)


def _write(draft: Draft, turn: _Turn) -> None:
    """One operator for all readers: they want the same values in the same order."""
    first = turn.readers[0].output[0]
    flat = draft.add("Reshape", [turn.source, turn.readers[0].input[1]], f"{first}.flat")
    tables = [
        draft.const(f"{name}.half", table[:, : table.shape[1] // 2])
        for name, table in (turn.cos, turn.sin)
    ]
    draft.add("RotaryEmbedding", [flat, POSITIONS, *tables], first, domain=CONTRIB)
    for reader in turn.readers[1:]:
        draft.add("Identity", [first], reader.output[0])


def _match(draft: Draft, node: onnx.NodeProto) -> _Turn | None:
    if node.op_type != "Add":
        return None
    for straight, crossed in (tuple(node.input), tuple(node.input)[::-1]):
        found = _factors(draft, crossed, "Concat")
        source = _halves_swapped(draft, found[0]) if found is not None else ""
        other = _factors(draft, straight, source) if source else None
        if found is None or other is None:
            continue
        cos, sin = _table(draft, other[1]), _table(draft, found[1])
        readers = _flat(draft, node.output[0])
        if cos and sin and readers:
            return _Turn(_before_view(draft, source), cos, sin, readers)
    return None


def _factors(draft: Draft, name: str, wanted: str) -> tuple[str, str] | None:
    """Both factors of a product, the one of this name or made by this kind of node first."""
    product = draft.producers.get(name)
    if product is None or product.op_type != "Mul":
        return None
    for one, other in (tuple(product.input), tuple(product.input)[::-1]):
        made = draft.producers.get(one)
        if one == wanted or (made is not None and made.op_type == wanted):
            return one, other
    return None


def _halves_swapped(draft: Draft, name: str) -> str:
    """``x`` where a value is ``[-second half of x, first half]``; empty for anything else."""
    joined = draft.producers[name]
    if len(joined.input) != 2:
        return ""
    minus = draft.producers.get(joined.input[0])
    if minus is None or minus.op_type != "Neg":
        return ""
    second, first = _slice(draft, minus.input[0]), _slice(draft, joined.input[1])
    if second is None or first is None or second[0] != first[0]:
        return ""
    halves = first[1] == 0 and first[2] == second[1] and second[2] >= 2 * second[1]
    return first[0] if halves else ""


def _slice(draft: Draft, name: str) -> tuple[str, int, int] | None:
    """Source, begin and end of a run along the last of four dimensions."""
    node = draft.producers.get(name)
    if node is None or node.op_type != "Slice" or len(node.input) != 5:
        return None
    bounds = [draft.constant(bound) for bound in node.input[1:]]
    if any(bound is None or bound.size != 1 for bound in bounds):
        return None
    begin, end, axis, step = (int(bound.item()) for bound in bounds if bound is not None)
    return (node.input[0], begin, end) if axis in (-1, _HEADS - 1) and step == 1 else None


def _table(draft: Draft, name: str) -> tuple[str, Array] | None:
    """The table whose rows at ``position_ids`` a factor is, if a row's halves are the same."""
    row = draft.producers.get(_origin(draft, name, _VIEWS))
    if row is None or row.op_type != "Gather":
        return None
    table, index = draft.constant(row.input[0]), row.input[1]
    if table is None or table.ndim != 2 or table.shape[1] % 2:
        return None
    if _origin(draft, index, (*_VIEWS, "Gather", "Squeeze")) != POSITIONS:
        return None
    first, second = np.split(table, 2, axis=1)
    same = table.dtype == np.float32 and np.array_equal(first, second)
    return (row.input[0], table.astype(np.float32)) if same else None


def _origin(draft: Draft, name: str, kinds: tuple[str, ...]) -> str:
    """The value that a chain of these kinds of nodes begins with."""
    while (node := draft.producers.get(name)) is not None and node.op_type in kinds:
        name = node.input[0]
    return name


def _flat(draft: Draft, name: str) -> tuple[onnx.NodeProto, ...]:
    """Who reads a value, if each joins its heads first."""
    readers = tuple(draft.readers[name])
    for reader in readers:
        shape = draft.constant(reader.input[1]) if reader.op_type == "Reshape" else None
        if shape is None or shape.size != _HEADS - 1:
            return ()
    return readers if name not in draft.outputs else ()


def _before_view(draft: Draft, name: str) -> str:
    """The value whose heads were parted to make this one, or the value itself."""
    node = draft.producers.get(name)
    return node.input[0] if node is not None and node.op_type == "Reshape" else name

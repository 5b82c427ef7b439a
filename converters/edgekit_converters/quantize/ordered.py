"""A table that is read from its first row on, as a lookup: it can be rounded like any other.

Positions are such a table once the graph is rewritten (``graph.positions``): a constant, cut to the
length. Cut, it is the fastest; looked up, it may have integers, a quarter of the bytes.
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch.fx import GraphModule, Node

from edgekit_converters.graph.parameters import (
    add_constant,
    call,
    constant,
    free_name,
    replace_constant,
)
from edgekit_converters.quantize.settings import SMALLEST_TABLE

_aten = torch.ops.aten


def as_lookups(graph_module: GraphModule, names: Collection[str] | None = None) -> int:
    """Look up what is cut to the length; returns how many tables there were.

    Args:
        graph_module: captured and rewritten; changed in place.
        names: of the tables that are meant; None for all that are worth it.
    """
    changed = 0
    for node in list(graph_module.graph.nodes):
        if _is_table(graph_module, node) and (names is None or node.args[0].target in names):
            _look_up(graph_module, node)
            changed += 1
    return changed


def _is_table(graph_module: GraphModule, node: Node) -> bool:
    """Whether it is ``table[:, :length]`` of one text, the table's only use."""
    if node.target is not _aten.slice.Tensor or len(node.args) != 4 or node.kwargs:
        return False
    source, dim, start, end = node.args
    value = constant(graph_module, source)
    return (
        value is not None
        and value.dtype == torch.float32
        and value.ndim == 3
        and len(value) == 1
        and (dim, start) == (1, 0)
        and isinstance(end, Node)
        and isinstance(source, Node)
        and len(source.users) == 1
        and value.nbytes >= SMALLEST_TABLE
    )


def _look_up(graph_module: GraphModule, node: Node) -> None:
    source, _, _, end = node.args
    assert isinstance(source, Node)
    table = constant(graph_module, source)
    assert table is not None
    replace_constant(graph_module, source, table[0].contiguous())
    source.meta["val"] = source.meta["val"][0]
    with graph_module.graph.inserting_before(node):
        order = torch.arange(table.shape[1])[None]
        every = add_constant(graph_module, free_name(graph_module, "order"), order, source)
        ids = call(graph_module, _aten.slice.Tensor, every, 1, 0, end)
        rows = call(graph_module, _aten.embedding.default, source, ids)
    node.replace_all_uses_with(rows)
    graph_module.graph.erase_node(node)

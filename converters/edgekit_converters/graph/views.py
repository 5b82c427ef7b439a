"""Write every view with a literal -1 in place of its one dynamic dimension.

A view whose sizes are read from the input's shape at run time is left outside by delegates and
splits the graph around it; one dynamic dimension can always be written as -1. A reshape that must
copy becomes an explicit copy and a view.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import GraphModule, Node

RUNTIMES = ("executorch", "onnx")
AFTER: tuple[str, ...] = ("cleanup",)

_aten = torch.ops.aten
_VIEWS = (_aten.view.default, _aten.reshape.default, _aten._unsafe_view.default)


def apply(graph_module: GraphModule) -> int:
    """Rewrite the views that have one dynamic dimension at most; returns how many."""
    changed = 0
    for node in list(graph_module.graph.nodes):
        if node.op != "call_function" or node.target not in _VIEWS:
            continue
        sizes = node.meta["val"].shape
        literal = [int(size) if isinstance(size, int) else -1 for size in sizes]
        source = node.args[0]
        done = node.target is _aten.view.default and list(node.args[1]) == literal
        if done or literal.count(-1) > 1:
            continue
        if not is_view(source, literal):
            source = _contiguous(graph_module, node, source)
        node.target = _aten.view.default
        node.args = (source, literal)
        changed += 1
    graph_module.graph.eliminate_dead_code()
    graph_module.recompile()
    return changed


def is_view(source: Node, sizes: list[Any]) -> bool:
    """Whether ``source`` can take these sizes without a copy."""
    fake = source.meta["val"]
    try:
        with fake.fake_mode:
            fake.view(sizes)
    except (RuntimeError, ValueError):
        return False
    return True


def _contiguous(graph_module: GraphModule, before: Node, source: Node) -> Node:
    memory_format: dict[str, Any] = {"memory_format": torch.contiguous_format}
    with graph_module.graph.inserting_before(before):
        copy = graph_module.graph.call_function(_aten.clone.default, (source,), memory_format)
    copy.meta = dict(source.meta)
    fake = source.meta["val"]
    with fake.fake_mode:
        copy.meta["val"] = fake.clone(**memory_format)
    return copy

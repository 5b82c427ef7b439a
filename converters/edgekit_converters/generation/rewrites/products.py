"""A product with a constant matrix becomes a linear layer, which is what everything else looks for.

GPT-2 and its kin store their weights as ``(inputs, outputs)`` and multiply two-dimensional views.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import GraphModule, Node

from edgekit_converters.graph.lengths import literal
from edgekit_converters.graph.parameters import add_constant, arguments, call, constant

RUNTIMES = ("executorch", "onnx")

_aten = torch.ops.aten


def apply(graph_module: GraphModule) -> int:
    """Rewrite ``addmm`` and ``mm`` by constants; returns how many."""
    changed = 0
    for node in list(graph_module.graph.nodes):
        if node.target is _aten.addmm.default:
            bias, source, weight, *factors = arguments(node)
            plain = constant(graph_module, bias) is not None and factors == [1, 1]
        elif node.target is _aten.mm.default:
            (source, weight), bias, plain = arguments(node), None, True
        else:
            continue
        if plain and constant(graph_module, weight) is not None:
            _rewrite(graph_module, node, source, weight, bias)
            changed += 1
    graph_module.graph.eliminate_dead_code()
    graph_module.recompile()
    return changed


def _rewrite(
    graph_module: GraphModule, node: Node, source: Node, weight: Node, bias: Node | None
) -> None:
    value = constant(graph_module, weight)
    assert value is not None
    name = f"{str(weight.target).replace('.', '_')}_turned"
    flat = source
    # The view to two dimensions and the one back go, when they are all that surrounds it.
    around = _view_back(node, source)
    place = node if around is None else around
    if around is not None:
        flat = arguments(source)[0]
    with graph_module.graph.inserting_before(node):
        if hasattr(graph_module, name):
            turned = graph_module.graph.get_attr(name)
            turned.meta["val"] = node.meta["val"].fake_mode.from_tensor(
                getattr(graph_module, name), static_shapes=True
            )
        else:
            turned = add_constant(graph_module, name, value.t().contiguous(), node)
        made = call(graph_module, _aten.linear.default, flat, turned, bias)
    place.replace_all_uses_with(made)


def _view_back(node: Node, source: Node) -> Node | None:
    """The view after a product that undoes the one before it."""
    before: Any = source.target
    if before is not _aten.view.default or len(node.users) != 1:
        return None
    after = next(iter(node.users))
    if after.target is not _aten.view.default:
        return None
    first = literal(arguments(source)[0].meta["val"].shape)
    return after if first[:-1] == literal(after.meta["val"].shape)[:-1] else None

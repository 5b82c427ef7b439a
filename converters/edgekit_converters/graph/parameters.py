"""Read and add the tensors that a captured graph holds."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, GraphModule, Node

# Names of the constant rows that a rewrite sums or averages with. They look like the weights of a
# linear layer and are none: nothing is learned in them, and rounding them would cost precision.
REDUCTION = "reduction_"


def constant(graph_module: GraphModule, node: object) -> Tensor | None:
    """The tensor behind a ``get_attr`` node; None for anything else."""
    if not isinstance(node, Node) or node.op != "get_attr":
        return None
    found: object = graph_module
    for part in str(node.target).split("."):
        found = getattr(found, part)
    return found.detach() if isinstance(found, Tensor) else None


def shallow_copy(graph_module: GraphModule) -> GraphModule:
    """The same graph to change, its nodes in the same order; tensors are shared, not copied."""
    graph = Graph()
    graph.output(graph.graph_copy(graph_module.graph, {}))
    return GraphModule(graph_module, graph)


def add_constant(graph_module: GraphModule, name: str, value: Tensor, like: Node) -> Node:
    """Hold ``value`` as a buffer and return a node that reads it.

    Call it inside ``graph.inserting_before``. ``like`` is any node whose fake tensors share the
    graph's fake mode.
    """
    graph_module.register_buffer(name, value)
    node = graph_module.graph.get_attr(name)
    node.meta["val"] = like.meta["val"].fake_mode.from_tensor(value, static_shapes=True)
    return node


def replace_constant(graph_module: GraphModule, node: Node, value: Tensor) -> None:
    """Give the tensor behind a ``get_attr`` node another value under the same name.

    Only this name changes: a tensor that is shared with another name stays as it is there.
    """
    path, _, name = str(node.target).rpartition(".")
    owner = graph_module.get_submodule(path)
    if name in owner._parameters:
        owner._parameters[name] = torch.nn.Parameter(value, requires_grad=False)
    else:
        owner._buffers[name] = value


def free_name(graph_module: GraphModule, stem: str) -> str:
    """``stem_0``, or with the first number that no tensor of the graph has yet."""
    number = 0
    while hasattr(graph_module, f"{stem}_{number}"):
        number += 1
    return f"{stem}_{number}"


def reduction(graph_module: GraphModule, kind: str, value: Tensor, like: Node) -> Node:
    """A constant that sums or averages, one for each kind and shape, shared by all its readers.

    Args:
        graph_module: the captured graph.
        kind: ``mean`` or ``sum``: tells constants of one shape apart.
        value: the tensor; the same for every call with one kind and shape.
        like: any node whose fake tensors share the graph's fake mode.
    """
    name = "_".join([f"{REDUCTION}{kind}", *map(str, value.shape)])
    nodes: list[Node] = list(graph_module.graph.nodes)
    for node in nodes:
        if node.op == "get_attr" and node.target == name:
            return node
    # Before everything else, so that a later rewrite can share it wherever it works.
    with graph_module.graph.inserting_before(nodes[0]):
        return add_constant(graph_module, name, value, like)


def call(
    graph_module: GraphModule, operator: torch._ops.OpOverload, *args: Any, **named: Any
) -> Node:
    """Add one operator call, with the fake value that later passes read."""
    node = graph_module.graph.call_function(operator, args, named)
    values = [_value(arg) for arg in args]
    fake = next(value for value in values if hasattr(value, "fake_mode"))
    with fake.fake_mode:
        node.meta["val"] = operator(*values, **named)
    return node


def arguments(node: Node) -> list[Any]:
    """An operator's arguments in the schema's order, its defaults filled in."""
    operator = node.target
    assert isinstance(operator, torch._ops.OpOverload)
    schema = operator._schema.arguments
    given = dict(zip((argument.name for argument in schema), node.args, strict=False))
    given |= node.kwargs
    return [given.get(argument.name, argument.default_value) for argument in schema]


def _value(arg: Any) -> Any:
    return arg.meta["val"] if isinstance(arg, Node) else arg


def is_pure(node: Node) -> bool:
    """Whether the same arguments always give the same value, and nothing else happens."""
    operator = node.target
    if not isinstance(operator, torch._ops.OpOverload):
        return getattr(operator, "__module__", "") in ("_operator", "math")
    random = torch.Tag.nondeterministic_seeded in operator.tags
    return not random and not operator._schema.is_mutable and bool(operator._schema.returns)

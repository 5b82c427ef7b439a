"""What depends on nothing but the length becomes one table, cut to the length at run time.

Position embeddings, token types that are always zero, rotary angles: chains of small operators on
integers that no delegate takes, the same at every run. They are evaluated once at the longest
length, and only the rows up to it are kept. Terms that are added one after the other are added up
first, so that one table is left.

A value qualifies when it comes out of constants and lengths alone and is, at each shorter length
that is tried, exactly the beginning of itself at the longest. Ids computed from the input's own
tokens, as RoBERTa's are, do not qualify.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Node
from torch.fx.node import map_arg

from edgekit_converters.graph.lengths import length_node, literal, longest, prefix
from edgekit_converters.graph.parameters import call, constant, free_name, is_pure

RUNTIMES = ("executorch", "onnx")
AFTER: tuple[str, ...] = ("cleanup",)

_aten = torch.ops.aten
# They read an input's shape and none of its values.
_OF_SHAPE = frozenset(
    {
        _aten.sym_size.int,
        _aten.zeros_like.default,
        _aten.ones_like.default,
        _aten.full_like.default,
        _aten.new_zeros.default,
        _aten.new_ones.default,
    }
)
_SUMS = (_aten.add.Tensor,)
# What a table may take beyond the constants that it is made of: a relative bias between all pairs
# of tokens is small as a table of distances and large written out.
_EXTRA_BYTES = 1 << 20
_TRIED = 16


def apply(graph_module: GraphModule) -> int:
    """Replace values that depend on the length alone; returns how many."""
    fixed = _of_the_length(graph_module)
    _gather_sums(graph_module, fixed)
    changed = 0
    for node in list(graph_module.graph.nodes):
        if node in fixed and any(user not in fixed for user in node.users):
            changed += _replace(graph_module, node)
    graph_module.graph.eliminate_dead_code()
    graph_module.recompile()
    return changed


def _of_the_length(graph_module: GraphModule) -> set[Node]:
    """Nodes whose values follow from constants and lengths."""
    fixed: set[Node] = set()
    for node in graph_module.graph.nodes:
        if node.op == "get_attr":
            if constant(graph_module, node) is not None:
                fixed.add(node)
        elif node.op == "call_function" and is_pure(node):
            of_shape = node.target in _OF_SHAPE
            if of_shape or all(source in fixed for source in node.all_input_nodes):
                fixed.add(node)
    return fixed


def _gather_sums(graph_module: GraphModule, fixed: set[Node]) -> None:
    """Turn ``(x + a) + b`` into ``x + (a + b)`` where ``a`` and ``b`` are fixed."""
    for node in list(graph_module.graph.nodes):
        parts = _split(node, fixed)
        inner = _split(parts[0], fixed) if parts else None
        if parts is None or inner is None or len(parts[0].users) > 1:
            continue
        with graph_module.graph.inserting_before(node):
            both = call(graph_module, _aten.add.Tensor, inner[1], parts[1])
        fixed.add(both)
        node.args = (inner[0], both)
        graph_module.graph.erase_node(parts[0])


def _split(node: Node, fixed: set[Node]) -> tuple[Node, Node] | None:
    """A sum's free and its fixed term, or None for anything else."""
    if node.target not in _SUMS or node.kwargs or len(node.args) != 2:
        return None
    one, other = node.args
    if not isinstance(one, Node) or not isinstance(other, Node):
        return None
    if (one in fixed) == (other in fixed):
        return None
    return (other, one) if one in fixed else (one, other)


def _replace(graph_module: GraphModule, node: Node) -> bool:
    """Put a table in place of one node, if the node has the form and the table the size."""
    value: Any = node.meta.get("val")
    if not isinstance(value, torch.Tensor) or value.dtype != torch.float32:
        return False
    free_sizes: list[Any] = [size for size in value.shape if not isinstance(size, int)]
    sizes = {size.node.expr: size for size in free_sizes}
    if len(sizes) != 1 or _is_cut(graph_module, node):
        return False
    (size,) = sizes.values()
    most, at = longest(size), length_node(graph_module, size)
    if most is None or at is None or _of_another_length(node, size):
        return False
    full = _evaluate(graph_module, node, size, most)
    free = [not isinstance(dim, int) for dim in value.shape]
    for length in sorted({2 + (most - 2) * i // _TRIED for i in range(_TRIED)}):
        begin = tuple(slice(0, length if dim else None) for dim in free)
        if not torch.equal(full[begin], _evaluate(graph_module, node, size, length)):
            return False
    if _elementwise(node):
        full = _without_repeats(full)
        free = [dim and full.shape[place] > 1 for place, dim in enumerate(free)]
    if full.nbytes > _EXTRA_BYTES + _constant_bytes(graph_module, node):
        return False
    name = free_name(graph_module, "positions")
    pad = [number for dim in reversed(free) for number in (0, int(dim))]
    table = torch.nn.functional.pad(full, pad).contiguous()
    with graph_module.graph.inserting_before(node):
        made = prefix(graph_module, name, table, [at if dim else None for dim in free])
    node.replace_all_uses_with(made)
    return True


def _of_another_length(node: Node, size: Any) -> bool:
    """Whether a second length, such as that of a cache, has a part in the value."""
    for source in _sources(node):
        value = source.meta.get("val")
        dims: Any = value.shape if isinstance(value, torch.Tensor) else (value,)
        symbols = (dim.node.expr.free_symbols for dim in dims if isinstance(dim, torch.SymInt))
        if source.op != "placeholder" and any(
            found - size.node.expr.free_symbols for found in symbols
        ):
            return True
    return False


def _is_cut(graph_module: GraphModule, node: Node) -> bool:
    """Whether it is a constant, cut to the length, already."""
    while node.target is _aten.slice.Tensor:
        node = node.all_input_nodes[0]
    return constant(graph_module, node) is not None


def _elementwise(node: Node) -> bool:
    """Whether every reader repeats missing rows by itself and has its shape from elsewhere."""
    return all(
        user.target in (*_SUMS, _aten.mul.Tensor)
        and len(user.all_input_nodes) == 2
        and any(
            source is not node
            and literal(source.meta["val"].shape) == literal(user.meta["val"].shape)
            for source in user.all_input_nodes
        )
        for user in node.users
    )


def _without_repeats(full: Tensor) -> Tensor:
    """One row for each dimension along which all rows are equal."""
    for dim in range(full.ndim - 1):
        one = full.narrow(dim, 0, 1)
        if full.shape[dim] > 1 and torch.equal(full, one.expand_as(full)):
            full = one
    return full


def _evaluate(graph_module: GraphModule, node: Node, size: Any, length: int) -> Tensor:
    """The node's value at one length; runs only what it needs."""
    needed = _sources(node)
    values: dict[Node, Any] = {}
    for source in graph_module.graph.nodes:
        if source not in needed:
            continue
        if source.op == "placeholder":
            fake = source.meta["val"]
            shape = [_at(dim, size, length) for dim in fake.shape]
            values[source] = torch.zeros(shape, dtype=fake.dtype)
        elif source.op == "get_attr":
            values[source] = constant(graph_module, source)
        else:
            args, kwargs = map_arg((source.args, source.kwargs), values.__getitem__)
            with torch.no_grad():
                values[source] = source.target(*args, **kwargs)
    found = values[node]
    assert isinstance(found, Tensor)
    return found


def _at(dim: Any, size: Any, length: int) -> int:
    if isinstance(dim, int):
        return dim
    return length if dim.node.expr == size.node.expr else 1


def _sources(node: Node) -> set[Node]:
    found, ahead = {node}, [node]
    while ahead:
        for source in ahead.pop().all_input_nodes:
            if source not in found:
                found.add(source)
                ahead.append(source)
    return found


def _constant_bytes(graph_module: GraphModule, node: Node) -> int:
    tensors = [constant(graph_module, source) for source in _sources(node)]
    return sum(tensor.nbytes for tensor in tensors if tensor is not None)

"""Give the outlying channels of an activation function a linear of their own.

What leaves an activation function has a few channels far larger than the rest, and with one scale
a token they set the step for all of them. Nothing sits between the two linears around the function
but elementwise arithmetic, so their channels can be parted exactly, without a slice at run time::

    linear2(f(linear1(x)))  =  outliers2(f(outliers1(x))) + rest2(f(rest1(x)))

``outliers1`` and ``rest1`` have some rows each of the first weight, ``outliers2`` and ``rest2`` the
same columns of the second. Each part then has scales of its own. Gated feed-forwards, where the
second linear reads a product of two, are parted on both sides.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

from edgekit_converters.graph.parameters import arguments, call, constant
from edgekit_converters.quantize.moments import Moments

COUNT = 32
OUTLIERS, REST = "_outliers", "_rest"

# Kernels work on this many channels at once, and the groups of 4-bit weights are multiples of it.
_MULTIPLE = 8

_aten = torch.ops.aten
_BENDS = frozenset(
    {
        _aten.gelu.default,
        _aten.relu.default,
        _aten.relu_.default,
        _aten.silu.default,
        _aten.silu_.default,
        _aten.sigmoid.default,
        _aten.tanh.default,
        _aten.erf.default,
        _aten.hardtanh.default,
        _aten.hardswish.default,
        _aten.hardsigmoid.default,
        _aten.leaky_relu.default,
        _aten.elu.default,
        _aten.softplus.default,
        _aten.mish.default,
    }
)
_ARITHMETIC = frozenset(
    {
        _aten.mul.Tensor,
        _aten.add.Tensor,
        _aten.sub.Tensor,
        _aten.div.Tensor,
        _aten.neg.default,
        _aten.pow.Tensor_Scalar,
    }
)


def channels(moments: Moments, count: int = COUNT) -> Tensor:
    """The channels with the largest peaks, ascending.

    Args:
        moments: of what the second linear reads.
        count: how many; rounded down to a multiple of 8, and at most half of them.

    Returns:
        int64 indices; empty where there are too few channels to part.
    """
    most = min(count, len(moments.peak) // 2)
    chosen = moments.peak.topk(most - most % _MULTIPLE).indices
    return chosen.sort().values


def splittable(graph_module: GraphModule) -> list[str]:
    """Names of the second linears' weights that ``split`` can part, in graph order."""
    names = dict.fromkeys(
        str(node.args[1].target)
        for node in graph_module.graph.nodes
        if node.target is _aten.linear.default and constant(graph_module, node.args[1]) is not None
    )
    return [name for name in names if _regions(graph_module, name)]


def split(graph_module: GraphModule, unit_name: str, channels: Tensor) -> tuple[str, str]:
    """Part a linear's input channels in two, in place; its function stays.

    Args:
        graph_module: captured graph, float32.
        unit_name: the second linear's weight. Where several linears read it, each is parted.
        channels: int64 indices of the outlying ones.

    Returns:
        Names of the weights that take its place, of the outliers and of the rest.

    Raises:
        ValueError: no linear that can be parted reads the weight, or ``channels`` are none, all,
            or not among its channels.
    """
    regions = _regions(graph_module, unit_name)
    if not regions:
        raise ValueError(f"{unit_name} does not follow an activation function of another linear")
    columns = arguments(regions[0].second)[0].meta["val"].shape[-1]
    outlying = torch.zeros(columns, dtype=torch.bool)
    if len(channels) and not 0 <= int(channels.min()) <= int(channels.max()) < columns:
        raise ValueError(f"{unit_name} has channels 0 to {columns - 1}")
    outlying[channels] = True
    if outlying.all() or not outlying.any():
        raise ValueError(f"{unit_name} needs channels on both sides")
    for region in regions:
        with graph_module.graph.inserting_before(region.second):
            parts = [
                _part(graph_module, region, kept.nonzero()[:, 0], suffix)
                for kept, suffix in ((outlying, OUTLIERS), (~outlying, REST))
            ]
            whole = call(graph_module, _aten.add.Tensor, parts[1], parts[0])
        region.second.replace_all_uses_with(whole)
    firsts = [first for region in regions for first in region.firsts]
    tensors = [tensor for first in firsts for tensor in arguments(first)[1:3]]
    parted = {unit_name, *(str(tensor.target) for tensor in tensors if tensor is not None)}
    graph_module.graph.eliminate_dead_code()
    _forget(graph_module, parted)
    graph_module.recompile()
    return f"{unit_name}{OUTLIERS}", f"{unit_name}{REST}"


@dataclass
class _Region:
    """A linear with all that lies between it and the linears before it."""

    second: Node
    inner: list[Node] = field(default_factory=list)
    firsts: list[Node] = field(default_factory=list)
    bends: bool = False


def _regions(graph_module: GraphModule, name: str) -> list[_Region]:
    """One region for each linear that reads the weight; none if any of them has no such form."""
    found = []
    for node in graph_module.graph.nodes:
        reads = [source for source in node.all_input_nodes if source.target == name]
        if not reads or reads[0].op != "get_attr":
            continue
        region = _Region(node)
        linear = node.target is _aten.linear.default and node.args[1] is reads[0]
        if not linear or not _collect(graph_module, node.args[0], region) or not _closed(region):
            return []
        found.append(region)
    firsts = {first for region in found for first in region.firsts}
    names = {source.target for first in firsts for source in first.all_input_nodes[1:]}
    readers = {
        node
        for node in graph_module.graph.nodes
        if any(s.op == "get_attr" and s.target in names for s in node.all_input_nodes)
    }
    # A first linear that another feed-forward shares would need other channels for that one.
    return found if readers <= firsts else []


def _collect(graph_module: GraphModule, node: object, region: _Region) -> bool:
    """Walk back to the first linears; False where something else is in the way."""
    if not isinstance(node, Node):
        return isinstance(node, int | float | str)
    if node in region.inner or node in region.firsts:
        return True
    if node.target is _aten.linear.default:
        region.firsts.append(node)
        tensors = [tensor for tensor in arguments(node)[1:3] if tensor is not None]
        return all(constant(graph_module, tensor) is not None for tensor in tensors)
    value = constant(graph_module, node)
    if value is not None:
        return value.numel() == 1
    if node.target not in _BENDS and node.target not in _ARITHMETIC:
        return False
    region.bends = region.bends or node.target in _BENDS
    region.inner.append(node)
    return all(_collect(graph_module, source, region) for source in node.args)


def _closed(region: _Region) -> bool:
    """Whether there is an activation function, and nothing else reads what would be parted."""
    known = {region.second, *region.inner}
    parted = (*region.inner, *region.firsts)
    alone = all(set(node.users) <= known for node in parted)
    # One channel that is spread over all of them has nothing to choose from.
    alike = len({node.meta["val"].shape[-1] for node in parted}) == 1
    return region.bends and bool(region.firsts) and alone and alike


def _part(graph_module: GraphModule, region: _Region, kept: Tensor, suffix: str) -> Node:
    """The second linear's sum over some of its channels; the bias goes with the rest."""
    made: dict[Any, Any] = {}
    for first in region.firsts:
        source, weight, bias = arguments(first)
        rows = [
            _some(graph_module, tensor, kept, 0, suffix)
            for tensor in (weight, bias)
            if tensor is not None
        ]
        made[first] = call(graph_module, _aten.linear.default, source, *rows)
    # Collected from the end to the beginning, each perhaps before one of its sources.
    for node in sorted(region.inner):
        args = [made.get(arg, arg) for arg in node.args]
        assert isinstance(node.target, torch._ops.OpOverload)
        made[node] = call(graph_module, node.target, *args)
        made[node].kwargs = node.kwargs
    source, weight, bias = arguments(region.second)
    columns = _some(graph_module, weight, kept, 1, suffix)
    added = bias if suffix == REST else None
    return call(graph_module, _aten.linear.default, made[source], columns, added)


def _some(graph_module: GraphModule, node: Node, kept: Tensor, dim: int, suffix: str) -> Node:
    """A constant with some rows or columns of another, beside it under a name of its own."""
    name = f"{node.target}{suffix}"
    path, _, leaf = name.rpartition(".")
    owner = graph_module.get_submodule(path)
    value = constant(graph_module, node)
    assert value is not None
    value = value.index_select(dim, kept)
    if not hasattr(owner, leaf):
        owner.register_buffer(leaf, value)
    found = graph_module.graph.get_attr(name)
    found.meta["val"] = node.meta["val"].fake_mode.from_tensor(value, static_shapes=True)
    return found


def _forget(graph_module: GraphModule, names: set[str]) -> None:
    """Let go of tensors that nothing reads any more: a feed-forward is most of a model."""
    read = {str(node.target) for node in graph_module.graph.nodes if node.op == "get_attr"}
    for name in names - read:
        path, _, leaf = name.rpartition(".")
        delattr(graph_module.get_submodule(path), leaf)

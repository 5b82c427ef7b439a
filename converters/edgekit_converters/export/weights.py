"""Where a graph's bytes are: linears, tables, the rest. The base of every percentage."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.fx import GraphModule

from edgekit_converters.graph.parameters import constant

_aten = torch.ops.aten


@dataclass(frozen=True)
class WeightBytes:
    """Float32 bytes and tensor counts by kind; a tensor used twice counts once in ``total``.

    ``linear_rows`` is the number of output channels over all linears.
    """

    linear: int
    linears: int
    linear_rows: int
    table: int
    tables: int
    other: int
    others: int
    total: int
    count: int


def weight_bytes(graph_module: GraphModule) -> WeightBytes:
    """Measure the float tensors that a captured graph reads."""
    kinds: dict[str, dict[int, torch.Tensor]] = {"linear": {}, "table": {}, "other": {}}
    for node in graph_module.graph.nodes:
        tensor = constant(graph_module, node)
        if tensor is None or not tensor.is_floating_point():
            continue
        for user in node.users:
            if user.target is _aten.linear.default and user.args[1] is node:
                kind = "linear"
            elif user.target is _aten.embedding.default and user.args[0] is node:
                kind = "table"
            else:
                kind = "other"
            kinds[kind][tensor.data_ptr()] = tensor
    linear, table = kinds["linear"], kinds["table"]
    other = {key: t for key, t in kinds["other"].items() if key not in linear and key not in table}
    every = {**linear, **table, **other}
    return WeightBytes(
        linear=_bytes(linear),
        linears=len(linear),
        linear_rows=sum(tensor.shape[0] for tensor in linear.values()),
        table=_bytes(table),
        tables=len(table),
        other=_bytes(other),
        others=len(other),
        total=_bytes(every),
        count=len(every),
    )


def _bytes(tensors: dict[int, torch.Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors.values())

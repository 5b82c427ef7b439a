"""Lower a captured graph to a ``.pte``."""

from __future__ import annotations

import importlib
from collections import Counter
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import GraphModule

from edgekit.bundle.manifest import ArtifactInfo, Delegation, QuantizedGroup
from edgekit.errors import Unsupported
from edgekit_converters.export import Lowered
from edgekit_converters.export.capture import Captured
from edgekit_converters.export.weights import WeightBytes, weight_bytes
from edgekit_converters.quantize import embedding, int8_dynamic

RUNTIME = "executorch"
FILE = "model.pte"


def lower(captured: Captured, scheme: str, delegate: str) -> Lowered:
    """Quantize, delegate and serialize.

    Args:
        captured: the edge graph.
        scheme: ``fp32`` or ``int8``.
        delegate: a file name of ``export.delegates``.

    Raises:
        Unsupported: the delegate cannot run the scheme.
    """
    from executorch.exir import ExecutorchBackendConfig, to_edge_transform_and_lower

    chosen = importlib.import_module(f"edgekit_converters.export.delegates.{delegate}")
    if scheme not in chosen.SCHEMES:
        raise Unsupported(
            f"delegate {delegate} cannot run {scheme} in a .pte",
            hint=f"It runs: {', '.join(chosen.SCHEMES)}. Or use --delegate xnnpack.",
        )
    before = weight_bytes(captured.module())
    graph = captured.module()
    tables: list[tuple[int, int]] = []
    if scheme == "int8":
        tables = embedding.apply(graph)
        graph = int8_dynamic.apply(graph, captured.example)
    ready = captured.again(graph)
    edge = to_edge_transform_and_lower(ready.program, **chosen.lowering())
    # Counted now: the next step rewrites the same graph in place.
    delegation = _delegation(edge.exported_program())
    program = edge.to_executorch(ExecutorchBackendConfig(extract_delegate_segments=True))
    data = bytes(program.buffer)
    plan = program.executorch_program.execution_plan[0]
    info = ArtifactInfo(
        runtime=RUNTIME,
        file=FILE,
        bytes=len(data),
        fp32_bytes=before.total,
        delegate=delegate,
        scheme=scheme,
        quantization=_groups(scheme, before, tables),
        methods=("forward",),
        operators=tuple(sorted(_operator_name(op) for op in plan.operators)),
        backends=tuple(sorted({found.id for found in plan.delegates})),
        planned_memory=sum(plan.non_const_buffer_sizes),
        delegation=delegation,
    )
    return Lowered(info, data, ready.module())


def _groups(
    scheme: str, before: WeightBytes, tables: list[tuple[int, int]]
) -> tuple[QuantizedGroup, ...]:
    if scheme == "fp32":
        return (_left("all", before.count, before.total, "not asked for"),)
    linear = QuantizedGroup(
        kind="linear",
        scheme="int8 per channel, activations int8 per token",
        tensors=before.linears,
        bytes_before=before.linear,
        bytes_after=before.linear // 4 + before.linear_rows * 4,
    )
    groups = [linear]
    if tables:
        old, new = (sum(sizes) for sizes in zip(*tables, strict=True))
        groups.append(
            QuantizedGroup(
                kind="embedding table",
                scheme="int8 per row",
                tensors=len(tables),
                bytes_before=old,
                bytes_after=new,
            )
        )
    small = before.table - sum(old for old, _ in tables)
    if small:
        reason = f"tables under {embedding.SMALLEST_TABLE} bytes"
        groups.append(_left("small table", before.tables - len(tables), small, reason))
    if before.other:
        groups.append(_left("bias, norm", before.others, before.other, "small, and added in fp32"))
    return tuple(groups)


def _left(kind: str, tensors: int, size: int, reason: str) -> QuantizedGroup:
    return QuantizedGroup(
        kind=kind,
        scheme="fp32",
        tensors=tensors,
        bytes_before=size,
        bytes_after=size,
        reason=reason,
    )


def _operator_name(operator: Any) -> str:
    overload = getattr(operator, "overload", "")
    return f"{operator.name}.{overload}" if overload else str(operator.name)


def _delegation(program: ExportedProgram) -> Delegation:
    """Count operators inside and outside delegates; tuple access is no operator."""
    calls = inside = 0
    left: Counter[str] = Counter()
    for node in program.graph.nodes:
        if node.op != "call_function" or "getitem" in str(node.target):
            continue
        if node.target is torch.ops.higher_order.executorch_call_delegate:
            calls += 1
            delegated = getattr(program.graph_module, node.args[0].target)
            inside += _operators(delegated.original_module.graph_module)
        else:
            left[getattr(node.target, "__name__", str(node.target))] += 1
    total = inside + sum(left.values())
    return Delegation(
        calls=calls,
        nodes=total,
        share=round(inside / total, 4) if total else 0.0,
        left=dict(sorted(left.items())),
    )


def _operators(graph_module: GraphModule) -> int:
    return sum(
        node.op == "call_function" and "getitem" not in str(node.target)
        for node in graph_module.graph.nodes
    )

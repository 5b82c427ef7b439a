"""Lower an encoder-decoder to one ``.pte`` with two methods, ``encode`` and ``decode``.

One file, because what both read is stored once: in most families the embedding table.
"""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Mapping
from typing import Any

from edgekit.bundle.manifest import Delegation
from edgekit_converters.export import Lowered, delegation
from edgekit_converters.export.capture import Captured
from edgekit_converters.export.executorch import FILE, RUNTIME
from edgekit_converters.export.retracing import spared
from edgekit_converters.generation import rewrites
from edgekit_converters.graph import BEFORE_INTEGERS, apply_all
from edgekit_converters.quantize import executorch_writer
from edgekit_converters.quantize.grid import Grid


def lower(
    methods: Mapping[str, Captured],
    grids: Mapping[str, Mapping[str, Grid]],
    delegate: str = "xnnpack",
) -> Lowered:
    """Write the integers, delegate and serialize.

    Args:
        methods: the edge graph of each method; the answer's cache is part of ``decode``'s planned
            memory.
        grids: by method, integers by the graph's name of the tensor; none for fp32.
        delegate: a file name of ``export.delegates``.
    """
    from executorch.exir import ExecutorchBackendConfig, to_edge_transform_and_lower

    chosen = importlib.import_module(f"edgekit_converters.export.delegates.{delegate}")
    ready = {
        name: _ready(captured, grids.get(name, {}), delegate) for name, captured in methods.items()
    }
    programs = {name: captured.program for name, captured in ready.items()}
    with spared(), delegation.refusals() as refused:
        edge = to_edge_transform_and_lower(programs, **chosen.lowering())
    # Counted now: the next step rewrites the same graphs in place.
    taken = [delegation.report(edge.exported_program(name), refused, delegate) for name in programs]
    program = edge.to_executorch(ExecutorchBackendConfig(extract_delegate_segments=True))
    plans = program.executorch_program.execution_plan
    return Lowered(
        runtime=RUNTIME,
        file=FILE,
        data=bytes(program.buffer),
        delegate=delegate,
        methods=tuple(programs),
        operators=tuple(sorted({_operator_name(op) for plan in plans for op in plan.operators})),
        backends=tuple(sorted({found.id for plan in plans for found in plan.delegates})),
        planned_memory=sum(sum(plan.non_const_buffer_sizes) for plan in plans),
        delegation=_together(taken),
    )


def _ready(captured: Captured, grids: Mapping[str, Grid], delegate: str) -> Captured:
    """The graph with its integers, as the lowering takes it."""
    graph = captured.module()
    if delegate != "none":
        rewrites.apply_all(graph, RUNTIME)
        graph = captured.again(graph).module()
        apply_all(graph, RUNTIME, BEFORE_INTEGERS if grids else frozenset())
    executorch_writer.apply(graph, grids)
    return captured.again(graph)


def _together(parts: list[Delegation]) -> Delegation:
    """What was taken of all methods."""
    left: Counter[str] = Counter()
    for part in parts:
        left.update(part.left)
    nodes = sum(part.nodes for part in parts)
    return Delegation(
        calls=sum(part.calls for part in parts),
        nodes=nodes,
        share=round(1 - sum(left.values()) / nodes, 4) if nodes else 0.0,
        left=dict(sorted(left.items())),
        reasons={name: reason for part in parts for name, reason in part.reasons.items()},
    )


def _operator_name(operator: Any) -> str:
    overload = getattr(operator, "overload", "")
    return f"{operator.name}.{overload}" if overload else str(operator.name)

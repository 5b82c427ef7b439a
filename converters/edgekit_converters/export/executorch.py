"""Lower a captured graph to a ``.pte``."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from torch.fx import GraphModule

from edgekit_converters import graph as rewrites
from edgekit_converters.export import Lowered, delegation, sharing
from edgekit_converters.export.capture import Captured
from edgekit_converters.export.retracing import spared
from edgekit_converters.quantize import executorch_writer
from edgekit_converters.quantize.grid import Grid

RUNTIME = "executorch"
FILE = "model.pte"


def lower(
    captured: Captured,
    grids: Mapping[str, Grid],
    delegate: str,
    rewrite: Callable[[GraphModule], None] | None = None,
) -> Lowered:
    """Write the calibrated integers, delegate and serialize.

    Args:
        captured: the edge graph; its quantized constants hold what their integers stand for.
        grids: integers by the graph's name of the tensor; empty for fp32.
        delegate: a file name of ``export.delegates``.
        rewrite: what is done to the graph first.
    """
    from executorch.exir import ExecutorchBackendConfig, to_edge_transform_and_lower

    chosen = importlib.import_module(f"edgekit_converters.export.delegates.{delegate}")
    graph = captured.module()
    if rewrite is not None:
        rewrite(graph)
    if delegate != "none":
        rewrites.apply_all(graph, RUNTIME, rewrites.BEFORE_INTEGERS if grids else frozenset())
    executorch_writer.apply(graph, grids)
    ready = captured.again(graph)
    with spared(), delegation.refusals() as refused:
        edge = to_edge_transform_and_lower(ready.program, **chosen.lowering())
    # Counted now: the next step rewrites the same graph in place.
    taken = delegation.report(edge.exported_program(), refused, delegate)
    program = edge.to_executorch(ExecutorchBackendConfig(extract_delegate_segments=True))
    plan = program.executorch_program.execution_plan[0]
    written = bytes(program.buffer)
    data = sharing.share(written)
    return Lowered(
        runtime=RUNTIME,
        file=FILE,
        data=data,
        delegate=delegate,
        methods=("forward",),
        operators=tuple(sorted(_operator_name(op) for op in plan.operators)),
        backends=tuple(sorted({found.id for found in plan.delegates})),
        planned_memory=sum(plan.non_const_buffer_sizes),
        shared_bytes=len(written) - len(data),
        delegation=taken,
        graph=ready.module(),
    )


def _operator_name(operator: Any) -> str:
    overload = getattr(operator, "overload", "")
    return f"{operator.name}.{overload}" if overload else str(operator.name)

"""Write a decoder as an ``.onnx`` whose caches are inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import onnx
import torch

from edgekit.errors import Unsupported
from edgekit.runtime.generation.onnx import IN_PLACE
from edgekit_converters.export import Lowered
from edgekit_converters.export import onnx as onnx_export
from edgekit_converters.export.capture import Captured
from edgekit_converters.export.weights import weight_bytes
from edgekit_converters.generation import onnx_norm, onnx_rotary
from edgekit_converters.quantize import onnx_grids
from edgekit_converters.quantize.grid import Grid
from edgekit_converters.quantize.onnx_graph import CONTRIB

RUNTIME = "onnx"
FILE = "model.onnx"

# protobuf refuses a message of 2 GiB; weights in a file beside it belong to larger models.
_LARGEST = 2**31 - 2**20
_ATTENTION = "GroupQueryAttention"


def lower(
    captured: Captured, grids: Mapping[str, Grid], more: Mapping[Any, Any] | None = None
) -> Lowered:
    """Translate, quantize and serialize, for ONNX Runtime's own kernels.

    Args:
        captured: the edge graph with the caches outside; a weight with a grid is exactly what the
            grid stands for.
        grids: integers by name of the graph's tensor; empty for fp32.
        more: what stands in ONNX for further operators of the graph.

    Raises:
        Unsupported: a group size without a kernel, or a graph over 2 GiB.
    """
    before = weight_bytes(captured.module())
    if before.total > _LARGEST:
        raise Unsupported(f"{before.total} bytes of weights do not fit one .onnx file")
    program: Any = torch.onnx.export(
        captured.program,
        dynamo=True,
        input_names=[spec.name for spec in captured.signature.inputs],
        output_names=[spec.name for spec in captured.signature.outputs],
        custom_translation_table={**_translations(), **(more or {})},
        verbose=False,
    )
    model: onnx.ModelProto = program.model_proto
    stored = onnx_grids.apply(model, grids) if grids else ()
    onnx_norm.apply(model)
    onnx_rotary.apply(model)
    _strip(model, captured)
    onnx.checker.check_model(model)
    kinds = {f"{node.domain or 'ai.onnx'}::{node.op_type}" for node in model.graph.node}
    report = {"onnx_weights": [asdict(row) for row in stored]} if stored else {}
    return Lowered(
        runtime=RUNTIME,
        file=FILE,
        data=model.SerializeToString(deterministic=True),
        delegate="none",
        methods=("main_graph",),
        operators=tuple(sorted(kinds)),
        backends=("CPUExecutionProvider",),
        report=report,
    )


def _translations() -> dict[Any, Any]:
    """What stands for our attention in ONNX."""
    from onnxscript import values

    operator = values.Op(values.Opset(CONTRIB, 1), _ATTENTION, _schema())

    def grouped_attention(
        query: Any,
        key: Any,
        value: Any,
        past_key: Any,
        past_value: Any,
        last: Any,
        total: Any,
        scale: float,
        window: int,
        softcap: float,
    ) -> Any:
        head_dim, kv_heads = past_key.shape[3], past_key.shape[1]
        return operator(
            *(query, key, value, past_key, past_value, last, total),
            num_heads=query.shape[2] // head_dim,
            kv_num_heads=kv_heads,
            scale=scale,
            local_window_size=window,
            softcap=softcap,
        )

    return {torch.ops.edgekit.grouped_attention.default: grouped_attention}


def _schema() -> onnx.defs.OpSchema:
    """ONNX Runtime's grouped attention, as far as it is used here; onnx knows its own alone."""
    schema = onnx.defs.OpSchema
    kinds = onnx.defs.OpSchema.AttrType
    names = (
        "query",
        "key",
        "value",
        "past_key",
        "past_value",
        "seqlens_k",
        "total_sequence_length",
    )
    attributes = {
        "num_heads": kinds.INT,
        "kv_num_heads": kinds.INT,
        "scale": kinds.FLOAT,
        "local_window_size": kinds.INT,
        "softcap": kinds.FLOAT,
    }
    return schema(
        _ATTENTION,
        CONTRIB,
        1,
        inputs=[
            schema.FormalParameter(name, "T" if at < 5 else "M") for at, name in enumerate(names)
        ],
        outputs=[
            schema.FormalParameter(name, "T") for name in ("output", "present_key", "present_value")
        ],
        type_constraints=[("T", ["tensor(float)"], ""), ("M", ["tensor(int32)"], "")],
        attributes=[
            schema.Attribute(name, kind, required=False) for name, kind in attributes.items()
        ],
    )


def _strip(model: onnx.ModelProto, captured: Captured) -> None:
    """Drop the machine's traces, name the free sizes, and say whether the cache stays in place."""
    onnx_export.without_traces(model)
    graph = model.graph
    specs = {spec.name: spec for spec in (*captured.signature.inputs, *captured.signature.outputs)}
    for value in (*graph.input, *graph.output):
        spec = specs[value.name]
        for dim, known in zip(value.type.tensor_type.shape.dim, spec.dims, strict=False):
            if dim.HasField("dim_param"):
                dim.dim_param = known.name
    kept = sum(node.op_type == _ATTENTION for node in graph.node)
    caches = sum(spec.name.startswith("present.") for spec in captured.signature.outputs)
    # Where positions are counted from the cache's length, it has to grow.
    if 2 * kept == caches and "position_ids" in specs:
        model.metadata_props.add(key=IN_PLACE, value="1")

"""Write a captured graph as an ``.onnx``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import onnx

from edgekit.errors import Unsupported
from edgekit_converters.export import Lowered, onnx_attention
from edgekit_converters.export.capture import Captured
from edgekit_converters.export.delegates import nnapi
from edgekit_converters.export.retracing import unexplained
from edgekit_converters.export.weights import weight_bytes
from edgekit_converters.quantize import onnx_grids
from edgekit_converters.quantize.grid import Grid

RUNTIME = "onnx"
FILE = "model.onnx"

# protobuf refuses a message of 2 GiB; weights in a file beside it belong to larger models.
_LARGEST = 2**31 - 2**20


def lower(captured: Captured, grids: Mapping[str, Grid], delegate: str) -> Lowered:
    """Translate, quantize and serialize.

    Args:
        captured: the edge graph; a weight with a grid is exactly what the grid stands for.
        grids: integers by name of the graph's tensor; empty for fp32.
        delegate: ``none`` for ONNX Runtime's own kernels, or ``nnapi``.

    Returns:
        The artifact; its report has one row a grid under ``onnx_weights``.

    Raises:
        Unsupported: NNAPI with grids, a group size without a kernel, or a graph over 2 GiB.
        InternalError: a grid whose weight the ONNX graph does not read.
    """
    if delegate == "nnapi" and grids:
        raise Unsupported(
            "NNAPI cannot run weights that are quantized here: they need operators it lacks",
            hint="Use --quantize none with --delegate nnapi.",
        )
    before = weight_bytes(captured.module())
    if before.total > _LARGEST:
        raise Unsupported(f"{before.total} bytes of weights do not fit one .onnx file")
    model = _translate(captured)
    if delegate == "none":
        onnx_attention.apply(model)
    stored = onnx_grids.apply(model, grids) if grids else ()
    _strip(model)
    onnx.checker.check_model(model)
    data = model.SerializeToString(deterministic=True)
    notes, report = nnapi.partitions(model) if delegate == "nnapi" else ((), {})
    if stored:
        report["onnx_weights"] = [asdict(row) for row in stored]
    kinds = {f"{node.domain or 'ai.onnx'}::{node.op_type}" for node in model.graph.node}
    providers = ("NnapiExecutionProvider",) if delegate == "nnapi" else ()
    return Lowered(
        runtime=RUNTIME,
        file=FILE,
        data=data,
        delegate=delegate,
        methods=("main_graph",),
        operators=tuple(sorted(kinds)),
        backends=(*providers, "CPUExecutionProvider"),
        notes=notes,
        report=report,
    )


def _translate(captured: Captured) -> onnx.ModelProto:
    import torch

    with unexplained():
        program: Any = torch.onnx.export(
            captured.program,
            dynamo=True,
            input_names=[spec.name for spec in captured.signature.inputs],
            output_names=[spec.name for spec in captured.signature.outputs],
            verbose=False,
        )
    model: onnx.ModelProto = program.model_proto
    return model


def _strip(model: onnx.ModelProto) -> None:
    """Drop the machine's traces, and the names that torch gave the length."""
    without_traces(model)
    for value in [*model.graph.input, *model.graph.output]:
        for dim in value.type.tensor_type.shape.dim:
            if dim.HasField("dim_param"):
                dim.dim_param = "tokens"


def without_traces(model: onnx.ModelProto) -> None:
    """Drop what depends on the machine that wrote a model: traces with paths, shapes, comments.

    Without recorded shapes ONNX Runtime does not join sums and layer norms into one operator, which
    on the processors tried is slower than the two (docs/adr/0010).
    """
    graph = model.graph
    del graph.value_info[:]
    del model.metadata_props[:]
    del graph.metadata_props[:]
    graph.doc_string = model.doc_string = ""
    for node in graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in [*graph.input, *graph.output]:
        del value.metadata_props[:]
    for tensor in graph.initializer:
        del tensor.metadata_props[:]
        tensor.doc_string = ""
    model.producer_name, model.producer_version = "edgekit", ""

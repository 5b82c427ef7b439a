"""Write a captured graph as an ``.onnx``."""

from __future__ import annotations

from typing import Any

import onnx

from edgekit.bundle.manifest import ArtifactInfo, QuantizedGroup
from edgekit.errors import Unsupported
from edgekit_converters.export import Lowered
from edgekit_converters.export.capture import Captured
from edgekit_converters.export.delegates import nnapi
from edgekit_converters.export.weights import weight_bytes
from edgekit_converters.quantize import onnx_int8

RUNTIME = "onnx"
FILE = "model.onnx"

# protobuf refuses a message of 2 GiB; weights in a file beside it belong to larger models.
_LARGEST = 2**31 - 2**20


def lower(captured: Captured, scheme: str, delegate: str) -> Lowered:
    """Translate, quantize and serialize.

    Args:
        captured: the edge graph.
        scheme: ``fp32`` or ``int8``.
        delegate: ``none`` for ONNX Runtime's own kernels, or ``nnapi``.

    Raises:
        Unsupported: NNAPI with dynamic int8, or a graph over 2 GiB.
    """
    if delegate == "nnapi" and scheme != "fp32":
        raise Unsupported(
            f"NNAPI cannot run {scheme} that is quantized at run time",
            hint="Use --quantize none with --delegate nnapi.",
        )
    before = weight_bytes(captured.module())
    if before.total > _LARGEST:
        raise Unsupported(f"{before.total} bytes of weights do not fit one .onnx file")
    model = _translate(captured)
    groups: tuple[QuantizedGroup, ...] = ()
    if scheme == "int8":
        groups = _groups(onnx_int8.apply(model), before.total)
    _strip(model)
    onnx.checker.check_model(model)
    data = model.SerializeToString(deterministic=True)
    notes, report = nnapi.partitions(model) if delegate == "nnapi" else ((), None)
    kinds = {f"{node.domain or 'ai.onnx'}::{node.op_type}" for node in model.graph.node}
    info = ArtifactInfo(
        runtime=RUNTIME,
        file=FILE,
        bytes=len(data),
        fp32_bytes=before.total,
        delegate=delegate,
        scheme=scheme,
        quantization=groups,
        methods=("main_graph",),
        operators=tuple(sorted(kinds)),
        backends=("NnapiExecutionProvider", "CPUExecutionProvider")
        if delegate == "nnapi"
        else ("CPUExecutionProvider",),
    )
    return Lowered(info, data, None, notes, report)


def _translate(captured: Captured) -> onnx.ModelProto:
    import torch

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
    """Drop what depends on the machine that wrote it: traces with paths, shapes, symbol names."""
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
        for dim in value.type.tensor_type.shape.dim:
            if dim.HasField("dim_param"):
                dim.dim_param = "tokens"
    for tensor in graph.initializer:
        del tensor.metadata_props[:]
        tensor.doc_string = ""
    model.producer_name, model.producer_version = "edgekit", ""


def _groups(sizes: onnx_int8.Sizes, total: int) -> tuple[QuantizedGroup, ...]:
    found = []
    for kind, scheme, pairs in (
        ("linear", "int8 per channel, activations int8 per token", sizes.linears),
        ("embedding table", "int8 per row", sizes.tables),
    ):
        if pairs:
            before, after = (sum(column) for column in zip(*pairs, strict=True))
            found.append(
                QuantizedGroup(
                    kind=kind,
                    scheme=scheme,
                    tensors=len(pairs),
                    bytes_before=before,
                    bytes_after=after,
                )
            )
    rest = total - sum(group.bytes_before for group in found)
    if rest > 0:
        found.append(
            QuantizedGroup(
                kind="small table, bias, norm",
                scheme="fp32",
                tensors=0,
                bytes_before=rest,
                bytes_after=rest,
                reason="small, and added in fp32",
            )
        )
    return tuple(found)

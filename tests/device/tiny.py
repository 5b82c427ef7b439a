"""Models of a few layers: an embedding, linears for XNNPACK, and operators left outside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def export_tiny(path: Path, kind: str, given: list[NDArray[Any]]) -> list[NDArray[np.float32]]:
    """Write the program to ``path`` and return what the Python runtime answers to ``given``."""
    import torch
    from executorch.exir import ExecutorchBackendConfig, to_edge_transform_and_lower

    torch.manual_seed(0)
    model = _model().eval()
    # The example is as long as allowed: cumsum keeps the position inside the graph.
    example = (torch.zeros(1, 24, dtype=torch.long),)
    dynamic = ({1: torch.export.Dim("length", min=2, max=24)},)
    if kind == "int8":
        model = _quantized(model, example, dynamic)
    exported = torch.export.export(model, example, dynamic_shapes=dynamic, strict=True)
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner

    edge = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()])
    config = ExecutorchBackendConfig(do_quant_fusion_and_const_prop=kind == "int8")
    path.write_bytes(edge.to_executorch(config).buffer)
    return _answers(path, given)


def export_tiny_onnx(path: Path, given: list[NDArray[Any]]) -> list[NDArray[np.float32]]:
    """Write an .onnx to ``path`` and return what onnxruntime answers to ``given`` here."""
    from onnx import TensorProto, helper

    from tests.support.onnx_graphs import model, run

    draw = np.random.default_rng(0)
    constants = {
        "table": draw.normal(size=(50, 32)).astype(np.float32),
        "axis": np.array(1, np.int64),
        "weight": draw.normal(size=(32, 32)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Gather", ["table", "x"], ["rows"]),
        helper.make_node("CumSum", ["rows", "axis"], ["sums"]),
        helper.make_node("MatMul", ["sums", "weight"], ["product"]),
        helper.make_node("Erf", ["product"], ["y"]),
    ]
    tiny = model(nodes, constants, source=TensorProto.INT64, dims=[1, "tokens"])
    path.write_bytes(tiny.SerializeToString())
    return [run(tiny, ids)[0] for ids in given]


def operators(path: Path) -> set[str]:
    """Names of the operators that the program calls outside its delegates."""
    from executorch.exir._serialize._program import deserialize_pte_binary

    program = deserialize_pte_binary(path.read_bytes()).program
    return {operator.name for plan in program.execution_plan for operator in plan.operators}


def _model() -> Any:
    import torch
    from torch import nn

    class Tiny(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(50, 32)
            self.first = nn.Linear(32, 64)
            self.second = nn.Linear(64, 32)

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            hidden = torch.cumsum(self.table(ids), dim=1)
            return hidden + self.second(torch.nn.functional.gelu(self.first(hidden)))

    return Tiny()


def _quantized(model: Any, example: Any, dynamic: Any) -> Any:
    import torch
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization import quantize_
    from torchao.quantization.granularity import PerAxis
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
    from torchao.quantization.quant_api import IntxWeightOnlyConfig

    rows = IntxWeightOnlyConfig(weight_dtype=torch.int8, granularity=PerAxis(0))
    quantize_(model, rows, lambda module, name: isinstance(module, torch.nn.Embedding))
    config = get_symmetric_quantization_config(is_per_channel=True, is_dynamic=True)
    quantizer = XNNPACKQuantizer().set_module_type(torch.nn.Linear, config)
    exported = torch.export.export(model, example, dynamic_shapes=dynamic, strict=True)
    prepared = prepare_pt2e(exported.module(), quantizer)
    prepared(*example)
    return convert_pt2e(prepared)


def _answers(path: Path, given: list[NDArray[Any]]) -> list[NDArray[np.float32]]:
    import executorch.kernels.quantized  # noqa: F401  registers the table's operator
    import torch
    from executorch.runtime import Runtime

    program = Runtime.get().load_program(path)  # must outlive its method
    method = program.load_method("forward")
    return [method.execute((torch.from_numpy(ids),))[0].numpy().copy() for ids in given]

"""What is compared: edgekit's artifacts, the eager model, and the ways people make ONNX today.

Everything is built from the same folder into ``build/benchmarks``. What others make is kept there;
our own is made anew in every run, so that no artifact of older code is measured.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

import edgekit
from edgekit.runtime import load_runtime
from edgekit.runtime.onnx import library
from edgekit_converters.load import load
from edgekit_converters.source import resolve

Ids = NDArray[np.int64]
Run = Callable[[Ids], NDArray[np.float32]]


class StockSentenceModel(nn.Module):
    """The model as transformers makes it, masked mean pooling and normalisation on top."""

    def __init__(self, model: nn.Module) -> None:
        """Keep ``model``."""
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Embeddings ``(batch, hidden)``."""
        hidden = self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        weights = attention_mask[:, :, None].to(hidden.dtype)
        return F.normalize((hidden * weights).sum(1) / weights.sum(1), dim=1)


def stock(name: str = "minilm") -> StockSentenceModel:
    """The eager model with transformers' default attention."""
    return StockSentenceModel(load(resolve(name), "AutoModel", attention="sdpa").model)


def bundle(folder: Path, scheme: str, name: str = "minilm", batch: int = 1) -> edgekit.Bundle:
    """A bundle of the model, made now; for ``batch`` texts at once."""
    path = folder / (f"{Path(name).name}-{scheme}" + (f"-{batch}" if batch > 1 else ""))
    return edgekit.export(
        name, out=path, quantize=scheme, batch=batch, task="sentence-similarity", force=True
    )


def plain_onnx(folder: Path, model: nn.Module) -> Path:
    """torch.onnx.export as its documentation shows it, dynamic batch-1 length."""
    path = folder / "plain.onnx"
    if not path.exists():
        ids = torch.ones(1, 16, dtype=torch.int64)
        tokens = torch.export.Dim("tokens", min=2, max=256)
        torch.onnx.export(
            model,
            (ids, torch.ones_like(ids)),
            str(path),
            dynamo=True,
            input_names=["input_ids", "attention_mask"],
            output_names=["sentence_embedding"],
            dynamic_shapes=({1: tokens}, {1: tokens}),
            external_data=False,
            verbose=False,
        )
    return path


def quantized_onnx(folder: Path, plain: Path, per_channel: bool) -> Path:
    """onnxruntime's ``quantize_dynamic``, by default or per channel."""
    import onnx

    library()
    from onnxruntime.quantization import QuantType, quantize_dynamic

    path = folder / ("ort-int8-per-channel.onnx" if per_channel else "ort-int8-default.onnx")
    if not path.exists():
        bare = folder / "plain-without-shapes.onnx"
        model = onnx.load(plain)
        # The quantizer rejects the exporter's recorded shapes ("inferred and existing differ").
        del model.graph.value_info[:]
        onnx.save(model, bare)
        quantize_dynamic(bare, path, weight_type=QuantType.QInt8, per_channel=per_channel)
        bare.unlink()
    return path


def runner_of(opened: edgekit.Bundle, runtime: str) -> Run:
    """A bundle's artifact as a function of token ids."""
    manifest = opened.manifest
    file = next(a.file for a in manifest.artifacts if a.runtime == runtime)
    session = load_runtime(runtime).open_session(opened.path / file, manifest.signature)
    name = manifest.signature.outputs[0].name
    return lambda ids: session.run({"input_ids": ids})[name]


def runner_of_onnx(path: Path) -> Run:
    """A peer's ONNX file as a function of token ids."""
    onnxruntime = library()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session: Any = onnxruntime.InferenceSession(
        str(path), options, providers=["CPUExecutionProvider"]
    )
    return lambda ids: session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0]


def runner_of_torch(model: nn.Module) -> Run:
    """The eager model as a function of token ids."""

    def run(ids: Ids) -> NDArray[np.float32]:
        tensor = torch.from_numpy(ids)
        with torch.no_grad():
            return model(tensor, torch.ones_like(tensor)).numpy()

    return run

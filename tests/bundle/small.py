"""A small bundle, whole in form: the artifacts are bytes that no runtime would load."""

from pathlib import Path
from typing import Any

import numpy as np

from edgekit.bundle import goldens
from edgekit.bundle.manifest import Manifest
from edgekit.bundle.seal import seal


def manifest(**changes: Any) -> Manifest:
    """An unsealed manifest of a sentence-similarity model, with some of its fields changed."""
    dim = [{"name": "batch", "minimum": 1, "maximum": 1}]
    tensor = {"name": "input_ids", "dtype": "int64", "dims": dim}
    data = {
        "schema_version": 1,
        "name": "small",
        "task": "sentence-similarity",
        "target": "android-arm64",
        "family": "bert",
        "certified": True,
        "licence": "apache-2.0",
        "labels": None,
        "base_model": {"id": "small", "source": "folder", "weights_sha256": "ab" * 32},
        "signature": {"inputs": [tensor], "outputs": [{**tensor, "dtype": "float32"}]},
        "limits": {"min_length": 2, "max_length": 128, "vocabulary": 100},
        "artifacts": [artifact("executorch", "model.pte"), artifact("onnx", "model.onnx")],
        "tokenizer": {"kind": "wordpiece", "on_device": True},
        "goldens": {
            "count": 2,
            "tolerances": {
                "int8": {"worst_cosine": 0.98, "mean_cosine": 0.995, "same_artifact": 0.999}
            },
        },
        "quality": [],
        "provenance": [{"stage": "export", "seed": 0, "rate": 1e-05, "note": "größer"}],
        "toolchain": {"edgekit": "0.1.0"},
        "files": [],
    }
    return Manifest.model_validate(data | changes)


def artifact(runtime: str, file: str) -> dict[str, Any]:
    """One artifact's entry."""
    return {
        "runtime": runtime,
        "file": file,
        "bytes": 300,
        "fp32_bytes": 1200,
        "delegate": "none",
        "scheme": "int8",
        "quantization": [],
        "methods": ["forward"],
        "operators": ["aten::mm.out"],
        "backends": [],
    }


def golden(seed: int) -> goldens.Golden:
    """A golden of random numbers."""
    rng = np.random.default_rng(seed)
    reference = rng.standard_normal((1, 8), dtype=np.float32)
    return goldens.Golden(
        text=f"text {seed}, größer 🙂\n",
        inputs={
            "input_ids": rng.integers(0, 100, (1, 5 + seed)),
            "attention_mask": np.ones((1, 5 + seed), np.int64),
        },
        reference=reference,
        expected={"onnx": reference + 1, "executorch": reference + 2},
    )


def fill(folder: Path) -> None:
    """Write everything but the manifest."""
    rng = np.random.default_rng(0)
    (folder / "model.pte").write_bytes(rng.bytes(300))
    (folder / "model.onnx").write_bytes(rng.bytes(300))
    (folder / "tokenizer.json").write_text('{"version": "1.0"}')
    (folder / "README.md").write_text("# small\n")
    (folder / "extra").mkdir()
    (folder / "extra" / "notes.txt").write_text("nested\n")
    goldens.write(folder / "goldens.safetensors", [golden(0), golden(1)])


def bundle(folder: Path, **changes: Any) -> Path:
    """A sealed bundle in a new folder."""
    folder.mkdir()
    fill(folder)
    seal(folder, manifest(**changes))
    return folder

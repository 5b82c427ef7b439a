"""Documents and bundles for pages, with hostile words where words may come from anywhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edgekit.bundle.report import REPORT
from edgekit.bundle.seal import seal
from edgekit.scoring.document import FORMAT
from tests.bundle import small

HOSTILE = "<script>alert('x')</script><img src=x onerror=alert(1)>\"'&$a_b$\x00\u202e"


def contestant(name: str, size: int, value: float, **more: Any) -> dict[str, Any]:
    change = {"value": value - 0.9, "low": value - 0.95, "high": value - 0.85, "significant": True}
    figure = {
        "metric": "accuracy",
        "better": 1,
        "value": value,
        "low": value - 0.02,
        "high": value + 0.02,
        "change": change if more.get("runtime") != "eager" else None,
    }
    none = {"count": 0, "rows": []}
    return {
        "name": name,
        "model": "tiny",
        "runtime": "onnx",
        "task": "text-classification",
        "scheme": "int8",
        "bytes": size,
        "figures": [figure],
        "latency_ms": {"median": size / 1e7, "p90": size / 8e6},
        "seconds": 1.0,
        "model_seconds": 0.9,
        "left_out": none,
        "not_finite": none,
        "slices": [
            {"by": "length", "name": "1-8 words", "rows": 40, "value": 0.9, "low": 0.8, "high": 1},
            {"by": "script", "name": "Latin", "rows": 60, "value": value, "low": 0.8, "high": 1},
        ],
        "worst_slice": None,
        "robustness": [],
        "flips": {},
        **more,
    }


def document(words: str = "plain") -> dict[str, Any]:
    flip = {"row": 3, "what": "now wrong", "wanted": words, "first": words, "this": "b"}
    flips = {"counts": {"now wrong": 1}, "examples": [{**flip, "text": words}]}
    harm = {"harm": "typos", "rows": 9, "before": 0.9, "value": 0.8, "drop": 0.1}
    return {
        "format": FORMAT,
        "data": {"file": f"{words}.csv", "digest": "d", "kind": words, "rows": 9, "scored": 9},
        "contestants": [
            contestant("tiny eager", 90_000_000, 0.9, runtime="eager", scheme="fp32"),
            contestant(words, 23_000_000, 0.89, flips=flips, robustness=[harm]),
            contestant("tiny executorch", 30_000_000, 0.85, runtime="executorch"),
        ],
        "remarks": [words],
        "environment": {
            "machine": "x86_64",
            "system": "Linux",
            "processors": 2,
            "python": "3.11",
            "packages": {"numpy": "2"},
        },
    }


def write(path: Path, words: str = "plain") -> Path:
    path.write_text(json.dumps(document(words)), encoding="utf-8")
    return path


def bundle(folder: Path, words: str = "a.weight") -> Path:
    """A bundle whole in form, with a ledger of three tensors and a delegate that left something."""
    folder.mkdir()
    small.fill(folder)
    rows = [
        {
            "tensor": f"{words}.{at}",
            "kind": "linear",
            "scheme": "int8",
            "reason": words if at == 2 else "",
            "rows": 4,
            "columns": 4,
            "bits": 8,
            "group": 4,
            "bytes_before": 64,
            "bytes_after": size,
            "weight_db": decibels,
            "output_db": None,
        }
        for at, (size, decibels) in enumerate([(900, 30.0), (5000, 50.5), (20, None)])
    ]
    (folder / REPORT).write_text(json.dumps({"coverage": 0.98, "ledger": rows}))
    left = {"calls": 2, "nodes": 9, "share": 0.75, "left": {words: 3}, "reasons": {words: words}}
    artifacts = [
        {**small.artifact("executorch", "model.pte"), "delegation": left, "planned_memory": 4096},
        small.artifact("onnx", "model.onnx"),
    ]
    hop = {
        "hop": words,
        "artifact": "model.pte",
        "samples": 4,
        "worst_cosine": 0.9991,
        "mean_cosine": 0.9999,
        "snr_db": 33.2,
        "agreement": 1.0,
        "agreement_kind": "same",
        "worst_sample": words,
    }
    seal(folder, small.manifest(artifacts=artifacts, quality=[hop], name=words[:30]))
    return folder

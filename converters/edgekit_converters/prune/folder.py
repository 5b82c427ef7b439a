"""The pruned model's folder: weights, config, tokenizer, card, record, provenance."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from edgekit.bundle.canonical import dump_bytes
from edgekit_converters import describe, model_files
from edgekit_converters.folder import ModelFolder, check, read_object
from edgekit_converters.prune.subject import Subject
from edgekit_converters.quiet import quiet

RECORD = "pruning.json"
_FLOATS = {"F16": torch.float16, "BF16": torch.bfloat16}


def write(subject: Subject, model: Any, folder: Path) -> None:
    """Fill a folder with a model that ``from_pretrained`` reads; files besides weights are kept.

    Weights keep the type that they are stored in.
    """
    source = check(subject.loaded.source.folder)
    model_files.copy(source, folder)
    for path in folder.glob("model*.safetensors*"):
        path.unlink()
    with quiet():
        stored = _stored_type(source)
        model.to(stored).save_pretrained(folder)
        model.to(torch.float32)
    _settle_pooling(folder, model.config.hidden_size, subject.loaded.config.hidden_size)


def finish(
    folder: Path, subject: Subject, report: Mapping[str, Any], config: Mapping[str, Any]
) -> None:
    """Add record, provenance and card to a written folder."""
    (folder / RECORD).write_bytes(dump_bytes(dict(report)))
    stage = {
        "stage": "prune",
        "input_sha256": subject.loaded.weights_sha256,
        "config": dict(config),
        "toolchain": describe.toolchain(),
        "measured": {name: report[name] for name in ("sizes", "quality") if name in report},
    }
    stages = [*describe.earlier_stages(subject.loaded), stage]
    (folder / describe.PROVENANCE).write_bytes(dump_bytes(stages))
    (folder / "README.md").write_text(card(subject, report), encoding="utf-8")


def card(subject: Subject, report: Mapping[str, Any]) -> str:
    """The model card, from the record alone."""
    front = [f"license: {subject.loaded.licence}"] if subject.loaded.licence else []
    lines = ["---", *front, f"base_model: {subject.loaded.source.id}", "---", ""]
    config, sizes = report["config"], report["sizes"]
    lines += [
        f"# {subject.loaded.source.id}, pruned",
        "",
        f"{config['granularity']} by {config['method']}, amount {config['amount']:g}, schedule "
        f"{config['schedule']}, {config['retrain']} steps of training towards the original.",
        "",
        "| | before | after |",
        "|---|---|---|",
        f"| parameters | {sizes['before']['parameters']} | {sizes['after']['parameters']} |",
        f"| of them zero | {sizes['before']['zeros']} | {sizes['after']['zeros']} |",
        f"| bytes of the weights | {sizes['before']['file']} | {sizes['after']['file']} |",
        f"| deflated | {sizes['before']['download']} | {sizes['after']['download']} |",
        "",
        "Quality against the original, on texts that it was not pruned with:",
        "",
        *(f"- {name}: {value:.4f}" for name, value in report["quality"]["result"].items()),
        "",
        report["verdict"],
        "",
    ]
    return "\n".join(lines)


def _stored_type(source: ModelFolder) -> torch.dtype:
    names = {info.dtype for info in source.tensors.values() if len(info.shape) > 1}
    return _FLOATS.get(next(iter(names)), torch.float32) if len(names) == 1 else torch.float32


def _settle_pooling(folder: Path, width: int, before: int) -> None:
    """A sentence-transformers pooling states the width of what it pools."""
    for path in folder.glob("*_Pooling/config.json"):
        settings = read_object(path)
        for key in ("word_embedding_dimension", "embedding_dimension"):
            if settings.get(key) == before:
                settings[key] = width
        path.write_bytes(dump_bytes(settings))

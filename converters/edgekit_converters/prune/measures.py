"""What pruning saved: parameters, zeros, bytes of the file and of its download, milliseconds."""

from __future__ import annotations

import statistics
import tempfile
import time
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from edgekit.errors import EdgekitError
from edgekit_converters.folder import check
from edgekit_converters.prune.subject import CAUSAL, SEQ2SEQ, Subject

TOKENS = 64
_CALLS = 40
_WARM_UPS = 4
_CHUNK = 1 << 20
# What an Android package is compressed with.
_LEVEL = 6


def parameters(model: nn.Module) -> dict[str, int]:
    """How many parameters there are, tied ones once, and how many of them are zero."""
    every = list(model.parameters())
    return {
        "parameters": sum(parameter.numel() for parameter in every),
        "zeros": sum(int((parameter == 0).sum()) for parameter in every),
    }


def weight_bytes(folder: Path) -> dict[str, int]:
    """Bytes of a folder's weight files, as they are and deflated as a download would be."""
    files = check(folder).weight_files
    packed = 0
    for path in files:
        packer = zlib.compressobj(_LEVEL)
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                packed += len(packer.compress(chunk))
        packed += len(packer.flush())
    return {"file": sum(path.stat().st_size for path in files), "download": packed}


def eager_milliseconds(subject: Subject, models: Mapping[str, nn.Module]) -> dict[str, float]:
    """Milliseconds of a forward pass of one text in PyTorch, on one thread, in turns."""
    length = min(TOKENS, subject.limit)
    rows = min(_vocabulary(model) for model in models.values())
    ids = torch.arange(length)[None] % rows
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if subject.task == SEQ2SEQ:
        batch["labels"] = ids
    calls = {name: _call(subject, model, batch) for name, model in models.items()}
    return _fastest(calls)


def artifact_milliseconds(folders: Mapping[str, Path], task: str) -> dict[str, float]:
    """Milliseconds of one text of ``TOKENS`` tokens in the exported fp32 ``.pte``.

    Args:
        folders: name -> a Hugging Face folder, exported anew.
        task: what for.

    Raises:
        EdgekitError: a model cannot be exported.
    """
    from edgekit.bundle.read import load_manifest
    from edgekit.runtime import open_artifact
    from edgekit_converters.pipeline import export

    with tempfile.TemporaryDirectory() as scratch:
        calls: dict[str, Callable[[], object]] = {}
        opened = []
        for name, folder in folders.items():
            made = export(
                folder,
                out=Path(scratch) / name,
                task=task,
                runtimes=["executorch"],
                quantize="none",
            )
            manifest = load_manifest(made)
            session = open_artifact(made, manifest, "executorch")
            opened.append(session)
            ids = np.ones((1, min(TOKENS, manifest.limits.max_length)), dtype=np.int64)
            inputs = {
                spec.name: ids * (spec.name != "token_type_ids")
                for spec in manifest.signature.inputs
            }
            calls[name] = _run(session, inputs)
        found = _fastest(calls)
        for session in opened:
            session.close()
    return found


def latency(
    subject: Subject,
    models: Mapping[str, nn.Module],
    folders: Mapping[str, Path] | None,
) -> dict[str, Any]:
    """Milliseconds before and after, and of what: the artifact where folders are given.

    A model whose artifact is not one forward pass, or that cannot be exported, is measured in
    PyTorch, and the reason is kept.
    """
    reason = ""
    if folders is not None and subject.task in (CAUSAL, SEQ2SEQ):
        reason = "artifacts for text generation run in steps; edgekit bench times them"
    elif folders is not None:
        try:
            times = artifact_milliseconds(folders, subject.task)
            return {"of": "fp32 .pte (XNNPACK)", "tokens": TOKENS, **times}
        except EdgekitError as error:
            reason = error.message
    found: dict[str, Any] = {"of": "PyTorch, one thread", "tokens": min(TOKENS, subject.limit)}
    found |= eager_milliseconds(subject, models)
    return found | ({"not exported": reason} if reason else {})


def _vocabulary(model: Any) -> int:
    return int(model.get_input_embeddings().num_embeddings)


def _call(subject: Subject, model: nn.Module, batch: Any) -> Callable[[], object]:
    def once() -> object:
        with torch.no_grad():
            return subject.rows(model, batch)

    return once


def _run(session: Any, inputs: Any) -> Callable[[], object]:
    return lambda: session.run(inputs)


def _fastest(calls: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """The fastest tenth of the calls of each: what else runs on a machine only ever adds time."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        for _ in range(_WARM_UPS):
            call()
    for number in range(_CALLS):
        names = list(calls)
        order = names if number % 2 else names[::-1]
        for name in order:
            begin = time.perf_counter()
            calls[name]()
            times[name].append(1000 * (time.perf_counter() - begin))
    return {name: statistics.quantiles(every, n=10)[0] for name, every in times.items()}

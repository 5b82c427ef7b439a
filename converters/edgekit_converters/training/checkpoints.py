"""Checkpoints that a kill cannot spoil: one counts only when all of it is on the disk.

transformers writes a checkpoint file by file. A mark is added once the last one is flushed; what
has no mark is half a checkpoint, and the next run removes it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from edgekit.bundle.disk import flush_folder, flush_tree
from edgekit.bundle.leftovers import lock
from edgekit.errors import TemporaryFailure

_MARK = "complete"
_WEIGHTS = "result.safetensors"
_RECORD = "result.json"


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold a run's folder, so that a second run of the same request does not write into it.

    Raises:
        TemporaryFailure: another one holds it.
    """
    held: int | None = None
    if int(os.environ.get("RANK", "0")) == 0:
        try:
            held = lock(folder)
        except OSError:
            held = -1  # no locks on this file system
        if held is None:
            raise TemporaryFailure(
                f"another run is training in {folder.parent.name}/{folder.name}",
                hint="Wait until it is done, or choose another -o.",
            )
    try:
        yield
    finally:
        if held is not None and held >= 0:
            os.close(held)


def mark(checkpoint: Path) -> None:
    """Flush a checkpoint and say that it is whole."""
    flush_tree(checkpoint)
    (checkpoint / _MARK).touch()
    flush_folder(checkpoint)


def newest(folder: Path) -> Path | None:
    """The last whole checkpoint of a run; halves are removed."""
    whole = []
    for path in folder.glob("checkpoint-*"):
        if (path / _MARK).is_file():
            whole.append(path)
        else:
            shutil.rmtree(path, ignore_errors=True)
    return max(whole, key=step, default=None)


def step(checkpoint: Path) -> int:
    """How many steps a checkpoint has behind it."""
    return int(checkpoint.name.rpartition("-")[2])


def finite(model: nn.Module) -> bool:
    """Whether every trained parameter is a number."""
    trained = (p for p in model.parameters() if p.requires_grad)
    return all(bool(torch.isfinite(p).all()) for p in trained)


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """The state of a model, shared tensors once."""
    found: dict[str, torch.Tensor] = {}
    seen: set[tuple[int, tuple[int, ...]]] = set()
    for name, tensor in model.state_dict().items():
        key = (tensor.data_ptr(), tuple(tensor.shape))
        if key not in seen or not tensor.numel():
            seen.add(key)
            found[name] = tensor.detach().contiguous()
    return found


def keep(folder: Path, model: nn.Module, record: dict[str, Any]) -> None:
    """Write what a finished run came to; the record last, so that it vouches for the weights."""
    for name in (_WEIGHTS, _RECORD):
        with contextlib.suppress(FileNotFoundError):
            (folder / name).unlink()
    save_file(weights(model), str(folder / _WEIGHTS))
    flush_tree(folder)
    part = folder / f"{_RECORD}.part"
    part.write_text(json.dumps(record), encoding="utf-8")
    flush_tree(folder)
    os.replace(part, folder / _RECORD)
    flush_folder(folder)
    for checkpoint in folder.glob("checkpoint-*"):
        shutil.rmtree(checkpoint, ignore_errors=True)


def kept(folder: Path, model: nn.Module) -> dict[str, Any] | None:
    """Load what a finished run came to into the model; None where there is none."""
    try:
        record = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
        stored = load_file(str(folder / _WEIGHTS))
    except (OSError, ValueError, SafetensorError):
        return None
    model.load_state_dict(stored, strict=False)
    return dict(record)

"""optimum-executorch: 8da4w in groups of 32, an 8-bit table, custom attention and cache."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

TITLE = "optimum-executorch 8da4w"
REQUIRES = (
    "optimum-executorch==1.1.0",
    "executorch==1.5.1",
    "torch==2.13.0",
    "torchao==0.18.0",
    "transformers==5.0.0rc1",
)


def make(source: Path, target: Path, context: int) -> None:
    """What its command line writes."""
    words = [sys.executable, "-m", "optimum.commands.optimum_cli", "export", "executorch"]
    words += ["--model", str(source), "--task", "text-generation", "--recipe", "xnnpack"]
    words += ["--use_custom_sdpa", "--use_custom_kv_cache", "--qlinear", "8da4w"]
    words += ["--qlinear_group_size", "32", "--qembedding", "8w", "--max_seq_len", str(context)]
    subprocess.run([*words, "--output_dir", str(target)], check=True)


def open_feed(folder: Path, context: int, threads: int) -> Callable[[list[int], int], int]:
    """Load its ``.pte``; its attention multiplies with one MKL thread, which is its best here."""
    os.environ["MKL_NUM_THREADS"] = "1"
    import torch
    from executorch.extension.llm.custom_ops import custom_ops  # noqa: F401
    from executorch.extension.pybindings.portable_lib import (
        _load_for_executorch,
        _unsafe_reset_threadpool,
    )
    from executorch.kernels import quantized  # noqa: F401

    _unsafe_reset_threadpool(threads)
    module = _load_for_executorch(str(folder / "model.pte"))

    def feed(ids: list[int], position: int) -> int:
        places = torch.arange(position, position + len(ids))
        return int(module.forward((torch.tensor([ids]), places))[0][0, -1].argmax())

    return feed

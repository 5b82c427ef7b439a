"""onnxruntime-genai: int4 in blocks of 32 by its own builder, last logit only, its own loop."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

TITLE = "onnxruntime-genai int4"
REQUIRES = (
    "onnxruntime-genai==0.18.0",
    "onnxruntime==1.31.1",
    "onnx==1.23.2",
    "onnx-ir==1.1.0",
    "torch==2.13.0",
    "transformers==5.23.0",
)
_OPTIONS = ("accuracy_level=4", "block_size=32", "prune_lm_head=true", "hf_token=false")


def make(source: Path, target: Path, context: int) -> None:
    """What its model builder writes."""
    words = ["-m", "onnxruntime_genai.models.builder", "-i", str(source), "-o", str(target)]
    words += ["-p", "int4", "-e", "cpu", "-c", str(target / "cache")]
    subprocess.run([sys.executable, *words, "--extra_options", *_OPTIONS], check=True)


def open_feed(folder: Path, context: int, threads: int) -> Callable[[list[int], int], int]:
    """Load it; the greedy loop is the library's, so what it said last need not be given back."""
    import onnxruntime_genai as genai

    config = genai.Config(str(folder))
    threaded = {"session_options": {"intra_op_num_threads": threads}}
    config.overlay(json.dumps({"model": {"decoder": threaded}}))
    model = genai.Model(config)
    limits = genai.GeneratorParams(model)
    limits.set_search_options(max_length=context, min_length=context, do_sample=False)
    # A new one takes memory for its cache, which is no part of reading a prompt.
    ready = [genai.Generator(model, limits) for _ in range(2)]
    running = ready[0]

    def feed(ids: list[int], position: int) -> int:
        nonlocal running
        if position == 0:
            running = ready.pop()
            running.append_tokens(ids)
        running.generate_next_token()
        return int(running.get_next_tokens()[0])

    return feed

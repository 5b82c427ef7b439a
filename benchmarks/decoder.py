"""A decoder's speed and memory in the native runner, beside Python and PyTorch.

    .venv/bin/python -m benchmarks.decoder [--layers 30] [--prompts 128,447] [> table.md]

A Llama of SmolLM2-135M's shape with random weights and as many layers as asked for, 4-bit linears
in groups of 32 with an 8-bit table, context 512. The native runner, the same .pte through
ExecuTorch's Python library and torch fp32 with transformers' static cache answer in turn, each in a
process of its own; ratios to torch of one run are what to read. Not a phone.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.decoder_peer import Answer, answered

CONTEXT, TOKENS = 512, 64
SHAPE: dict[str, Any] = {
    "vocab_size": 49152,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": True,
}
RUNNER, PYTHON, TORCH = "native runner", "ExecuTorch in Python", "torch fp32"


def main() -> None:
    """Make the model once, let each answer in turn, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=30)
    parser.add_argument("--prompts", default="128,447")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path("build/benchmarks"))
    options = parser.parse_args()
    folder = options.folder / f"decoder-{options.layers}"
    if not (folder / "model.pte").exists():
        make(folder, options.layers)
    prompts = [int(word) for word in options.prompts.split(",")]
    found: dict[tuple[str, int], list[Answer]] = {}
    draw = random.Random(0)
    peers = [RUNNER, PYTHON, TORCH]
    for _ in range(options.rounds):
        draw.shuffle(peers)
        for peer in peers:
            for prompt in prompts:
                made = _answer(peer, folder, prompt, options.threads)
                found.setdefault((peer, prompt), []).append(made)
    _print(folder, found, prompts, options)


def make(folder: Path, layers: int) -> None:
    """Write the artifact; its signature beside it."""
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig

    from edgekit_converters.generation import executorch
    from edgekit_converters.generation.capture import capture_buffers, prepared
    from edgekit_converters.generation.quantized import calibrated
    from edgekit_converters.quiet import quiet

    torch.manual_seed(0)
    config = LlamaConfig(num_hidden_layers=layers, **SHAPE)
    model = AutoModelForCausalLM.from_config(config).eval()
    with quiet():
        with prepared(model, "llama", CONTEXT) as decoder:
            form = capture_buffers(decoder)
        edge, decisions = calibrated(executorch.rewritten(form), "int4-int8", [list(range(5, 60))])
        artifact = executorch.lower(edge, decisions.grids)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "signature.json").write_text(edge.signature.model_dump_json())
    (folder / "model.pte").write_bytes(artifact.data)


def _answer(peer: str, folder: Path, prompt: int, threads: int) -> Answer:
    ids = np.random.default_rng(prompt).integers(5, SHAPE["vocab_size"], prompt).tolist()
    if peer == RUNNER:
        return _native(folder, ids, threads)
    kind = "executorch" if peer == PYTHON else "torch"
    layers = folder.name.rpartition("-")[2]
    words = ["-m", "benchmarks.decoder_peer", kind, str(folder), layers, str(threads)]
    words += [str(TOKENS), ",".join(map(str, ids))]
    # OpenMP's own threads and ExecuTorch's would fight for the processors.
    pinned = {"MKL_NUM_THREADS": "1"} if kind == "executorch" else {}
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, check=True, env={**os.environ, **pinned}
    )
    return Answer.parse(done.stdout.decode())


def _native(folder: Path, ids: list[int], threads: int) -> Answer:
    from edgekit.device import stream
    from edgekit.device.job import Job
    from edgekit.device.places.host import open_host
    from edgekit.device.protocol import Event

    events: list[Event] = []
    stream.write(folder / "prompt", [[np.array([ids])]])
    job = Job(
        mode="generate",
        model="model.pte",
        inputs="prompt",
        threads=threads,
        warm_ups=1,
        runs=1,
        context=CONTEXT,
        tokens=TOKENS,
    )
    with open_host() as place:
        place.put({"model.pte": folder / "model.pte", "prompt": folder / "prompt"})
        place.run(job, timeout=600, on_event=events.append)
    told = next(event for event in events if event["event"] == "answer")
    peak = next(event for event in events if event["event"] == "memory")["vm_hwm_kb"]
    return answered(told["first_ms"], told["step_ms"], peak)


def _print(
    folder: Path, found: dict[tuple[str, int], list[Answer]], prompts: list[int], options: Any
) -> None:
    print("| | prompt | prefill tok/s | ratio | decode tok/s | ratio | peak MB |")
    print("|---|---|---|---|---|---|---|")
    for peer in (RUNNER, PYTHON, TORCH):
        for prompt in prompts:
            cells = []
            for of in (lambda a, p: p / a.first_ms, lambda a, p: 1 / a.step_ms):
                mine = statistics.median(1000 * of(a, prompt) for a in found[peer, prompt])
                base = statistics.median(1000 * of(a, prompt) for a in found[TORCH, prompt])
                cells += [f"{mine:.0f}", f"{mine / base:.2f}"]
            peak = max(answer.peak_kb for answer in found[peer, prompt]) / 1000
            print(f"| {peer} | {prompt} | {' | '.join(cells)} | {peak:.0f} |")
    size = (folder / "model.pte").stat().st_size / 1e6
    print(
        f"\nConditions: {platform.machine()}, {os.cpu_count()} processors, {options.threads} "
        f"threads, {options.layers} layers, .pte of {size:.1f} MB, {TOKENS} tokens behind the "
        f"prompt, medians of {options.rounds} interleaved answers, each the second of its process; "
        f"peak memory of the whole process, imports included; load of the machine at the end "
        f"{os.getloadavg()[0]:.1f}."
    )


if __name__ == "__main__":
    main()

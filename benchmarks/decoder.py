"""A decoder's speed and memory: the native runner, `edgekit run`'s library, and PyTorch.

    .venv/bin/python -m benchmarks.decoder [--layers 30] [--prompts 128,447] [> table.md]
    .venv/bin/python -m benchmarks.decoder --clock processor --threads 1 [> table.md]

A Llama of SmolLM2-135M's shape with random weights and as many layers as asked for, 4-bit linears
in groups of 32 with an 8-bit table, context 512. The native runner, the library behind `edgekit
run`, ExecuTorch's own Python extension and torch fp32 with transformers' static cache answer in
turn, each in a process of its own; ratios to torch of one run are what to read. Not a phone.

Where other programs want the processors as well, threads that wait for each other are slowed by
much more than their share, torch's most. The processor's clock with one thread counts the work
alone; the native runner tells the wall's only and is left out there.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import decoder_model
from benchmarks.decoder_peer import Answer, answered
from edgekit.bench.forecast import of_sizes

CONTEXT, TOKENS = 512, 64
# What a row is called -> what `decoder_peer` is asked for; the runner is no Python.
PEERS = {
    "native runner": "",
    "edgekit in Python": "library",
    "ExecuTorch's extension": "extension",
    "torch fp32": "torch",
}
RUNNER, TORCH = "native runner", "torch fp32"


def main() -> None:
    """Make the model once, let each answer in turn, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=30)
    parser.add_argument("--prompts", default="128,447")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clock", choices=["wall", "processor"], default="wall")
    options = parser.parse_args()
    folder = decoder_model.model(options.layers, CONTEXT)
    prompts = [int(word) for word in options.prompts.split(",")]
    found: dict[tuple[str, int], list[Answer]] = {}
    draw = random.Random(0)
    peers = [peer for peer in PEERS if options.clock == "wall" or peer != RUNNER]
    for _ in range(options.rounds):
        draw.shuffle(peers)
        for peer in peers:
            for prompt in prompts:
                made = answer(peer, folder, prompt, options.threads, options.clock)
                found.setdefault((peer, prompt), []).append(made)
    _print(folder, found, prompts, options)


def answer(peer: str, folder: Path, prompt: int, threads: int, clock: str = "wall") -> Answer:
    """The second answer of a peer, in a process of its own."""
    vocabulary = decoder_model.SHAPE["vocab_size"]
    ids = np.random.default_rng(prompt).integers(5, vocabulary, prompt).tolist()
    if peer == RUNNER:
        return _native(folder, ids, threads)
    layers = str(decoder_model.read(folder).layers)
    words = ["-m", "benchmarks.decoder_peer", PEERS[peer], str(folder), layers, str(threads)]
    words += [str(TOKENS), ",".join(map(str, ids)), clock]
    done = subprocess.run([sys.executable, *words], capture_output=True, check=True)
    return Answer.parse(done.stdout.decode())


def _native(folder: Path, ids: Sequence[int], threads: int) -> Answer:
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
        context=decoder_model.read(folder).context,
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
    print("| | prompt | prefill tok/s | x torch | decode tok/s | x torch | peak MB |")
    print("|---|---|---|---|---|---|---|")
    for peer in (one for one in PEERS if (one, prompts[0]) in found):
        for prompt in prompts:
            cells = []
            for of in (lambda a, p: p / a.first_ms, lambda a, p: 1 / a.step_ms):
                mine = statistics.median(1000 * of(a, prompt) for a in found[peer, prompt])
                base = statistics.median(1000 * of(a, prompt) for a in found[TORCH, prompt])
                cells += [f"{mine:.0f}", f"{mine / base:.2f}"]
            peak = _megabytes(found[peer, prompt])
            print(f"| {peer} | {prompt} | {' | '.join(cells)} | {peak:.0f} |")
    size = (folder / "model.pte").stat().st_size
    print(
        f"\nConditions: {platform.machine()}, {os.cpu_count()} processors, {options.threads} "
        f"threads, {options.layers} layers, .pte of {size / 1e6:.1f} MB, {TOKENS} tokens behind "
        f"the prompt, {options.clock} clock, medians of {options.rounds} interleaved answers, each "
        f"the second of its process; peak memory of the whole process, imports included; load of "
        f"the machine at the end {os.getloadavg()[0]:.1f}."
    )
    if options.clock != "wall":
        return
    facts = decoder_model.read(folder)
    forecast = of_sizes("executorch", size, facts.planned, facts.cache).total / 1e6
    measured = _megabytes([a for prompt in prompts for a in found[RUNNER, prompt]])
    print(
        f"\nForecast of the runner's peak with a full context: {forecast:.0f} MB, "
        f"{forecast / measured:.2f} of the {measured:.0f} MB measured after {max(prompts)} + "
        f"{TOKENS} tokens."
    )


def _megabytes(answers: Sequence[Answer]) -> float:
    return max(answer.peak_kb for answer in answers) * 1024 / 1e6


if __name__ == "__main__":
    main()

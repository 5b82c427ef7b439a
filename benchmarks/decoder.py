"""A decoder's speed and memory: the native runner, `edgekit run`'s library, and PyTorch.

    .venv/bin/python -m benchmarks.decoder [--layers 30] [--prompts 128,447] [> table.md]
    .venv/bin/python -m benchmarks.decoder --clock processor --threads 1 [> table.md]
    .venv/bin/python -m benchmarks.decoder --peers [> table.md]

A Llama of SmolLM2-135M's shape with random weights and as many layers as asked for, everything in 4
bits in groups of 32, context 512. The native runner, the library behind `edgekit run`, ExecuTorch's
own Python extension and torch fp32 with transformers' static cache answer in turn, each in a
process of its own; ratios to torch of one run are what to read. Not a phone.

Where other programs want the processors as well, threads that wait for each other are slowed by
much more than their share, torch's most. The processor's clock with one thread counts the work
alone; the native runner tells the wall's only and is left out there.

With ``--peers`` the ``.onnx`` and the tools of `benchmarks.peers` answer as well: in the same
turns, from the same weights, each in an environment of its own under ``build/peers``. The first
time they are installed and make their files, which takes long.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import decoder_model
from benchmarks.peers import environments
from benchmarks.peers.answering import Answer, answered
from edgekit.bench.forecast import of_sizes

CONTEXT = 512
# What a row is called -> what `decoder_peer` is asked for.
OWN = {
    "edgekit in Python": "library",
    "ExecuTorch's extension": "extension",
    "torch fp32": "torch",
}
RUNNER, TORCH, ONNX = "native runner", "torch fp32", "edgekit .onnx"
GENAI = "onnxruntime_genai"

Ids = list[int]
# From a prompt's ids to its answer.
Players = dict[str, Callable[[Ids], Answer]]
Found = Mapping[tuple[str, int], Sequence[Answer]]


def main() -> None:
    """Make the models once, let each answer in turn, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=30)
    parser.add_argument("--prompts", default="128,447")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clock", choices=["wall", "processor"], default="wall")
    parser.add_argument(
        "--peers", nargs="*", metavar="NAME", help="other tools as well; all unless named"
    )
    options = parser.parse_args()
    folder = decoder_model.model(options.layers, CONTEXT)
    prompts = [int(word) for word in options.prompts.split(",")]
    players, sizes = _own(folder, options)
    if options.peers is not None:
        _add_peers(players, sizes, options)
    found: dict[tuple[str, int], list[Answer]] = {}
    draw, order = random.Random(0), list(players)
    for _ in range(options.rounds):
        draw.shuffle(order)
        for name in order:
            for prompt in prompts:
                found.setdefault((name, prompt), []).append(players[name](_ids(prompt)))
    _print(found, {name: sizes.get(name) for name in players}, prompts, options)
    if options.clock == "wall":
        _print_forecast(folder, found, prompts, options.tokens)
    if options.peers is not None:
        _print_onnx(found, prompts)


def _ids(prompt: int) -> Ids:
    vocabulary = decoder_model.SHAPE["vocab_size"]
    found: Ids = np.random.default_rng(prompt).integers(5, vocabulary, prompt).tolist()
    return found


def _own(folder: Path, options: Any) -> tuple[Players, dict[str, int]]:
    """What is measured of our own, and the bytes of its files by the same names."""
    players: Players = {}
    if options.clock == "wall":
        players[RUNNER] = partial(_native, folder, options.threads, options.tokens)
    players |= {name: partial(_python, kind, folder, options) for name, kind in OWN.items()}
    size = (folder / "model.pte").stat().st_size
    return players, {name: size for name in players if name != TORCH}


def _add_peers(players: Players, sizes: dict[str, int], options: Any) -> None:
    """The ``.onnx``, and each tool that can be had; the others are named with their reasons."""
    folder = decoder_model.onnx(options.layers, CONTEXT)
    players[ONNX] = partial(_python, "onnx", folder, options)
    sizes[ONNX] = (folder / "model.onnx").stat().st_size
    source = decoder_model.hugging_face(options.layers)
    for name in options.peers or environments.names():
        title = environments.peer(name).TITLE
        try:
            if fault := environments.set_up(name):
                raise RuntimeError(f"{title}: {fault}")
            made = environments.model(name, source, CONTEXT)
            players[title] = partial(_peer, name, made, options)
            players[title](_ids(CONTEXT // 8))
        except RuntimeError as error:
            players.pop(title, None)
            print(f"left out: {error}", file=sys.stderr, flush=True)
            continue
        # Some keep the weights in a file beside the graph; what else they write is small.
        sizes[title] = max(path.stat().st_size for path in made.rglob("*") if path.is_file())


def _peer(name: str, folder: Path, options: Any, ids: Ids) -> Answer:
    words = [str(folder), str(CONTEXT), str(options.threads), str(options.tokens)]
    said = environments.run(name, "answer", *words, ",".join(map(str, ids)), options.clock)
    return Answer.parse(said)


def _python(kind: str, folder: Path, options: Any, ids: Ids) -> Answer:
    """The second answer of one of our own, in a process of its own."""
    words = ["-m", "benchmarks.decoder_peer", kind, str(folder), str(options.layers)]
    words += [str(options.threads), str(options.tokens), ",".join(map(str, ids)), options.clock]
    done = subprocess.run([sys.executable, *words], capture_output=True, check=True)
    return Answer.parse(done.stdout.decode())


def _native(folder: Path, threads: int, tokens: int, ids: Ids) -> Answer:
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
        tokens=tokens,
    )
    with open_host() as place:
        place.put({"model.pte": folder / "model.pte", "prompt": folder / "prompt"})
        place.run(job, timeout=600, on_event=events.append)
    told = next(event for event in events if event["event"] == "answer")
    peak = next(event for event in events if event["event"] == "memory")["vm_hwm_kb"]
    return answered(told["first_ms"], told["step_ms"], peak)


def _print(
    found: Found, sizes: Mapping[str, int | None], prompts: Sequence[int], options: Any
) -> None:
    print("| | MB | prompt | prefill tok/s | x torch | decode tok/s | x torch | peak MB |")
    print("|---" * 8 + "|")
    for name, size in sizes.items():
        for prompt in prompts:
            cells = [name, "" if size is None else f"{size / 1e6:.1f}", str(prompt)]
            for rate in (_prefill, _decode):
                mine, base = rate(found, name, prompt), rate(found, TORCH, prompt)
                cells += [f"{mine:.0f}", f"{mine / base:.2f}"]
            print(f"| {' | '.join(cells)} | {_megabytes(found[name, prompt]):.0f} |")
    print(
        f"\nConditions: {platform.machine()}, {os.cpu_count()} processors, {options.threads} "
        f"threads, {options.layers} layers, {options.tokens} tokens behind the prompt, "
        f"{options.clock} clock, medians of {options.rounds} interleaved answers, each the second "
        f"of its process; MB of the largest file; peak memory of the whole process, imports "
        f"included; load of the machine at the end {os.getloadavg()[0]:.1f}."
    )


def _print_forecast(folder: Path, found: Found, prompts: Sequence[int], tokens: int) -> None:
    facts, size = decoder_model.read(folder), (folder / "model.pte").stat().st_size
    weights = size + facts.shared
    forecast = of_sizes("executorch", weights, facts.planned, facts.cache).total / 1e6
    measured = _megabytes([a for prompt in prompts for a in found[RUNNER, prompt]])
    print(
        f"\nForecast of the runner's peak with a full context: {forecast:.0f} MB, "
        f"{forecast / measured:.2f} of the {measured:.0f} MB measured after {max(prompts)} + "
        f"{tokens} tokens."
    )


def _print_onnx(found: Found, prompts: Sequence[int]) -> None:
    """The same runtime, two ways to make its file and to call it."""
    other = environments.peer(GENAI).TITLE
    if (other, prompts[0]) not in found:
        return
    said = []
    for prompt in prompts:
        ratios = [
            rate(found, ONNX, prompt) / rate(found, other, prompt) for rate in (_prefill, _decode)
        ]
        said.append(f"prefill {ratios[0]:.2f} and decode {ratios[1]:.2f} behind {prompt} tokens")
    print(f"\n{ONNX} x {other}: {'; '.join(said)}.")


def _prefill(found: Found, name: str, prompt: int) -> float:
    """Tokens a second up to the first."""
    return statistics.median(1000 * prompt / answer.first_ms for answer in found[name, prompt])


def _decode(found: Found, name: str, prompt: int) -> float:
    """Tokens a second from then on."""
    return statistics.median(1000 / answer.step_ms for answer in found[name, prompt])


def _megabytes(answers: Sequence[Answer]) -> float:
    return max(answer.peak_kb for answer in answers) * 1024 / 1e6


if __name__ == "__main__":
    main()

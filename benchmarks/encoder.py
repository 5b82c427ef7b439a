"""Size, quality and latency of a sentence encoder's artifacts beside what people use today.

    .venv/bin/python -m benchmarks.encoder [--model minilm] [--seconds 20] [> table.md]

One interleaved run on this machine's CPU; ratios of medians are what to read. Not a phone. Quality
is measured on edgekit's built-in sentences and on ``short.txt``, about a hundred texts of mostly
one to four tokens, where an encoder has the least to average over.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

import edgekit
from benchmarks import candidates
from benchmarks.delegated_time import time_share
from benchmarks.interleave import median, medians
from edgekit.parity import cosines
from edgekit_converters.evaluate import samples
from edgekit_converters.load import load
from edgekit_converters.quiet import quiet
from edgekit_converters.source import resolve

LENGTHS = (16, 64, 128)
SHORT = Path(__file__).with_name("short.txt")
LOADS = 9
FP32 = "onnxruntime fp32, plain export"
INT8 = "onnxruntime int8, default"
EAGER = "PyTorch eager fp32"

Maker = Callable[[], candidates.Run]


def main() -> None:
    """Build, check, time, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="minilm")
    parser.add_argument("--seconds", type=float, default=20.0, help="per length")
    parser.add_argument("--folder", type=Path, default=Path("build/benchmarks"))
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with quiet():
        bundles = [
            candidates.bundle(options.folder, scheme, options.model) for scheme in ("none", "int8")
        ]
        makers, sizes = contestants(options.folder, options.model, bundles)
        loads = _loads(makers)
        runs = {name: make() for name, make in makers.items()}
        found = quality(runs, options.model)
        times = {length: _times(runs, length, options.seconds) for length in LENGTHS}
    _print(sizes, found, loads, times, options.seconds)
    for bundle in bundles:
        _delegated(bundle)


def contestants(
    folder: Path, model: str, bundles: Sequence[edgekit.Bundle]
) -> tuple[dict[str, Maker], dict[str, int | None]]:
    """What opens each candidate, and its file's size."""
    stock = candidates.stock(model)
    plain = candidates.plain_onnx(folder, stock)
    default = candidates.quantized_onnx(folder, plain, per_channel=False)
    channel = candidates.quantized_onnx(folder, plain, per_channel=True)
    makers: dict[str, Maker] = {EAGER: partial(candidates.runner_of_torch, stock)}
    sizes: dict[str, int | None] = {EAGER: None}
    for name, path in ((FP32, plain), (INT8, default), ("onnxruntime int8, per channel", channel)):
        makers[name] = partial(candidates.runner_of_onnx, path)
        sizes[name] = path.stat().st_size
    for bundle in bundles:
        for artifact in bundle.manifest.artifacts:
            name = f"edgekit {Path(artifact.file).suffix} {artifact.scheme}"
            makers[name] = partial(candidates.runner_of, bundle, artifact.runtime)
            sizes[name] = artifact.bytes
    return makers, sizes


def _loads(makers: dict[str, Maker]) -> dict[str, float]:
    """Milliseconds from a file on a warm disk to the first answer, median of new sessions."""
    ids = np.full((1, 16), 2000, dtype=np.int64)
    times: dict[str, list[float]] = {name: [] for name in makers if name != EAGER}
    for _ in range(LOADS):
        for name, found in times.items():
            start = time.perf_counter()
            makers[name]()(ids)
            found.append(1000 * (time.perf_counter() - start))
    return {name: median(found) for name, found in times.items()}


def texts() -> list[str]:
    """The built-in samples, and short texts."""
    return [*samples.evaluation(), *SHORT.read_text(encoding="utf-8").splitlines()]


def quality(runs: dict[str, candidates.Run], model: str) -> dict[str, tuple[float, float]]:
    """Worst and mean cosine against ``EAGER``, one of the runs, on ``texts``."""
    tokenizer = load(resolve(model), "AutoModel").tokenizer
    tokenizer.enable_truncation(256)
    ids = [np.array([tokenizer.encode(text).ids], dtype=np.int64) for text in texts()]
    reference = [runs[EAGER](one) for one in ids]
    found = {}
    for name, run in runs.items():
        near = cosines(reference, [run(one) for one in ids])
        found[name] = (float(near.min()), float(near.mean()))
    return found


def _times(runs: dict[str, candidates.Run], length: int, seconds: float) -> dict[str, list[float]]:
    ids = np.random.default_rng(0).integers(1000, 20000, size=(1, length)).astype(np.int64)
    return medians({name: (lambda run=run: run(ids)) for name, run in runs.items()}, seconds)


def _print(
    sizes: dict[str, int | None],
    quality: dict[str, tuple[float, float]],
    loads: dict[str, float],
    times: dict[int, dict[str, list[float]]],
    seconds: float,
) -> None:
    heads = " | ".join(f"{length} tokens: ms (x fp32, x int8)" for length in LENGTHS)
    print(f"| candidate | MB | worst cosine | mean cosine | load to first answer, ms | {heads} |")
    print("|---|---|---|---|---|" + "---|" * len(LENGTHS))
    for name, size in sizes.items():
        worst, mean = quality[name]
        cells = []
        for length in LENGTHS:
            mine = median(times[length][name])
            fp32, int8 = median(times[length][FP32]), median(times[length][INT8])
            cells.append(f"{mine:.2f} ({mine / fp32:.2f}, {mine / int8:.2f})")
        megabytes = "" if size is None else f"{size / 1e6:.2f}"
        load = f"{loads[name]:.0f}" if name in loads else ""
        row = [name, megabytes, f"{worst:.4f}", f"{mean:.4f}", load, *cells]
        print(f"| {' | '.join(row)} |")
    runs = min(len(t) for by_name in times.values() for t in by_name.values())
    print(
        f"\nConditions: batch 1, {_processor()}, {torch.get_num_threads()} threads, "
        f"{platform.system()} {platform.machine()}, one interleaved run of {seconds:.0f} s a "
        f"length, medians of at least {runs} calls; x fp32 = against {FP32}; x int8 = against "
        f"{INT8}; cosines against eager on edgekit's 64 built-in sentences and the texts of "
        f"benchmarks/short.txt; loads are medians of {LOADS} new sessions at 16 tokens. "
        "Not a phone."
    )


def _delegated(bundle: edgekit.Bundle) -> None:
    """The share of a .pte's time inside the delegate, and what is left, at 64 tokens."""
    artifact = next(a for a in bundle.manifest.artifacts if a.runtime == "executorch")
    ids = np.full((1, 64), 2000, dtype=np.int64)
    found = time_share(bundle.path / artifact.file, {"input_ids": ids})
    taken = artifact.delegation
    assert taken is not None
    outside = ", ".join(f"{name} {ms:.3f} ms" for name, ms in found.outside.items())
    print(
        f"\nedgekit .pte {artifact.scheme}: {taken.calls} delegate calls, {taken.share:.1%} of the "
        f"operators and {found.share:.1%} of the time at 64 tokens inside; outside: {outside}."
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown processor"


if __name__ == "__main__":
    main()

"""What bits chosen tensor by tensor buy: size and quality beside what people use today.

    .venv/bin/python -m benchmarks.mixed [--max-size 15.2MB] [--plot frontier.svg] [> table.md]

Makes a mixed plan of MiniLM, exports it, and runs both artifacts and the peers' on edgekit's
built-in sentences and on ``short.txt``, about a hundred texts of mostly one to four tokens. The
picture has the sizes that the search could choose, simulated before norms are tweaked, and all
these artifacts as points. A few minutes; nothing is timed.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

import edgekit
from benchmarks import candidates
from benchmarks.encoder import SHORT
from edgekit.parity import cosines
from edgekit.stages import Stages
from edgekit.targets import target
from edgekit_converters import prepare
from edgekit_converters.evaluate import samples
from edgekit_converters.load import load
from edgekit_converters.quantize.methods import Calibrators
from edgekit_converters.quantize.mixed import Search
from edgekit_converters.quantize.schemes import scheme
from edgekit_converters.quiet import quiet
from edgekit_converters.request import Request
from edgekit_converters.source import resolve

MODEL = "minilm"
TASK = "sentence-similarity"


def main() -> None:
    """Build, run, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--max-size", default="15.2MB")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--folder", type=Path, default=Path("build/benchmarks"))
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with quiet():
        runs, sizes = _candidates(options.folder, options.max_size)
        found = _quality(runs)
        whole = sizes["edgekit .pte fp32"]
        print("| candidate | MB | of the fp32 .pte | worst cosine | mean cosine |")
        print("|---|---|---|---|---|")
        for name, (worst, mean) in found.items():
            share = f"{sizes[name] / whole:.1%}"
            print(f"| {name} | {sizes[name] / 1e6:.2f} | {share} | {worst:.4f} | {mean:.4f} |")
        texts = len(samples.evaluation()), len(_short())
        print(
            f"\nConditions: {MODEL}, --max-size {options.max_size}, cosines against eager on "
            f"{texts[0]} built-in sentences and {texts[1]} texts of benchmarks/short.txt; "
            f"{_known()} of them are parts of calibration texts."
        )
        if options.plot is not None:
            with prepare.one_thread():
                points = {name: (sizes[name], worst) for name, (worst, _) in found.items()}
                _draw(options.plot, points)


def _candidates(folder: Path, max_size: str) -> tuple[dict[str, candidates.Run], dict[str, int]]:
    """Every artifact, opened, and its file's size."""
    runs: dict[str, candidates.Run] = {}
    sizes: dict[str, int] = {}
    plain = candidates.plain_onnx(folder, candidates.stock(MODEL))
    for name, per_channel in (("default", False), ("per channel", True)):
        path = candidates.quantized_onnx(folder, plain, per_channel)
        runs[f"onnxruntime int8, {name}"] = candidates.runner_of_onnx(path)
        sizes[f"onnxruntime int8, {name}"] = path.stat().st_size
    plan = edgekit.quantize(
        MODEL, out=folder / "minilm-mixed-plan", max_size=max_size, force=True, task=TASK
    )
    mixed = edgekit.export(plan.path, out=folder / "minilm-mixed", task=TASK, force=True)
    for bundle in (*(candidates.bundle(folder, each) for each in ("none", "int8")), mixed):
        for artifact in bundle.manifest.artifacts:
            name = f"edgekit {Path(artifact.file).suffix} {artifact.scheme}"
            runs[name] = candidates.runner_of(bundle, artifact.runtime)
            sizes[name] = artifact.bytes
    return runs, sizes


def _short() -> list[str]:
    return SHORT.read_text(encoding="utf-8").splitlines()


def _known() -> int:
    """Texts that are words of a calibration text, one after the other."""
    seen = [f" {text} " for text in samples.calibration()]
    every = [*samples.evaluation(), *_short()]
    return sum(any(f" {text} " in one for one in seen) for text in every)


def _quality(runs: dict[str, candidates.Run]) -> dict[str, tuple[float, float]]:
    """Worst and mean cosine against eager."""
    tokenizer = load(resolve(MODEL), "AutoModel").tokenizer
    texts = [*samples.evaluation(), *_short()]
    ids = [np.array([tokenizer.encode(text).ids], dtype=np.int64) for text in texts]
    eager = candidates.runner_of_torch(candidates.stock(MODEL))
    reference = [eager(one) for one in ids]
    found = {}
    for name, run in runs.items():
        near = cosines(reference, [run(one) for one in ids])
        found[name] = float(near.min()), float(near.mean())
    return found


def _draw(path: Path, points: dict[str, tuple[int, float]]) -> None:
    """The sizes to choose from, and what was measured; fp32 would push all others together."""
    row, texts = scheme("int8"), samples.calibration()
    request = Request(target("android-arm64"), {}, row, False, TASK)
    job = replace(
        prepare.loaded_job(
            request, resolve(MODEL), samples.evaluation(), None, MODEL, samples_given=True
        ),
        scheme="mixed",
    )
    captured, _, edge, _ = prepare.rewritten_graph(job, Stages({}, None))
    inputs, short = (
        take(job, edge.signature, texts)
        for take in (prepare.calibration_inputs, prepare.short_inputs)
    )
    search = Search(edge.module(), row.choice(), Calibrators(ordered=True), inputs, None, short)
    # Both runtimes' artifacts of a plan would lie on each other.
    left = ("fp32", "edgekit .onnx")
    measured = {
        name: point for name, point in points.items() if not any(word in name for word in left)
    }
    search.plot(path, prepare.fp32_bytes(captured), measured)


if __name__ == "__main__":
    main()

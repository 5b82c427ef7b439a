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

import edgekit
from benchmarks import candidates, encoder
from edgekit.stages import Stages
from edgekit.targets import target
from edgekit_converters import prepare
from edgekit_converters.calibration import Work
from edgekit_converters.evaluate import samples
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
        bundles = _bundles(options.folder, options.max_size)
        makers, sizes = encoder.contestants(options.folder, MODEL, bundles)
        found = encoder.quality({name: make() for name, make in makers.items()}, MODEL)
        sizes = {name: size for name, size in sizes.items() if size and name != encoder.FP32}
        whole = sizes["edgekit .pte fp32"]
        print("| candidate | MB | of the fp32 .pte | worst cosine | mean cosine |")
        print("|---|---|---|---|---|")
        for name, size in sizes.items():
            worst, mean = found[name]
            print(f"| {name} | {size / 1e6:.2f} | {size / whole:.1%} | {worst:.4f} | {mean:.4f} |")
        built_in = len(samples.evaluation())
        print(
            f"\nConditions: {MODEL}, --max-size {options.max_size}, cosines against eager on "
            f"{built_in} built-in sentences and {len(encoder.texts()) - built_in} texts of "
            "benchmarks/short.txt; "
            f"{_known()} of them are parts of calibration texts."
        )
        if options.plot is not None:
            with prepare.one_thread():
                points = {name: (size, found[name][0]) for name, size in sizes.items()}
                _draw(options.plot, points)


def _bundles(folder: Path, max_size: str) -> list[edgekit.Bundle]:
    """Ours, made now: fp32, int8 and mixed."""
    plan = edgekit.quantize(
        MODEL, out=folder / "minilm-mixed-plan", max_size=max_size, force=True, task=TASK
    )
    mixed = edgekit.export(plan.path, out=folder / "minilm-mixed", task=TASK, force=True)
    return [*(candidates.bundle(folder, scheme, MODEL) for scheme in ("none", "int8")), mixed]


def _known() -> int:
    """Texts that are words of a calibration text, one after the other."""
    seen = [f" {text} " for text in samples.calibration()]
    return sum(any(f" {text} " in one for one in seen) for text in encoder.texts())


def _draw(path: Path, points: dict[str, tuple[int, float]]) -> None:
    """The sizes to choose from, and what was measured; fp32 would push all others together."""
    row = scheme("int8")
    request = Request(target("android-arm64"), {}, row, False, TASK)
    job = replace(
        prepare.loaded_job(
            request, resolve(MODEL), samples.evaluation(), None, MODEL, samples_given=True
        ),
        scheme="mixed",
    )
    captured, eager, edge, ladder = prepare.rewritten_graph(job, Stages({}, None))
    work = Work(job, captured, eager, edge, samples.calibration(), ladder)
    methods = Calibrators(ordered=True)
    search = Search(edge.module(), row.choice(), methods, work.inputs, None, work.short)
    # Both runtimes' artifacts of a plan would lie on each other.
    left = ("fp32", "edgekit .onnx")
    measured = {
        name: point for name, point in points.items() if not any(word in name for word in left)
    }
    search.plot(path, prepare.fp32_bytes(captured), measured)


if __name__ == "__main__":
    main()

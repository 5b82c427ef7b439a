"""Which attention lowers best: transformers' eager and sdpa, or edgekit's three-dimensional form.

    .venv/bin/python -m benchmarks.attention [--model minilm] [--seconds 20] [> table.md]

The same model, rewrites and int8 scheme; only the attention implementation differs. Not a phone.
"""

from __future__ import annotations

import argparse
import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.interleave import median, medians
from edgekit.runtime import load_runtime
from edgekit_converters.detect import task_of
from edgekit_converters.export import Lowered, executorch, onnx
from edgekit_converters.export.capture import Captured, capture
from edgekit_converters.folder import check
from edgekit_converters.graph import apply_all, attention
from edgekit_converters.load import load
from edgekit_converters.quantize.calibrate import calibrate
from edgekit_converters.quantize.grid import Grid
from edgekit_converters.quantize.methods import Calibrators
from edgekit_converters.quantize.schemes import SCHEMES
from edgekit_converters.quantize.settings import settle
from edgekit_converters.quiet import quiet
from edgekit_converters.source import resolve
from edgekit_converters.tasks import Wrapped, has_token_types, head_module, input_names

IMPLEMENTATIONS = ("eager", "sdpa", attention.NAME)
LENGTHS = (16, 64, 128)


def main() -> None:
    """Lower with each implementation, time, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="minilm")
    parser.add_argument("--seconds", type=float, default=20.0, help="per length")
    options = parser.parse_args()
    print("| attention | file | delegate calls | delegated share | planned memory, MB |", end="")
    print("".join(f" {length} tokens: ms (x eager) |" for length in LENGTHS))
    print("|---|---|---|---|---|" + "---|" * len(LENGTHS))
    with tempfile.TemporaryDirectory() as scratch, quiet():
        lowered = {
            (name, runtime): module.lower(graph, grids, delegate)
            for name in IMPLEMENTATIONS
            for graph, grids in [_calibrated(options.model, name)]
            for runtime, module, delegate in (
                ("executorch", executorch, "xnnpack"),
                ("onnx", onnx, "none"),
            )
        }
        signature = _captured(options.model, "eager").signature
        runs = {}
        for (name, runtime), one in lowered.items():
            path = Path(scratch) / f"{name}-{one.file}"
            path.write_bytes(one.data)
            runs[name, runtime] = load_runtime(runtime).open_session(path, signature)
        times = {}
        for length in LENGTHS:
            inputs = {"input_ids": np.full((1, length), 2000, dtype=np.int64)}
            calls = {key: partial(session.run, inputs) for key, session in runs.items()}
            times[length] = medians(calls, options.seconds)
    for key, one in lowered.items():
        _row(key, one, {length: times[length] for length in LENGTHS})


def _captured(model: str, implementation: str) -> Captured:
    source = resolve(model)
    task = task_of(source.folder, check(source.folder).config)
    head = head_module(task)
    loaded = load(source, head.AUTO_CLASS, may_miss=head.MAY_MISS)
    attention.register()
    loaded.model.set_attn_implementation(implementation)
    names = input_names(task, loaded.model, loaded.tokenizer)
    wrapped = Wrapped(loaded.model, head.head(source.folder), names, has_token_types(loaded.config))
    captured = capture(wrapped, names, head.OUTPUT, loaded.max_length)
    graph = captured.module()
    apply_all(graph)
    return captured.again(graph)


def _calibrated(model: str, implementation: str) -> tuple[Captured, dict[str, Grid]]:
    """int8 by rounding to nearest, which is as fast as any other rounding."""
    captured = _captured(model, implementation)
    graph, choice = captured.module(), SCHEMES["int8"].choice()
    plain = Calibrators(scaling="", rounding="nearest", split=False)
    found = calibrate(graph, lambda units: settle(units, choice), plain, [captured.example])
    return captured.again(graph), found.grids


def _row(key: tuple[str, str], one: Lowered, times: dict[int, dict]) -> None:
    name, runtime = key
    found = one.delegation
    cells = [
        f"{median(by[key]):.2f} ({median(by[key]) / median(by['eager', runtime]):.2f})"
        for by in times.values()
    ]
    delegated = (f"{found.calls}", f"{100 * found.share:.0f} %") if found else ("", "")
    memory = one.planned_memory
    planned = "" if memory is None else f"{memory / 1e6:.1f}"
    print("| " + " | ".join([name, one.file, *delegated, planned, *cells]) + " |")


if __name__ == "__main__":
    main()

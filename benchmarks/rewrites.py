"""What each rewrite of the graph is worth: all on, each left out, each alone; both runtimes.

    .venv/bin/python -m benchmarks.rewrites [--model minilm] [--scheme int8] [--cpu] [> table.md]

The same captured model; dropout and run-time sizes are gone in every variant. Weights are rounded
to the nearest integer, which is as fast as any other rounding. With ``--cpu`` both runtimes have
one thread and its processor time is measured, which others on the machine hardly change; what
several threads gain does not show in it. Not a phone.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from torch.fx import GraphModule

from benchmarks.interleave import median, medians
from edgekit.bundle.manifest import Delegation, Signature
from edgekit.runtime import load_runtime
from edgekit.runtime.onnx import library
from edgekit_converters.detect import task_of
from edgekit_converters.export import delegation, onnx
from edgekit_converters.export.capture import Captured, capture
from edgekit_converters.export.delegates import xnnpack
from edgekit_converters.folder import check
from edgekit_converters.graph import attention, rewrites
from edgekit_converters.graph.norm import is_norm_weight
from edgekit_converters.graph.parameters import constant, replace_constant
from edgekit_converters.load import load
from edgekit_converters.quantize import executorch_writer
from edgekit_converters.quantize.grid import Grid
from edgekit_converters.quantize.rounding import nearest
from edgekit_converters.quantize.units import units
from edgekit_converters.quiet import quiet
from edgekit_converters.source import resolve
from edgekit_converters.tasks import Wrapped, has_token_types, head_module, input_names

ALWAYS = ("cleanup", "views")
# Rows under this stay as they are, as the product leaves them.
SMALLEST_TABLE = 1 << 16
LENGTHS = (16, 64, 128)


def main() -> None:
    """Lower every variant, time those of one runtime together, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="minilm")
    parser.add_argument("--scheme", choices=("int8", "fp32"), default="int8")
    parser.add_argument("--seconds", type=float, default=30.0, help="per runtime and length")
    parser.add_argument("--runtime", choices=("executorch", "onnx"), action="append")
    parser.add_argument("--only", action="append", help="these rewrites alone are varied")
    parser.add_argument("--cpu", action="store_true", help="processor time of one thread")
    options = parser.parse_args()
    with quiet():
        captured = _captured(options.model)
        for runtime in options.runtime or ("executorch", "onnx"):
            with tempfile.TemporaryDirectory() as scratch:
                _measure(captured, runtime, options, Path(scratch))
    print(
        f"\nConditions: {options.scheme}, batch 1, {platform.system()} {platform.machine()}, "
        f"{'processor time of one thread' if options.cpu else f'{os.cpu_count()} processors'}, "
        f"one interleaved run of {options.seconds:.0f} s a runtime and length, medians; x none = "
        f"against the graph without these rewrites. Not a phone."
    )


def variants(varied: list[str]) -> dict[str, tuple[str, ...]]:
    """Name -> rewrites that are on besides those that always are."""
    found: dict[str, tuple[str, ...]] = {"none": (), "all": tuple(varied)}
    for name in varied:
        found[f"all but {name}"] = tuple(other for other in varied if other != name)
        found[f"{name} alone"] = (name,)
    return found


def _measure(captured: Captured, runtime: str, options: argparse.Namespace, scratch: Path) -> None:
    varied = options.only or [name for name in rewrites() if name not in ALWAYS]
    runs, found = {}, {}
    for name, chosen in variants(varied).items():
        module = captured.module()
        for rewrite, steps in rewrites().items():
            if rewrite in ALWAYS or rewrite in chosen:
                steps.apply(module)
        grids = _rounded(module) if options.scheme == "int8" else {}
        path = scratch / name.replace(" ", "-")
        lower = _pte if runtime == "executorch" else _onnx
        found[name] = lower(captured.again(module), grids, path)
        runs[name] = _run(runtime, path, captured.signature, options.cpu)
    times = {}
    for length in LENGTHS:
        inputs = _inputs(captured.signature, length)
        calls = {name: partial(run, inputs) for name, run in runs.items()}
        times[length] = (_cpu_times if options.cpu else medians)(calls, options.seconds)
    _print(runtime, found, times)


def _run(runtime: str, path: Path, signature: Signature, one_thread: bool) -> Callable[..., object]:
    if not one_thread:
        return load_runtime(runtime).open_session(path, signature).run
    if runtime == "executorch":
        from executorch.extension.pybindings import portable_lib

        portable_lib._unsafe_reset_threadpool(1)
        return load_runtime(runtime).open_session(path, signature).run
    options = library().SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = library().InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return partial(session.run, None)


def _cpu_times(calls: dict[str, Callable[[], object]], seconds: float) -> dict[str, list[float]]:
    """Milliseconds of this thread's processor time of every timed call; see ``medians``."""
    order, draw = list(calls), random.Random(0)
    times: dict[str, list[float]] = {name: [] for name in order}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        draw.shuffle(order)
        for name in order:
            calls[name]()
            calls[name]()
            for _ in range(5):
                start = time.thread_time()
                calls[name]()
                times[name].append(1000 * (time.thread_time() - start))
    return times


def _rounded(module: GraphModule) -> dict[str, Grid]:
    """Integers of every linear weight and large table; the graph then holds what they stand for."""
    grids = {}
    for unit in units(module):
        table = unit.kind == "table"
        small = table and 4 * unit.rows * unit.columns < SMALLEST_TABLE
        if small or is_norm_weight(unit.name):
            continue
        node = next(node for node in module.graph.nodes if str(node.target) == unit.name)
        grids[unit.name] = nearest.fit(constant(module, node), 8, 0)
        replace_constant(module, node, grids[unit.name].dequantized())
    return grids


def _pte(captured: Captured, grids: dict[str, Grid], path: Path) -> Delegation:
    from executorch.exir import ExecutorchBackendConfig, to_edge_transform_and_lower

    module = captured.module()
    executorch_writer.apply(module, grids)
    with delegation.refusals() as refused:
        edge = to_edge_transform_and_lower(captured.again(module).program, **xnnpack.lowering())
    report = delegation.report(edge.exported_program(), refused, "xnnpack")
    program = edge.to_executorch(ExecutorchBackendConfig(extract_delegate_segments=True))
    path.write_bytes(bytes(program.buffer))
    return report


def _onnx(captured: Captured, grids: dict[str, Grid], path: Path) -> None:
    path.write_bytes(onnx.lower(captured, grids, "none").data)


def _inputs(signature: Signature, length: int) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(0)
    ids = draw.integers(1000, 20000, size=(1, length)).astype(np.int64)
    return {spec.name: ids if spec.name == "input_ids" else 0 * ids for spec in signature.inputs}


def _captured(model: str) -> Captured:
    source = resolve(model)
    task = task_of(source.folder, check(source.folder).config)
    head = head_module(task)
    loaded = load(source, head.AUTO_CLASS, may_miss=head.MAY_MISS)
    attention.register()
    loaded.model.set_attn_implementation(attention.NAME)
    names = input_names(task, loaded.model, loaded.tokenizer)
    wrapped = Wrapped(loaded.model, head.head(source.folder), names, has_token_types(loaded.config))
    return capture(wrapped, names, head.OUTPUT, loaded.max_length)


def _print(
    runtime: str,
    found: dict[str, Delegation | None],
    times: dict[int, dict[str, list[float]]],
) -> None:
    heads = "".join(f" {length} tokens: ms (x none) |" for length in LENGTHS)
    print(f"\n| {runtime} | delegate calls | delegated share |{heads}")
    print("|---|---|---|" + "---|" * len(LENGTHS))
    for name, report in found.items():
        cells = ["", ""] if report is None else [f"{report.calls}", f"{100 * report.share:.1f} %"]
        for by_name in times.values():
            mine = median(by_name[name])
            cells.append(f"{mine:.2f} ({mine / median(by_name['none']):.3f})")
        print(f"| {' | '.join([name, *cells])} |", flush=True)


if __name__ == "__main__":
    main()

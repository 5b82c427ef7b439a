"""Are other encoders as fast beside ONNX Runtime as MiniLM is? BERT and DistilBERT in full size.

    .venv/bin/python -m benchmarks.encoder_shapes [--seconds 20] [> table.md]

MiniLM has its weights, the others have random ones of their architecture's usual size: times say
as much as with real ones, quality says nothing and no floor is asked of it. One interleaved run on
this machine's CPU of all shapes; ratios to ONNX Runtime with the plain fp32 export are what to
read. ``--layers`` makes the random ones shallower, to try the command. Not a phone.
"""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

import edgekit
from benchmarks import candidates
from benchmarks.interleave import median, medians
from edgekit.errors import ParityFailed
from edgekit_converters.quiet import quiet
from edgekit_converters.source import resolve

LENGTHS = (16, 64, 128)
MINILM = "MiniLM, 6 layers of 384"
# Configuration classes of transformers, whose defaults are the base models.
RANDOM = {"BERT": "BertConfig", "DistilBERT": "DistilBertConfig"}
FP32 = "onnxruntime fp32, plain export"
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")
# A shape's ratio may be so much above MiniLM's and count as the same.
SAME = 1.1


def main() -> None:
    """Build, time, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="per length")
    parser.add_argument("--layers", type=int, help="of the random models")
    parser.add_argument("--runtime", choices=("executorch", "onnx"), action="append")
    parser.add_argument("--folder", type=Path, default=Path("build/benchmarks/shapes"))
    options = parser.parse_args()
    runtimes = tuple(options.runtime or ("executorch", "onnx"))
    with quiet():
        runs: dict[str, dict[str, candidates.Run]] = {}
        for shape, model in _models(options.folder, options.layers):
            runs[shape] = _runs(options.folder / _name(shape), model, runtimes)
        times = {length: _times(runs, length, options.seconds) for length in LENGTHS}
    _print(times, options.seconds)


def _models(folder: Path, layers: int | None) -> list[tuple[str, str]]:
    """Names of the shapes, and what the product takes as a model."""
    import torch
    import transformers

    found = [(MINILM, "minilm")]
    tokenizer = resolve("minilm").folder
    for family, config_class in RANDOM.items():
        config = getattr(transformers, config_class)()
        if layers is not None:
            config.num_hidden_layers = layers
        shape = f"{family}, {config.num_hidden_layers} layers of {config.hidden_size}"
        path = folder / f"{_name(shape)}-model"
        if not path.is_dir():
            torch.manual_seed(0)
            transformers.AutoModel.from_config(config).save_pretrained(path)
            for name in TOKENIZER:
                shutil.copy(tokenizer / name, path / name)
        found.append((shape, str(path)))
    return found


def _runs(folder: Path, model: str, runtimes: tuple[str, ...]) -> dict[str, candidates.Run]:
    """The plain export and our int8 artifacts of one shape, loaded."""
    folder.mkdir(parents=True, exist_ok=True)
    plain = candidates.plain_onnx(folder, candidates.stock(model))
    runs = {FP32: candidates.runner_of_onnx(plain)}
    made = folder / "int8"
    try:
        edgekit.export(
            model,
            out=made,
            task="sentence-similarity",
            quantize="int8",
            runtimes=runtimes,
            max_length=256,
            force=True,
            keep_failed=True,
        )
    except ParityFailed:
        print(f"{folder.name}: its weights are random, and a floor was missed.")
    opened = edgekit.Bundle.open(made)
    for artifact in opened.manifest.artifacts:
        name = f"edgekit {Path(artifact.file).suffix} int8"
        runs[name] = candidates.runner_of(opened, artifact.runtime)
    return runs


def _times(
    runs: dict[str, dict[str, candidates.Run]], length: int, seconds: float
) -> dict[tuple[str, str], float]:
    """Median milliseconds of every shape's candidates, all of them in turn."""
    ids = np.random.default_rng(0).integers(1000, 20000, size=(1, length)).astype(np.int64)
    calls: dict[tuple[str, str], Callable[[], object]] = {
        (shape, name): partial(run, ids)
        for shape, by_name in runs.items()
        for name, run in by_name.items()
    }
    names = {f"{shape} | {name}": (shape, name) for shape, name in calls}
    found = medians({text: calls[key] for text, key in names.items()}, seconds)
    return {key: median(found[text]) for text, key in names.items()}


def _print(times: dict[int, dict[tuple[str, str], float]], seconds: float) -> None:
    heads = " | ".join(f"{length} tokens: ms (x fp32, x MiniLM's)" for length in LENGTHS)
    print(f"| shape | candidate | {heads} |")
    print("|---|---|" + "---|" * len(LENGTHS))
    missed = []
    for shape, name in next(iter(times.values())):
        cells = []
        for length, found in times.items():
            mine = found[shape, name]
            ratio = mine / found[shape, FP32]
            beside = ratio / (found[MINILM, name] / found[MINILM, FP32])
            cells.append(f"{mine:.2f} ({ratio:.2f}, {beside:.2f})")
            if beside > SAME:
                missed.append(f"{shape}, {name} at {length}")
        print(f"| {shape} | {name} | {' | '.join(cells)} |")
    print(f"\nMore than {SAME:.0%} of MiniLM's ratio: {'; '.join(missed) or 'none'}.")
    print(
        f"\nConditions: int8, batch 1, {os.cpu_count()} processors, one interleaved run of "
        f"{seconds:.0f} s a length, medians; x fp32 = against {FP32} of the same shape; x MiniLM's "
        "= that ratio against MiniLM's; BERT and DistilBERT with random weights; load of the "
        f"machine at the end {os.getloadavg()[0]:.1f}. Not a phone."
    )


def _name(shape: str) -> str:
    return shape.split(",")[0].lower() + "-" + shape.split()[1]


if __name__ == "__main__":
    main()

"""What distillation reaches, as tables with their conditions; each command is one question.

    python -m benchmarks.distill layers      6 -> 3 layers of MiniLM, found without training
    python -m benchmarks.distill depth       3 and 2 layers with training
    python -m benchmarks.distill losses      relations and similarity against one loss alone
    python -m benchmarks.distill width       half the feed-forward, 256 wide, in the artifact
    python -m benchmarks.distill decoder     a quarter of the tiny decoder
    python -m benchmarks.distill half        half of the tiny decoder's layers
    python -m benchmarks.distill classifier  with the teacher against labels only
    python -m benchmarks.distill rationale   reasons beside labels, against labels only
    python -m benchmarks.distill memory      memory from ten thousand to a million rows

``--steps``, ``--seeds`` and ``--texts`` make a run longer or shorter; what they were is printed.
Half of the texts need Debian's ``wordnet-base``; ``--source docstrings`` does without.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.definitions import SOURCES, training_texts
from benchmarks.embedding_quality import Quality
from edgekit_converters.distill import beginnings, repair
from edgekit_converters.distill.collate import NumberedRows, collate_for
from edgekit_converters.distill.distilling import distill
from edgekit_converters.distill.losses import parse
from edgekit_converters.distill.measure import Measure
from edgekit_converters.distill.models import Taught, opened
from edgekit_converters.distill.recipe import Recipe
from edgekit_converters.distill.student import from_layers
from edgekit_converters.distill.teacher import Live
from edgekit_converters.distill.wanted import Beginning
from edgekit_converters.quiet import quiet
from edgekit_converters.source import resolve

_MEASURED = 192  # texts that subsets of layers are compared on


def main() -> int:
    """Run one of the commands."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.distill")
    parser.add_argument("command", choices=sorted(_COMMANDS))
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--texts", type=int, default=60000)
    parser.add_argument("--source", choices=sorted(SOURCES), default="both")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--losses", nargs="+", default=(), help="of decoder and half")
    parser.add_argument("--depths", default="3/2", help="numbers of layers, or lists of them")
    said = parser.parse_args()
    if said.losses and said.command not in ("decoder", "half"):
        parser.error(f"{said.command} has no --losses")
    torch.set_num_threads(said.threads)
    with tempfile.TemporaryDirectory() as place:
        _COMMANDS[said.command](said, Path(place))
    return 0


def layers(said: argparse.Namespace, place: Path) -> None:
    """Every subset of 3 of MiniLM's 6 layers, by fidelity on training texts, refitted."""
    teacher = _minilm()
    texts = training_texts(said.source, _MEASURED + repair.MOST_TEXTS)
    begin = time.monotonic()
    collate = collate_for(teacher)
    rows = NumberedRows([{"text": text} for text in texts[:_MEASURED]])
    measure = Measure(teacher.kind, Live(teacher.probe()), collate, rows)
    fitted = NumberedRows([{"text": text} for text in texts[_MEASURED:]])
    begun = beginnings.begin(
        Beginning(layers="3"), teacher, measure, 0, _say, repair.batches(fitted, collate)
    )
    seconds = time.monotonic() - begin
    quality = Quality(teacher)
    lines = [["6 (teacher)", *quality.row(teacher)]]
    subsets = [one.layers for one in begun.tried]
    for name, subset in zip(("best", "second", "worst"), (*subsets[:2], subsets[-1]), strict=True):
        student = teacher.holding(from_layers(teacher.model, subset))
        lines.append([f"{name} {','.join(map(str, subset))}", *quality.row(student)])
    lines.append(
        [begun.words.removeprefix("layers ").replace(" of 6", ""), *quality.row(begun.taught)]
    )
    _table(["layers", *Quality.COLUMNS], lines)
    print(f"{len(subsets)} subsets, and three of them refitted, in {seconds:.0f} s")
    _conditions(
        said,
        f"{len(texts)} texts of {SOURCES[said.source]}, a part to measure; {quality.conditions()}",
    )


def depth(said: argparse.Namespace, place: Path) -> None:
    """3 and 2 layers with training, beside the controls of the job itself."""
    teacher = _minilm()
    quality = Quality(teacher)
    data = _texts(place, said)
    lines = [["6 (teacher)", "", *quality.row(teacher), ""]]
    for wanted in said.depths.split("/"):
        begin = time.monotonic()
        made = _distilled(said, place / f"depth-{wanted}", data, layers=wanted)
        seconds = time.monotonic() - begin
        tried = made.report["student"]["search"]
        kept = tried[0]["layers"] if tried else [int(word) for word in wanted.split(",")]
        which = ",".join(map(str, kept))
        before = teacher.holding(from_layers(teacher.model, kept))
        lines.append([f"{len(kept)} untrained", which, *quality.row(before), ""])
        after = opened(resolve(made.path))
        lines.append([f"{len(kept)} distilled", which, *quality.row(after), f"{seconds:.0f}"])
    _table(["layers", "which", *Quality.COLUMNS, "s in all"], lines)
    _conditions(said, quality.conditions(), training=True)


def losses(said: argparse.Namespace, place: Path) -> None:
    """One loss against another, equal steps, several seeds."""
    teacher = _minilm()
    quality = Quality(teacher)
    data = _texts(place, said)
    lines = []
    for names in ("mse", "cosine", "cosine,similarity", "relations,similarity", "similarity"):
        found = []
        for seed in range(said.seeds):
            made = _distilled(
                said, place / f"{names}-{seed}", data, layers="0,3,5", loss=names, seed=seed
            )
            student = opened(resolve(made.path))
            graded, *likeness = quality.figures(student)
            found.append((*likeness, graded))
        spreads = [_spread(column) for column in zip(*found, strict=True)]
        lines.append([names, *(cell for spread in spreads for cell in spread)])
    best = max(lines, key=lambda line: float(line[1]))
    columns = ["losses", Quality.COLUMNS[2], "+-", Quality.COLUMNS[3], "+-", "graded", "+-"]
    _table(columns, lines)
    alone = next(line for line in lines if line[0] == "mse")
    gap = float(best[1]) - float(alone[1])
    clear = gap > float(best[2]) + float(alone[2])
    word = "above mse alone by" if clear else "not above mse alone beyond the spread:"
    print(f"most alike: {best[0]}, {word} {gap:.4f}; +- is half the range of {said.seeds} seeds")
    _conditions(said, quality.conditions(), training=True)


def width(said: argparse.Namespace, place: Path) -> None:
    """Half the feed-forward, 256 wide, 8 heads: what it is in the artifact."""
    import numpy as np

    from benchmarks import candidates
    from benchmarks.interleave import median, medians

    teacher = _minilm()
    quality = Quality(teacher)
    sizes = place / "narrow.json"
    narrow = {"hidden_size": 256, "num_attention_heads": 8, "intermediate_size": 768}
    sizes.write_text(json.dumps(narrow), encoding="utf-8")
    data = _texts(place, said)
    made = _distilled(said, place / "narrow", data, config=sizes, loss="relations,similarity")
    student = opened(resolve(made.path))
    models = {"minilm": ("minilm", teacher), "narrow": (str(made.path), student)}
    runs, bytes_ = {}, {}
    with quiet():
        for name, (model, _) in models.items():
            (place / f"bundles-{name}").mkdir()
            bundle = candidates.bundle(place / f"bundles-{name}", "int8", model)
            artifact = next(a for a in bundle.manifest.artifacts if a.runtime == "executorch")
            bytes_[name] = artifact.bytes
            runs[name] = candidates.runner_of(bundle, "executorch")
    ids = np.full((1, 64), 2000, dtype=np.int64)
    times = medians({name: partial(run, ids) for name, run in runs.items()}, 10.0)
    lines = [
        [name, f"{bytes_[name] / 1e6:.2f}", f"{median(times[name]):.2f}", *quality.row(taught)]
        for name, (_, taught) in models.items()
    ]
    columns = ["model", ".pte int8 MB", "ms at 64 tokens", *Quality.COLUMNS]
    _table(columns, lines)
    _conditions(said, quality.conditions() + "; quality in PyTorch, figures of the .pte here")


def memory(said: argparse.Namespace, place: Path) -> None:
    """Peak memory by the number of rows."""
    from benchmarks.distill_memory import SIZES, measured

    lines = []
    for rows in SIZES:
        peak, size = measured(rows, place / str(rows), min(said.steps, 10))
        lines.append([f"{rows:,}", f"{size:.1f}", f"{peak:.0f}"])
    _table(["rows", "file, MB", "peak memory, MB"], lines)
    _conditions(
        said, f"minilm, layers 0 and 5, {min(said.steps, 10)} steps of 8 texts, a process each"
    )


def task(said: argparse.Namespace, place: Path) -> None:
    """One of the commands of ``distill_tasks``."""
    from benchmarks.distill_tasks import COMMANDS

    chosen = {"losses": said.losses} if said.losses else {}
    columns, lines, words = COMMANDS[said.command](
        said.steps, said.batch, said.seeds, place, **chosen
    )
    _table(columns, lines)
    _conditions(said, words)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _minilm() -> Taught:
    return opened(resolve("minilm"))


def _texts(place: Path, said: argparse.Namespace) -> Path:
    path = place / "training.txt"
    path.write_text("\n".join(training_texts(said.source, said.texts)), encoding="utf-8")
    return path


def _distilled(
    said: argparse.Namespace,
    out: Path,
    data: Path,
    *,
    teacher: str | Path = "minilm",
    layers: str | None = None,
    config: Path | None = None,
    loss: str | None = None,
    seed: int = 0,
    controls: bool = False,
    **more: Any,
) -> Any:
    settings = Recipe(
        steps=said.steps,
        batch=said.batch,
        seed=seed,
        controls=controls,
        losses=None if loss is None else tuple(parse(loss)),
        **more,
    )
    with quiet():
        return distill(
            teacher,
            [data],
            out=out,
            beginning=Beginning(layers=layers, config=config),
            said=settings,
        )


def _spread(values: Sequence[float]) -> list[str]:
    """Mean, and half the range."""
    mean = sum(values) / len(values)
    return [f"{mean:.4f}", f"{(max(values) - min(values)) / 2:.4f}"]


def _table(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    rows = [list(columns), *[list(line) for line in lines]]
    widths = [max(len(row[index]) for row in rows) for index in range(len(columns))]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        print("  ".join(cells).rstrip(), flush=True)


def _conditions(said: argparse.Namespace, words: str, *, training: bool = False) -> None:
    load = os.getloadavg()[0]
    trained = f"{said.steps} steps of {said.batch} texts; " if training else ""
    source = f"trained on {said.texts} {SOURCES[said.source]}; " if training else ""
    print(
        f"conditions: {trained}{source}{words}; PyTorch {torch.__version__} in fp32 on "
        f"{torch.get_num_threads()} threads of {platform.machine()}, load {load:.1f}"
    )


_COMMANDS = {
    "classifier": task,
    "decoder": task,
    "depth": depth,
    "half": task,
    "layers": layers,
    "losses": losses,
    "memory": memory,
    "rationale": task,
    "width": width,
}


if __name__ == "__main__":
    sys.exit(main())

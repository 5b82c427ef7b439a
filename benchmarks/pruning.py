"""Pruning of the real MiniLM, and of a small decoder: what was to be reached, and what is.

    .venv/bin/python -m benchmarks.pruning PART [--steps N] [--measure]

PART is ``ffn`` (half of the neurons, some steps of training, beside random ones), ``speed`` (what
that is worth in the ``.pte``), ``layers`` (three of six by block influence, beside all twenty
choices), ``vocabulary`` (30,522 tokens to 8,000) or ``decoder`` (the example decoder at half its
width or depth, beside the same shape from scratch).
Several of them after each other: ``benchmarks.stacked``. Texts are sentences of the docstrings of
numpy and scipy, the domain: a tenth, never scored with or trained on, measures; ``--source`` trains
on other ones. Figures are printed as Markdown with their conditions; a goal that is missed says so.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import itertools
import os
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import edgekit
from benchmarks.definitions import SOURCES, training_texts
from benchmarks.embedding_quality import Quality
from benchmarks.interleave import median, medians
from edgekit.api.prune import prune
from edgekit.runtime import open_artifact
from edgekit_converters.distill.models import opened
from edgekit_converters.prune import architecture, quality, surgeon
from edgekit_converters.prune.evidence import Evidence
from edgekit_converters.prune.scores import block_influence
from edgekit_converters.prune.subject import Subject, subject
from edgekit_converters.quiet import quiet
from edgekit_converters.source import resolve

PACKAGES = ("numpy", "scipy")
MODEL = "minilm"
KEPT_TOKENS, TOKENS = 8000, 30522
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
_HELD_OUT = 10  # one sentence of so many is never pruned with


def sentences() -> Iterator[str]:
    """Sentences of docstrings, each once, in the order of files."""
    seen = set()
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        for path in sorted(Path(spec.origin).parent.rglob("*.py")):
            if "tests" in path.parts:
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
                    continue
                for text in _SENTENCE.split(" ".join((ast.get_docstring(node) or "").split())):
                    plain = 40 <= len(text) <= 200 and ">>>" not in text and "--" not in text
                    if plain and text not in seen:
                        seen.add(text)
                        yield text


def texts(folder: Path, asked: argparse.Namespace) -> tuple[Path, Path]:
    """Two files, one text a line: to prune with, and to measure with.

    With ``--source`` the first is of other texts.
    """
    every = list(sentences())
    every = every[:: max(1, len(every) // asked.texts)]
    held = every[_HELD_OUT - 1 :: _HELD_OUT]
    held = held[:: max(1, len(held) // asked.held_out)][: asked.held_out]
    rest = [text for place, text in enumerate(every) if place % _HELD_OUT != _HELD_OUT - 1]
    given, measured = folder / "texts.txt", folder / "held-out.txt"
    said = f"sentences of the docstrings of {' and '.join(PACKAGES)}"
    words = said
    if asked.source != "domain":
        rest, words = training_texts(asked.source, asked.texts), SOURCES[asked.source]
    given.write_text("\n".join(rest), encoding="utf-8")
    measured.write_text("\n".join(held), encoding="utf-8")
    print(f"{len(rest)} {words} to prune with; {len(held)} {said} held out; one thread\n")
    return given, measured


def goal(words: str, value: float, least: float) -> None:
    """One line: reached or missed."""
    print(f"- {words}: {value:.3f}, goal {least:g}: {'reached' if value >= least else 'MISSED'}")


def _line(name: str, figures: dict[str, float] | None, *more: str) -> None:
    if figures is not None:
        cells = [f"{value:.4f}" for value in figures.values()]
        print(f"| {name} | " + " | ".join([*cells, *more]) + " |", flush=True)


def ffn(folder: Path, asked: argparse.Namespace) -> None:
    """Half of the feed-forward neurons; graded pairs as in ``benchmarks.distill``."""
    given, measured = texts(folder, asked)
    graded = Quality(opened(resolve(MODEL)))
    print("| method | spearman | cosine | graded pairs |\n|---|---|---|---|")
    like, kept = {}, {}
    methods = asked.methods.split(",")
    for number, method in enumerate([*methods, "random"]):
        record = prune(
            MODEL,
            out=folder / method,
            method=method,
            granularity="ffn",
            amount=0.5,
            data=given,
            samples=measured,
            retrain=asked.steps,
            measure=asked.measure and number == 0,
            control=False,
        ).record
        figures = record["quality"]
        kept[method] = graded.graded(opened(resolve(folder / method))) / graded.teacher
        like[method] = figures["result"]["spearman"]
        _line(f"{method}, before training", figures["before training"], "")
        _line(f"{method}, {asked.steps} steps", figures["after training"], f"{kept[method]:.2%}")
        if number == 0:
            times = record["latency"]
    best = max(methods, key=lambda name: kept[name])
    print(f"\n{times}\n")
    goal(f"speed of {times['of']}", times["before"] / times["after"], 1.35)
    goal(f"Spearman of {best} with the grades, of the original's", kept[best], 0.98)
    goal(f"points of {best} over random in that", 100 * (kept[best] - kept["random"]), 2)
    goal(f"Spearman of {best}: cosines against the original's", like[best], 0.98)
    goal(f"points of {best} over random in that", 100 * (like[best] - like["random"]), 2)


def speed(folder: Path, asked: argparse.Namespace) -> None:
    """Half of the neurons, whichever they are, in the fp32 ``.pte`` on one thread."""
    half = prune(MODEL, out=folder / "half", method="magnitude", granularity="ffn", amount=0.5)
    bundles = {
        name: edgekit.export(model, out=folder / name, quantize="none", runtimes=["executorch"])
        for name, model in (("all neurons", MODEL), ("half of them", half.path))
    }
    print("| tokens | all neurons, ms | half of them, ms | times as fast |\n|---|---|---|---|")
    for tokens in (16, 64, 128):
        calls = {name: _pass(bundle, tokens) for name, bundle in bundles.items()}
        times = [median(found) for found in medians(calls, asked.seconds).values()]
        cells = [f"{value:.2f}" for value in (*times, times[0] / times[1])]
        print(f"| {tokens} | " + " | ".join(cells) + " |", flush=True)
    print(f"\nmedians in turns, {asked.seconds:g} s a line, load {os.getloadavg()[0]:.1f}\n")
    goal("times as fast at 128 tokens", times[0] / times[1], 1.35)


def _pass(bundle: edgekit.Bundle, tokens: int) -> Callable[[], object]:
    session = open_artifact(bundle.path, bundle.manifest, "executorch", threads=1)
    ids = np.ones((1, tokens), dtype=np.int64)
    inputs = {
        spec.name: ids * (spec.name != "token_type_ids")
        for spec in bundle.manifest.signature.inputs
    }
    return lambda: session.run(inputs)


def layers(folder: Path, asked: argparse.Namespace) -> None:
    """Three of six layers, chosen by block influence, among all choices."""
    given, measured = texts(folder, asked)
    with quiet():
        original = subject(resolve(MODEL))
    now = architecture.of(original.model)
    (group,) = now.layers()
    batches = original.batches(measured.read_text("utf-8").splitlines())
    scored = original.batches(given.read_text("utf-8").splitlines()[:128])
    seen = Evidence(original.model, original.rows, False, scored)
    stack = [f"encoder.layer.{place}" for place in range(group.count)]
    influence = block_influence.layer_score(seen, stack)
    order = influence.argsort(descending=True).tolist()
    wanted = _rows(original, original.model, batches)
    found: dict[tuple[int, ...], float] = {}
    for kept in itertools.combinations(range(group.count), 3):
        made = surgeon.cut(now, [group], {group.name: kept}, {"num_hidden_layers": 3})
        found[kept] = quality.compared(_rows(original, made, batches), wanted, False)["spearman"]
    chosen = tuple(sorted(order[:3]))
    ranked = sorted(found, key=lambda kept: -found[kept])
    print("| layers kept | spearman |\n|---|---|")
    for kept in ranked[:5]:
        print(f"| {kept} | {found[kept]:.4f} |")
    print(f"| {chosen}, by block influence | {found[chosen]:.4f} |")
    print(f"| mean of all {len(found)} | {statistics.mean(found.values()):.4f} |")
    print(f"\nblock influence: {[round(float(value), 4) for value in influence]}")
    place = ranked.index(chosen) + 1
    print(f"block influence chose number {place} of {len(found)}, without training\n")
    goal("Spearman of its choice, as a share of the best", found[chosen] / found[ranked[0]], 0.99)


def _rows(original: Subject, made: Any, batches: Any) -> torch.Tensor:
    with torch.no_grad():
        return torch.cat([original.rows(made, batch) for batch in batches])


def _figures(original: Subject, made: Any, batches: Any) -> dict[str, float]:
    changed = replace(original, loaded=replace(original.loaded, model=made))
    return quality.measure(original, changed, batches, batches)


def vocabulary(folder: Path, asked: argparse.Namespace) -> None:
    """The vocabulary of a domain."""
    given, measured = texts(folder, asked)
    record = prune(
        MODEL,
        out=folder / "trimmed",
        granularity="vocab",
        amount=1 - KEPT_TOKENS / TOKENS,
        data=given,
        samples=measured,
        measure=asked.measure,
    ).record
    print("| | spearman | cosine |\n|---|---|---|")
    _line("by frequency", record["quality"]["result"])
    _line("random tokens", record["quality"]["control"]["before training"])
    print(
        f"\n{record['vocabulary']}\n{record['sizes']}\n{record['latency']}\n{record['verdict']}\n"
    )
    goal("Spearman on held-out sentences", record["quality"]["result"]["spearman"], 0.99)
    saved = 1 - record["sizes"]["after"]["file"] / record["sizes"]["before"]["file"]
    goal("share of the weights' bytes saved", saved, 0.3)


def decoder(folder: Path, asked: argparse.Namespace) -> None:
    """The example decoder at half the neurons and layers, beside the same shape from scratch."""
    from edgekit_converters.prune.retrain import retrain
    from examples.tiny_decoder import dialogues
    from examples.tiny_decoder import folder as trained

    lines = list(itertools.islice(dialogues(1), 2000))
    held = list(itertools.islice(dialogues(2, held_out=True), 100))
    given, measured = folder / "texts.txt", folder / "held-out.txt"
    given.write_text("\n".join(lines), encoding="utf-8")
    measured.write_text("\n".join(held), encoding="utf-8")
    options = {"data": given, "samples": measured, "control": False}
    first = prune(trained(), out=folder / "narrow", amount=0.5, method="obs", **options)
    second = prune(
        first.path, out=folder / "small", granularity="layer", amount=0.5, **options
    ).record
    with quiet():
        original = subject(resolve(trained()))
        small = subject(resolve(folder / "small"))
    torch.set_num_threads(1)
    batches = original.batches(held)
    torch.manual_seed(0)
    fresh = type(small.model)(small.model.config).eval()
    print(f"{second['sizes']}; {asked.steps} steps of logit distillation of 32 dialogues\n")
    print("| | perplexity |\n|---|---|")
    print(f"| original | {_figures(original, original.model, batches)['perplexity']:.3f} |")
    print(f"| pruned | {_figures(original, small.model, batches)['perplexity']:.3f} |")
    for name, made in (("pruned, trained", small.model), ("from scratch, trained", fresh)):
        changed, work = original.holding(made), folder / "training"
        retrain(changed, original, lines, asked.steps, work, rate=1e-3)
        print(f"| {name} | {_figures(original, made, batches)['perplexity']:.3f} |", flush=True)


PARTS = {
    "ffn": ffn,
    "speed": speed,
    "layers": layers,
    "vocabulary": vocabulary,
    "decoder": decoder,
}


def main() -> None:
    """Run one part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--steps", type=int, default=500, help="of training")
    parser.add_argument("--texts", type=int, default=20000, help="most sentences")
    parser.add_argument("--source", choices=["domain", *sorted(SOURCES)], default="domain")
    parser.add_argument("--held-out", type=int, default=200, help="sentences to measure with")
    parser.add_argument(
        "--methods", default="obd,taylor,obs", help="of the ffn part, beside random"
    )
    parser.add_argument("--measure", action="store_true", help="time the exported artifact")
    parser.add_argument("--seconds", type=float, default=30, help="of speed, for each length")
    asked = parser.parse_args()
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        PARTS[asked.part](Path(scratch), asked)
    print(f"\n{time.monotonic() - begin:.0f} s, {vars(asked)}")


if __name__ == "__main__":
    main()

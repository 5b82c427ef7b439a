"""What a pruning saved and what it cost, in figures and in one honest sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgekit_converters.prune import quality
from edgekit_converters.prune.request import VOCAB, Wanted
from edgekit_converters.prune.results import Figures, Result
from edgekit_converters.prune.subject import Subject

_VERSION = 1
# Two timings that differ by less are one timing twice.
_NOISE = 0.05
_STRUCTURED = {
    "element": "ffn, hidden, layer or vocab",
    "block": "ffn, hidden, layer or vocab",
}


def config(wanted: Wanted) -> dict[str, Any]:
    """The request, JSON-able; files by their names alone."""
    names = ["method", "granularity", "amount", "schedule", "retrain", "seed", "allocation"]
    names += ["lift", "repair"]
    found: dict[str, Any] = {name: getattr(wanted, name) for name in names}
    if wanted.schedule != "one-shot":
        found["rounds"] = wanted.rounds
    found["data"] = None if wanted.data is None else wanted.data.name
    return found


def record(
    original: Subject,
    wanted: Wanted,
    made: Result,
    *,
    sizes: Mapping[str, Mapping[str, int]],
    latency: Mapping[str, Any],
    samples: Mapping[str, Any],
) -> dict[str, Any]:
    """Everything measured, JSON-able.

    Args:
        original: the unpruned model.
        wanted: the request.
        made: what came of it.
        sizes: ``before`` and ``after`` -> parameters, zeros, bytes.
        latency: milliseconds ``before`` and ``after``, and of what.
        samples: what quality was measured on.
    """
    found: dict[str, Any] = {
        "schema": _VERSION,
        "model": original.loaded.source.id,
        "task": original.task,
        "config": config(wanted),
        "shape": made.sizes,
        "sizes": {name: dict(figures) for name, figures in sizes.items()},
        "latency": dict(latency),
        "quality": _quality(made),
        "samples": dict(samples),
        "rounds": made.trace,
        "repair": None if made.repair is None else made.repair.record(),
    }
    if made.vocabulary is not None:
        found["vocabulary"] = {
            "before": original.loaded.tokenizer.get_vocab_size(),
            "after": len(made.vocabulary.places),
            **made.vocabulary.coverage,
        }
    found["verdict"] = verdict(wanted, found)
    if made.repair is not None and made.repair.kept:
        gain = f"fidelity {made.repair.before:.4f} -> {made.repair.fidelity:.4f}"
        found["verdict"] += f" What stays was refitted before any training: {gain}."
    return found


def _quality(made: Result) -> dict[str, Any]:
    def both(figures: Figures) -> dict[str, Any]:
        return {"before training": figures.before, "after training": figures.after}

    return {
        "headline": quality.headline(made.figures.last),
        "original": made.original,
        "result": made.figures.last,
        **both(made.figures),
        "control": None if made.control is None else both(made.control),
    }


def verdict(wanted: Wanted, found: Mapping[str, Any]) -> str:
    """What it comes to, in a sentence or two."""
    before, after = found["sizes"]["before"], found["sizes"]["after"]
    fewer = 1 - after["parameters"] / before["parameters"]
    times = found["latency"]
    saved = times["before"] - times["after"]
    if wanted.masks:
        zeros = after["zeros"] - before["zeros"]
        smaller = 1 - after["download"] / before["download"]
        return (
            f"{zeros} weights are zero now and 0 ms are saved: {times['before']:.2f} ms before, "
            f"{times['after']:.2f} ms after ({times['of']}); kernels multiply by zeros as by "
            f"anything else. The file is as large as before, its compressed download "
            f"{smaller:.1%} smaller. For milliseconds remove shapes: --granularity "
            f"{_STRUCTURED.get(wanted.granularity, 'ffn, hidden, layer or vocab')}."
        )
    smaller = 1 - after["file"] / before["file"]
    words = f"{fewer:.1%} fewer parameters, {smaller:.1%} fewer bytes"
    if wanted.granularity == VOCAB:
        return f"{words}; a smaller table saves bytes and memory, no multiplications worth naming."
    speed = (
        "no faster within the noise"
        if abs(saved) < _NOISE * times["before"]
        else (f"{times['before'] / times['after']:.2f}x as fast")
    )
    return f"{words}, {speed} ({times['of']}, {times['tokens']} tokens, this machine)."

"""Writes job files as the device layer does, for the runner in Kotlin, and reads what it made."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.bundle import goldens, read
from edgekit.device import job, protocol, stream
from edgekit.runtime.generation.onnx import open_steps

MODES: tuple[job.Mode, ...] = ("goldens", "latency", "load")
DECODER_MODES: tuple[job.Mode, ...] = ("goldens", "load", "generate")
EVENTS = "job.events"
TOKENS = 6
# Token ids of a text, and how many of them the first pass reads.
PASSAGES = (((5, 6, 7, 8, 9, 10, 11), 3), ((200, 4), 2), ((17,), 1))
_SAMPLES = 8


def write(folder: Path, bundle: Path) -> None:
    """A folder for each mode: the job, the model and its inputs."""
    manifest = read.load_manifest(bundle)
    names = [spec.name for spec in manifest.signature.inputs]
    samples = goldens.read(bundle / manifest.goldens.file)[:_SAMPLES]
    for mode in MODES:
        here = folder / mode
        here.mkdir(parents=True)
        shutil.copyfile(bundle / "model.onnx", here / "model.onnx")
        stream.write(here / "inputs", [[one.inputs[name] for name in names] for one in samples])
        _write_job(here, mode, runs=3)


def write_decoder(folder: Path, bundle: Path) -> None:
    """The same for a decoder, whose jobs are of version 3."""
    manifest = read.load_manifest(bundle)
    assert manifest.generation is not None
    for mode in DECODER_MODES:
        here = folder / f"decoder-{mode}"
        here.mkdir(parents=True)
        shutil.copyfile(bundle / "model.onnx", here / "model.onnx")
        samples = [
            [np.array([ids]), *([np.array([first])] if mode == "goldens" else [])]
            for ids, first in PASSAGES
        ]
        stream.write(here / "inputs", samples)
        _write_job(
            here,
            mode,
            runs=2,
            context=manifest.generation.context,
            tokens=TOKENS if mode == "generate" else None,
        )


def _write_job(here: Path, mode: job.Mode, **more: Any) -> None:
    wanted = job.Job(
        mode=mode,
        model="model.onnx",
        inputs="inputs",
        outputs=None if mode == "load" else "outputs",
        runtime="onnx",
        threads=1,
        warm_ups=1,
        **more,
    )
    (here / "job").write_text(job.text(wanted), encoding="ascii")


def decoder_difference(folder: Path, bundle: Path) -> float:
    """Largest difference of the runner's logits to those of ONNX Runtime here."""
    manifest = read.load_manifest(bundle)
    steps = open_steps(bundle / "model.onnx", manifest.signature)
    worst = 0.0
    for (ids, first), [made] in zip(
        PASSAGES, stream.read(folder / "decoder-goldens/outputs"), strict=True
    ):
        wanted = [steps.feed(ids[:first], 0).ravel()]
        wanted += [steps.feed(ids[at : at + 1], at).ravel() for at in range(first, len(ids))]
        worst = max(worst, float(np.abs(made - np.array(wanted)).max()))
    return worst


def greedy_answers(bundle: Path) -> list[list[int]]:
    """The likeliest tokens after each passage, by ONNX Runtime here."""
    manifest = read.load_manifest(bundle)
    steps = open_steps(bundle / "model.onnx", manifest.signature)
    answers = []
    for ids, _ in PASSAGES:
        made = [int(steps.feed(ids, 0).argmax())]
        while len(made) < TOKENS:
            made.append(int(steps.feed(made[-1:], len(ids) + len(made) - 1).argmax()))
        answers.append(made)
    return answers


def events(folder: Path, mode: str) -> list[protocol.Event]:
    """What the runner said, each line read as a phone's is."""
    lines = (folder / mode / EVENTS).read_bytes().splitlines()
    return [protocol.parse(line) for line in lines]


def worst_difference(folder: Path, mode: str, bundle: Path) -> float:
    """Between the runner's answers and the goldens'."""
    manifest = read.load_manifest(bundle)
    wanted = goldens.read(bundle / manifest.goldens.file)[:_SAMPLES]
    made = stream.read(folder / mode / "outputs")
    return max(
        float(np.abs(one[0].ravel() - golden.expected["onnx"].ravel()).max())
        for one, golden in zip(made, wanted, strict=True)
    )

"""Writes job files as the device layer does, for the runner in Kotlin, and reads what it made."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from edgekit.bundle import goldens, read
from edgekit.device import job, protocol, stream

MODES: tuple[job.Mode, ...] = ("goldens", "latency", "load")
EVENTS = "job.events"
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
        wanted = job.Job(
            mode=mode,
            model="model.onnx",
            inputs="inputs",
            outputs=None if mode == "load" else "outputs",
            runtime="onnx",
            threads=1,
            warm_ups=1,
            runs=3,
        )
        (here / "job").write_text(job.text(wanted), encoding="ascii")


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

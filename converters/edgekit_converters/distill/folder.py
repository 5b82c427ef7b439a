"""The new folder: an ordinary Hugging Face folder with a report of how it was made."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from edgekit.bundle.canonical import dump_bytes
from edgekit_converters import describe, model_files
from edgekit_converters.distill import controls, report
from edgekit_converters.distill.controls import Run
from edgekit_converters.distill.job import Job
from edgekit_converters.distill.models import parameters
from edgekit_converters.folder import check
from edgekit_converters.training.trainer import METRICS


def facts(job: Job, runs: list[Run], name: str) -> dict[str, Any]:
    """What ``distillation.json`` says.

    Args:
        job: whose student is trained.
        runs: measured, the student's first.
        name: of the folder.
    """
    teacher, begun = job.teacher.loaded, job.begun
    return {
        "name": name,
        "task": job.teacher.task,
        "licence": teacher.licence,
        "teacher": {
            "id": teacher.source.id,
            "revision": teacher.source.revision,
            "weights_sha256": teacher.weights_sha256,
            "parameters": parameters(job.teacher.model),
        },
        "student": {
            "from": begun.words,
            "parameters": parameters(begun.taught.model),
            "bridged": begun.bridged,
            "repair": None if begun.repair is None else begun.repair.record(),
            "search": [
                {"layers": list(one.layers), "fidelity": round(one.fidelity, 5)}
                for one in begun.tried
            ],
        },
        "data": {
            "files": list(job.data.files),
            "rows": job.data.total,
            "trained_on": len(job.data.train),
            "sha256": job.data.sha256,
        },
        "config": job.wanted.record(),
        "runs": [run.record() for run in runs],
        "verdict": controls.verdict(runs),
        "toolchain": describe.toolchain(),
    }


def write(job: Job, found: dict[str, Any], folder: Path) -> None:
    """Fill a folder with the trained student, its tokenizer, its card and its record.

    Args:
        job: whose student is trained.
        found: of ``facts``.
        folder: empty.

    Raises:
        OSError: a file cannot be written.
    """
    loaded = job.begun.taught.loaded
    model_files.copy_settings(check(job.begun.source.folder), folder)
    model: Any = loaded.model
    model.config._name_or_path = ""
    model.save_pretrained(str(folder))
    for path in folder.glob("*.safetensors"):
        path.chmod(0o644)  # as every other file of the folder is
    report.write(folder, found)
    metrics = job.work / "student" / METRICS
    if metrics.is_file():
        shutil.copyfile(metrics, folder / METRICS)
    stage = {
        "stage": "distill",
        "input_sha256": job.teacher.loaded.weights_sha256,
        "config": found["config"] | {"student": found["student"]["from"], "data": found["data"]},
        "seed": job.wanted.settings.seed,
        "toolchain": found["toolchain"],
        "measured": {"runs": found["runs"], "verdict": found["verdict"]},
    }
    # A student of its own has a past of its own; any other has its teacher's.
    earlier = describe.earlier_stages(job.begun.taught.loaded)
    (folder / describe.PROVENANCE).write_bytes(dump_bytes([*earlier, stage]))
    check(folder)

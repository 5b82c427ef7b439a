"""A tuning file as ``edgekit bench --threads auto --tuning`` writes it, for Kotlin to read."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

from edgekit.bench import tuning
from edgekit.device.job import Job
from tests.bench.scripted import QUIET, ScriptedPlace, measured

AUTO = replace(QUIET, threads=None, threads_auto=True)
BEST, NEXT = 4, 2


def write(folder: Path, bundle: Path) -> Path:
    """Measure a bundle at a place that answers fastest with ``BEST`` threads, then ``NEXT``."""

    def milliseconds(job: Job) -> float:
        return 2.0 + abs((job.threads or 0) - BEST)

    folder.mkdir(parents=True)
    shutil.copytree(bundle, folder / "bundle")
    record = measured(folder, ScriptedPlace(milliseconds), AUTO)
    tuning.write(folder / "tuning.json", record)
    said = json.loads((folder / "tuning.json").read_bytes())
    (entry,) = said["bundles"].values()
    (folder / "other.json").write_text(
        json.dumps({**said, "bundles": {"other": {**entry, "digest": "0" * 64}}})
    )
    return folder / "tuning.json"

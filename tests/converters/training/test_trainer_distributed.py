"""Two processes on gloo share a batch and come to the curve of one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import clean_environment
from tests.support.models import tiny_sentence_bert
from tests.support.vocabulary import SENTENCES

ROOT = Path(__file__).parents[3]
RUN = "tests.converters.training.distributed_run"


def curve(place: Path, name: str, processes: int) -> dict[int, float]:
    words = [str(place / "teacher"), str(place / "texts.txt"), str(place / name)]
    start = [sys.executable, "-m", RUN]
    if processes > 1:
        start = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        start += [f"--nproc_per_node={processes}", "-m", RUN]
    cache = {"XDG_CACHE_HOME": str(place / f"cache-{name}")}
    cache["HF_DATASETS_CACHE"] = str(place / f"datasets-{name}")
    done = subprocess.run(
        [*start, *words],
        cwd=ROOT,
        env=clean_environment(OMP_NUM_THREADS="1", **cache),
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads((place / name / "processes.json").read_text()) == processes
    lines = (place / name / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    entries = [json.loads(line) for line in lines]
    return {entry["step"]: entry["loss"] for entry in entries if "loss" in entry}


@pytest.mark.slow
@pytest.mark.long
def test_two_processes_and_one_have_the_same_curve(tmp_path: Path) -> None:
    tiny_sentence_bert(tmp_path / "teacher", num_hidden_layers=4)
    texts = [f"{one[:-1]} and {other}" for one in SENTENCES for other in SENTENCES[:4]]
    (tmp_path / "texts.txt").write_text("\n".join(texts), encoding="utf-8")
    one, two = curve(tmp_path, "one", 1), curve(tmp_path, "two", 2)
    assert list(one) == list(two) == list(range(1, 13))
    assert max(abs(one[step] - two[step]) for step in one) < 1e-3
    assert one[12] < one[1] - 0.05

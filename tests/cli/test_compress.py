"""``edgekit compress`` as a user starts it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from edgekit_converters.compress.job import WORK
from tests.conftest import Program, clean_environment
from tests.support.models import tiny_sentence_bert
from tests.support.training import TEXTS, environment

RECIPE = """
[[stages]]
kind = "prune"
amount = 0.5
method = "magnitude"
control = false

[[stages]]
kind = "prune"
granularity = "vocab"
amount = 0.3
control = false

[[stages]]
kind = "distill"
layers = 1
steps = {steps}
batch = 8
controls = false

[[stages]]
kind = "quantize"
scheme = "int8-int4"
scaling = "none"
rounding = "nearest"

[export]
runtimes = ["onnx"]
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    tiny_sentence_bert(tmp_path / "model", intermediate_size=256)
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    return tmp_path


def words(place: Path, steps: int = 4, *more: str) -> list[str]:
    (place / "recipe.toml").write_text(RECIPE.format(steps=steps), encoding="utf-8")
    return ["compress", "model", "--recipe", "recipe.toml", "--data", "texts.txt", *more]


def test_a_mistake_costs_nothing(edgekit: Program, place: Path) -> None:
    line = words(place)
    text = (place / "recipe.toml").read_text(encoding="utf-8")
    (place / "recipe.toml").write_text(text.replace("batch", "bach"), encoding="utf-8")
    done = edgekit(*line, "--json", env=environment(place))
    assert done.returncode == 64, done.stderr
    error = json.loads(done.stdout)["error"]
    assert "stage 3, distill: recipe.toml: unknown key 'bach'" in error["message"]
    assert error["hint"] == "Did you mean 'batch'?"
    names = {path.name for path in place.iterdir()}
    assert names == {"model", "texts.txt", "recipe.toml", "cache"}


@pytest.mark.slow
def test_killed_between_stages_it_goes_on_and_comes_to_a_bundle(
    edgekit: Program, place: Path
) -> None:
    line = words(place, 100_000, "-o", "small")
    work = place / f"small{WORK}"
    command = [sys.executable, "-m", "edgekit", *line]
    with subprocess.Popen(
        command, cwd=place, env=clean_environment(**environment(place)), stderr=subprocess.DEVNULL
    ) as process:
        until = time.monotonic() + 200
        while not list(work.glob("3-distill-*/*.training")):
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
    assert not (place / "small").exists()
    first = {path.name: made(path) for path in work.glob("[012]-*")}
    assert [name[0] for name in sorted(first)] == ["0", "1", "2"]
    # Fewer steps: another third stage; the whole ones before it are the same.
    done = edgekit(
        *words(place, 4, "-o", "small"), "--keep-stages", "--json", env=environment(place)
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("done by an earlier run") == 2
    assert {path.name: made(path) for path in work.glob("[012]-*")} == first
    check_document(json.loads(done.stdout), place)
    check_provenance(place / "small")
    # Everything is there: the same again makes nothing but the bundle, and sweeps.
    again = edgekit(*words(place, 4, "-o", "small"), "--force", env=environment(place))
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("done by an earlier run") == 4
    assert not work.exists()
    rows = [row.split() for row in again.stdout.splitlines()]
    assert [row[0] for row in rows if row[1:2] in (["prune"], ["distill"])] == ["1", "2", "3"]
    assert "edgekit verify small" in again.stdout
    verified = edgekit("verify", "small", env=environment(place))
    assert verified.returncode == 0, verified.stderr


def made(folder: Path) -> list[tuple[str, int]]:
    """Every file of a stage and when it was written."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return [(path.name, path.stat().st_mtime_ns) for path in files]


def check_document(document: dict[str, Any], place: Path) -> None:
    """Each stage is smaller than the one before, and the figures are of the files."""
    record = document["record"]
    lines = record["stages"]
    assert [line["after"] for line in lines] == [
        "original",
        "1 prune",
        "2 prune",
        "3 distill",
        "4 quantize",
    ]
    sizes = [line["bytes"] for line in lines]
    assert sizes == sorted(sizes, reverse=True)
    assert len({line["parameters"] for line in lines}) == 4
    assert lines[0]["fidelity"] == pytest.approx(1.0)
    assert all(-1 <= line["fidelity"] < 1 for line in lines[1:4])
    assert "fidelity" not in lines[4]
    (artifact,) = record["artifacts"]
    assert artifact["bytes"] == (place / "small" / "model.onnx").stat().st_size
    whole = next(place.glob(f"small{WORK}/0-fp32-*/model/model.onnx")).stat().st_size
    assert artifact["share"] == artifact["bytes"] / whole
    assert artifact["share"] < 0.5
    assert artifact["worst cosine"] <= artifact["mean cosine"] <= 1
    # int8 changes little of what the stages before left.
    assert artifact["fidelity"] == pytest.approx(lines[3]["fidelity"], abs=0.1)
    assert record["rows"]["trained on"] + record["rows"]["held out"] == len(set(TEXTS))
    assert not record["rows"]["built in"]


def check_provenance(bundle: Path) -> None:
    manifest = json.loads((bundle / "edgekit.json").read_bytes())
    stages = [stage["stage"] for stage in manifest["provenance"]]
    assert stages == ["prune", "prune", "distill", "quantize", "export"]
    assert manifest["base_model"]["id"] == "model"

"""``edgekit compare`` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgekit.device.job import Job
from tests.bench.scripted import COOL, ScriptedPlace, measured
from tests.conftest import Program


def slow(job: Job) -> float:
    return 2.6 if job.inputs.endswith("-16") else 2.0


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """base.json, same.json, slow.json, hot.json and other.json in one folder."""
    home = tmp_path_factory.mktemp("records")
    places = {
        "base": ScriptedPlace(),
        "same": ScriptedPlace(seed=1),
        "slow": ScriptedPlace(slow, seed=2),
        "hot": ScriptedPlace(health=[COOL, {**COOL, "thermal_status": 3}]),
        "other": ScriptedPlace(environment={"machine": "another", "processors": 4}),
    }
    for name, place in places.items():
        measured(home / name, place)
        (home / name / "record.json").rename(home / f"{name}.json")
    return home


def test_no_difference(edgekit: Program, records: Path) -> None:
    done = edgekit("compare", records / "base.json", records / "same.json")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("no difference seen") == 2 * 4 + 2
    assert "slower" not in done.stdout


def test_a_regression_exits_1_and_names_the_setting(edgekit: Program, records: Path) -> None:
    done = edgekit("compare", records / "base.json", records / "slow.json")
    assert done.returncode == 1
    assert "model.pte, 16 tokens, 2 threads: 1.30x" in done.stderr
    assert "hint:" in done.stderr
    assert done.stdout.count("slower") == 2  # every row is shown before the failure
    assert "no difference seen" in done.stdout
    back = edgekit("compare", records / "slow.json", records / "base.json")
    assert back.returncode == 0
    assert back.stdout.count("faster") == 2


def test_json_is_one_document(edgekit: Program, records: Path) -> None:
    done = edgekit("compare", records / "base.json", records / "slow.json", "--json")
    assert done.returncode == 1
    document = json.loads(done.stdout)
    assert document["error"]["code"] == "regression"
    assert len(document["regressions"]) == 2
    words = {row["verdict"] if "verdict" in row else row["word"] for row in document["rows"]}
    assert words == {"slower", "no difference seen"}
    same = json.loads(
        edgekit("compare", records / "base.json", records / "same.json", "--json").stdout
    )
    assert same["regressions"] == []


@pytest.mark.parametrize(
    ("second", "status", "said"),
    [
        ("other.json", 64, "machine is scripted and another"),
        ("hot.json", 75, "nothing can be compared"),
        ("none.json", 66, "no such record"),
    ],
)
def test_refusals(edgekit: Program, records: Path, second: str, status: int, said: str) -> None:
    done = edgekit("compare", records / "base.json", records / second)
    assert done.returncode == status
    assert said in done.stderr
    assert done.stdout == ""


def test_force_says_what_it_overlooks(edgekit: Program, records: Path) -> None:
    done = edgekit("compare", records / "base.json", records / "other.json", "--force")
    assert done.returncode == 0, done.stderr
    assert "overlooked: machine is scripted and another" in done.stdout
    assert "overlooked: blocks that do not count" in done.stdout


def test_the_rule_is_in_the_help(edgekit: Program) -> None:
    said = " ".join(edgekit("compare", "--help").stdout.split())
    assert "the 95 % interval of the ratio of medians leaves out 1" in said
    assert "more than 3 % (10 % when a run was --quick)" in said
    assert "the range of block medians of the one plus that of the other" in said

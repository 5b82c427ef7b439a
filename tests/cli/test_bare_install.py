"""edgekit installed without extras: torch and its companions are truly not importable here."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

import edgekit
from edgekit.doctor.packages import canonical, explain_import_error, requirements
from tests.conftest import Completed, clean_environment

REPOSITORY = Path(edgekit.__file__).parents[1]
Bare = Callable[..., Completed]


def closure(names: tuple[str, ...]) -> set[str]:
    """Packages with all that they need, extras aside."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = canonical(waiting.pop())
        if name in found:
            continue
        try:
            needs = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        found.add(name)
        matches = (re.match(r"[\w.-]+", need) for need in needs if "extra ==" not in need)
        waiting += [match.group() for match in matches if match]
    return found


@pytest.fixture(scope="session")
def bare_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with links to what a bare ``pip install edgekit`` brings, and nothing else."""
    site = tmp_path_factory.mktemp("site")
    # First: an editable install has a folder of the same name beside it, for the app's sources.
    for package in (REPOSITORY / "edgekit", REPOSITORY / "converters" / "edgekit_converters"):
        (site / package.name).symlink_to(package)
    for name in {"edgekit", *closure(requirements()[""])}:
        distribution = metadata.distribution(name)
        tops = {Path(file).parts[0] for file in distribution.files or []}
        for top in tops - {"..", "__pycache__"}:
            source = Path(str(distribution.locate_file(top)))
            link = site / top
            if source.exists() and source.suffix != ".pth" and not link.exists():
                link.symlink_to(source)
    return site


@pytest.fixture
def bare(bare_site: Path, tmp_path: Path) -> Bare:
    def run(*words: str | Path) -> Completed:
        return subprocess.run(
            # -S keeps the virtual environment's own packages out.
            [sys.executable, "-S", "-m", "edgekit", *map(str, words)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=clean_environment(PYTHONPATH=str(bare_site)),
            timeout=60,
            check=False,
        )

    return run


def test_help_works(bare: Bare) -> None:
    assert bare("--help").returncode == 0


def test_export_names_the_command_that_helps(bare: Bare) -> None:
    done = bare("export", "minilm", "--json")
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["code"]) == (69, "unavailable")
    assert "pip install 'edgekit[" in error["hint"]
    assert "Traceback" not in done.stderr


def test_export_of_a_folder_needs_the_convert_extra(bare: Bare, tmp_path: Path) -> None:
    from tests.support.models import tiny_bert

    model = tiny_bert(tmp_path / "model")
    done = bare("export", model, "-o", "out", "--json")
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["code"]) == (69, "unavailable")
    assert "pip install 'edgekit[convert]'" in error["hint"]
    assert os.listdir(tmp_path) == ["model"]


def test_doctor_says_what_is_missing_and_exits_69(bare: Bare) -> None:
    done = bare("doctor", "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 69
    assert report["can_export"] is False
    checks = {(check["group"], check["name"]): check for check in report["checks"]}
    torch = checks["packages", "torch"]
    assert (torch["status"], torch["fix"]) == ("missing", "pip install 'edgekit[convert]'")
    assert checks["packages", "click"]["status"] == "ok"
    assert checks["extras", "convert"]["status"] == "missing"
    assert checks["extras", "demo"]["status"] == "absent"


def test_doctor_in_words(bare: Bare) -> None:
    done = bare("doctor")
    assert done.returncode == 69
    assert "edgekit export cannot run here" in done.stdout
    assert "pip install 'edgekit[convert]'" in done.stdout


def test_a_module_that_is_ours_is_our_bug() -> None:
    missing = ModuleNotFoundError("No module named 'edgekit.nonsense'", name="edgekit.nonsense")
    assert explain_import_error(missing) is None


def test_a_library_that_cannot_load_is_not_called_missing(tmp_path: Path) -> None:
    broken = tmp_path / "broken_native.so"
    broken.write_bytes(b"no library")
    sys.path.insert(0, str(tmp_path))
    try:
        with pytest.raises(ImportError) as caught:
            __import__("broken_native")
    finally:
        sys.path.remove(str(tmp_path))
    explained = explain_import_error(caught.value)
    assert explained is not None
    assert "cannot be loaded" in explained.message
    assert "edgekit doctor" in explained.hint


def test_tools_that_are_not_on_the_path_are_absent(bare_site: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-S", "-m", "edgekit", "doctor", "--json"],
        capture_output=True,
        text=True,
        env=clean_environment(
            PATH=str(tmp_path), PYTHONPATH=str(bare_site), EDGEKIT_HOME=str(tmp_path / "cache")
        ),
        check=False,
    )
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert checks["cross compiler"]["fix"] == "sudo apt-get install g++-aarch64-linux-gnu"
    assert checks["qemu-user"]["status"] == "absent"
    assert checks["arm64 runners"]["fix"] == "edgekit runner build"
    assert checks["cache folder"]["found"] == str(tmp_path / "cache")
    assert not os.path.exists(tmp_path / "cache")

"""The Makefile's own logic, in a copy of the repository whose path has spaces in it.

Installing for real belongs to CI. Here a stand-in takes the place of the interpreter and writes
down what it is asked to do; make, the shell and the files are real.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.test_house import ROOT, files_of

Completed = subprocess.CompletedProcess[str]

# -m venv DIR puts a copy of itself there, as Python does; anything else is only written down.
STAND_IN = """#!/bin/sh
echo "$@" >> "$CALLS"
case "$*" in
  *"install"*) exit "${INSTALL_STATUS:-0}" ;;
  --version) echo "Python 3.9.2" ;;
  "-c import ensurepip, venv") exit "${NO_VENV:-0}" ;;
  "-c import sys;"*) exit "${TOO_OLD:-0}" ;;
  "-m venv --clear .venv") mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    copy = tmp_path / "a checkout with spaces"
    for name, path in files_of(ROOT).items():
        target = copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
    return copy


class Make:
    """Runs make in a folder, and knows what the interpreter was asked for."""

    def __init__(self, home: Path) -> None:
        self.calls = home / "calls.txt"
        self.python = home / "python-stand-in"
        self.python.write_text(STAND_IN)
        self.python.chmod(0o755)

    def __call__(self, folder: Path, *words: str, **environment: str) -> Completed:
        self.calls.write_text("")
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
        return subprocess.run(
            ["make", f"PYTHON={self.python}", *words],
            cwd=folder,
            env={**inherited, "CALLS": str(self.calls), **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def asked(self, part: str) -> bool:
        return part in self.calls.read_text()


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return Make(tmp_path)


@pytest.mark.parametrize(
    "target", ["help", "demo", "test", "test-slow", "test-all", "check", "docs", "clean"]
)
def test_every_target_can_be_planned(target: str, checkout: Path, make: Make) -> None:
    done = make(checkout, "-n", target)
    assert done.returncode == 0, done.stderr
    assert not make.calls.read_text()
    assert not (checkout / ".venv").exists()


def test_the_first_demo_installs_and_the_second_does_not(checkout: Path, make: Make) -> None:
    first = make(checkout, "-j4", "demo")
    assert first.returncode == 0, first.stderr
    assert "about 3 GB" in first.stdout
    assert make.asked("-c edgekit/constraints.txt -e .[all]")
    assert make.asked("examples/demo.py")
    second = make(checkout, "-j4", "demo")
    assert second.returncode == 0, second.stderr
    assert make.calls.read_text().strip() == "examples/demo.py"


def test_tests_get_their_own_tools(checkout: Path, make: Make) -> None:
    make(checkout, "demo")
    assert make(checkout, "test").returncode == 0
    assert make.asked("-e .[all,dev]")
    assert make.asked("--dist loadfile -m not slow")
    make(checkout, "test")
    assert make.calls.read_text().strip().endswith("-m not slow")


@pytest.mark.parametrize("name", ["pyproject.toml", "edgekit/constraints.txt"])
def test_changed_requirements_are_installed(name: str, checkout: Path, make: Make) -> None:
    make(checkout, "demo")
    stamp = (checkout / ".venv" / "installed-all").stat().st_mtime
    os.utime(checkout / name, (stamp + 5, stamp + 5))
    make(checkout, "demo")
    assert make.asked("-e .[all]")


def test_a_moved_checkout_is_installed_again(checkout: Path, make: Make) -> None:
    make(checkout, "demo")
    moved = checkout.rename(checkout.with_name("elsewhere"))
    make(moved, "demo")
    assert make.asked("-e .[all]")
    make(moved, "demo")
    assert not make.asked("-e .[all]")


def test_a_failed_installation_fails_and_is_tried_again(checkout: Path, make: Make) -> None:
    done = make(checkout, "demo", INSTALL_STATUS="1")
    assert done.returncode == 2
    assert not make.asked("examples/demo.py")
    assert make(checkout, "demo").returncode == 0
    assert make.asked("-e .[all]")


def test_an_old_python_is_told(checkout: Path, make: Make) -> None:
    done = make(checkout, "demo", TOO_OLD="1")
    assert done.returncode == 2
    assert "Python 3.11 or later" in done.stderr
    assert "Python 3.9.2" in done.stderr
    assert not (checkout / ".venv").exists()


def test_a_python_without_venv_is_told(checkout: Path, make: Make) -> None:
    done = make(checkout, "demo", NO_VENV="1")
    assert done.returncode == 2
    assert "apt-get install python3-venv" in done.stderr
    assert not (checkout / ".venv").exists()


def test_clean_keeps_the_environment(checkout: Path, make: Make) -> None:
    make(checkout, "demo")
    (checkout / "build" / "page").mkdir(parents=True)
    (checkout / "edgekit" / "__pycache__").mkdir()
    (checkout / ".venv" / "__pycache__").mkdir()
    assert make(checkout, "clean").returncode == 0
    assert not (checkout / "build").exists()
    assert not (checkout / "edgekit" / "__pycache__").exists()
    assert (checkout / ".venv" / "__pycache__").exists()


@pytest.mark.parametrize("broken", [False, True])
def test_a_page_is_replaced_whole_or_not_at_all(broken: bool, checkout: Path, make: Make) -> None:
    make(checkout, "demo")
    python = checkout / ".venv" / "bin" / "python"
    python.write_text(f"#!/bin/sh\necho new page\nexit {int(broken)}\n")
    old = (checkout / "docs" / "cli.md").read_text()
    assert make(checkout, "docs").returncode == (2 if broken else 0)
    assert (checkout / "docs" / "cli.md").read_text() == (old if broken else "new page\n")


def test_ci_is_a_sound_script() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    done = subprocess.run(["bash", "-n", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

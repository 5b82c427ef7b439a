"""Fixtures that many tests share: the program as a user starts it, and small real bundles."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

Completed = subprocess.CompletedProcess[str]
Program = Callable[..., Completed]

# Nothing of the developer's own set-up may decide a test.
_DROPPED = ("NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "PYTHONWARNINGS", "COLUMNS", "TERM")


def clean_environment(**more: str) -> dict[str, str]:
    """This process's environment without what changes output, and with ``more``."""
    kept = {name: value for name, value in os.environ.items() if name not in _DROPPED}
    return {**kept, "PYTHONUTF8": "1", "HF_HUB_OFFLINE": "1", **more}


@pytest.fixture
def edgekit(tmp_path: Path) -> Program:
    """Run ``python -m edgekit WORDS`` in an empty folder; stdin is empty unless given."""

    def run(
        *words: str | Path,
        stdin: str = "",
        env: Mapping[str, str] | None = None,
        timeout: float = 300,
    ) -> Completed:
        return subprocess.run(
            [sys.executable, "-m", "edgekit", *map(str, words)],
            input=stdin,
            capture_output=True,
            text=True,
            encoding="utf-8",
            cwd=tmp_path,
            env=clean_environment(**(env or {})),
            timeout=timeout,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def tiny_bundles(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Task -> a small bundle of a random model, made by the real pipeline. Only read it."""
    from tests.support.bundles import bundle

    home = tmp_path_factory.mktemp("bundles")
    more = {task: bundle(task, home) for task in ("text-classification", "fill-mask")}
    return {"sentence-similarity": tiny_bundle, **more}


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sentence-similarity bundle of ``tiny_bundles``. Copy it before changing it."""
    from tests.support.bundles import bundle

    return bundle("sentence-similarity", tmp_path_factory.mktemp("bundle"))

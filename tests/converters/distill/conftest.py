"""A tiny sentence encoder to learn from, and texts; caches of these tests alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit_converters.distill.models import Taught, opened
from edgekit_converters.source import resolve
from tests.support.models import tiny_sentence_bert
from tests.support.vocabulary import SENTENCES

TEXTS = [f"{one[:-1]} and {other}" for one in SENTENCES for other in SENTENCES[:5]]


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing that an earlier run kept may decide a test."""
    place = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(place))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", place / "datasets")
    return place


@pytest.fixture(scope="session")
def teacher_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four layers, 64 wide, random; only read it."""
    return tiny_sentence_bert(tmp_path_factory.mktemp("teacher") / "model", num_hidden_layers=4)


@pytest.fixture
def teacher(teacher_folder: Path) -> Taught:
    return opened(resolve(teacher_folder))


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(TEXTS), encoding="utf-8")
    return path

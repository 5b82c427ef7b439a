"""A tiny sentence encoder, texts, and recipes; caches of these tests alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edgekit_converters.prune.subject import Subject, subject
from edgekit_converters.source import resolve
from tests.support.models import tiny_sentence_bert
from tests.support.vocabulary import SENTENCES

TEXTS = [f"{one[:-1]} and {other}" for one in SENTENCES for other in SENTENCES[:5]]


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that an earlier run kept may decide a test."""
    place = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(place))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", place / "datasets")


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four layers, 64 wide, 256 neurons, random; only read it."""
    folder = tmp_path_factory.mktemp("compress") / "model"
    return tiny_sentence_bert(folder, num_hidden_layers=4, intermediate_size=256)


@pytest.fixture(scope="session")
def original(model: Path) -> Subject:
    return subject(resolve(model))


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(TEXTS), encoding="utf-8")
    return path


@pytest.fixture
def recipe(tmp_path: Path) -> Callable[[str], Path]:
    """Write a recipe."""

    def written(text: str) -> Path:
        path = tmp_path / "recipe.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return written

"""Small models and small data to tune them on."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest

from edgekit_converters.tune.job import tune
from edgekit_converters.tune.options import options_from
from edgekit_converters.tune.record import Tuned

Tune = Callable[..., Tuned]

THINGS = ("book", "letter", "train", "phone", "guitar", "film", "screen", "battery", "dog", "city")
PATTERNS = {
    "good": ("i really liked this {}", "the {} was wonderful", "a good {}"),
    "bad": ("the {} is terrible", "i want my money back, the {} is bad", "bad {}"),
    "late": ("the {} leaves at seven", "when is the {} at home tonight", "{} in the morning"),
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path / "cache"


@pytest.fixture
def tuned(tmp_path: Path) -> Tune:
    """Tune a folder on rows: seconds."""

    def tuned(model: Path | str, rows: list[dict[str, Any]], **options: Any) -> Tuned:
        path = write_rows(tmp_path / "rows.jsonl", rows)
        fast = {"steps": 30, "learning_rate": 3e-3, "batch": 8, "patience": 0}
        out = options.pop("out", tmp_path / "tuned")
        force = options.pop("force", False)
        return tune(model, options_from({"data": path, **fast, **options}), out=out, force=force)

    return tuned


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def reviews(count: int = 60, seed: int = 0) -> list[dict[str, Any]]:
    """Texts of three classes that their words tell apart."""
    draw = random.Random(seed)
    made = []
    for _ in range(count):
        label = draw.choice(sorted(PATTERNS))
        text = draw.choice(PATTERNS[label]).format(draw.choice(THINGS))
        made.append({"text": f"{text} {draw.choice(THINGS)}", "label": label})
    return made


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return dict(load_file(folder / "model.safetensors"))

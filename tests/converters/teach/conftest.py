"""An endpoint that answers sums, and a way to ask it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edgekit_converters.teach.job import Taught, teach
from edgekit_converters.teach.options import options_from
from tests.support.endpoint import Endpoint, serving

KEY = "sk-test-4f9d2c7e81ab"
Ask = Callable[..., Taught]


def adds(messages: list[dict[str, str]]) -> str:
    """The sum that the last message asks for, in the form that it asks for."""
    asked = messages[-1]["content"]
    numbers = [int(one) for one in re.findall(r"\d+", asked.split("\n\n")[0])]
    if "Reasoning:" in asked:
        return f"Reasoning: {' and '.join(map(str, numbers))} are added.\nAnswer: {sum(numbers)}"
    if "label alone" in asked:
        return "**Even**." if sum(numbers) % 2 == 0 else "odd"
    return f"The sum is {sum(numbers)}."


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with serving(adds) as found:
        yield found


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.txt"
    path.write_text("1 + 2?\n3 + 3?\n10 + 5?\n1 + 2?\n")
    return path


@pytest.fixture
def ask(endpoint: Endpoint, prompts: Path, tmp_path: Path) -> Ask:
    """Ask the endpoint the prompts."""

    def ask(progress: Any = None, **options: Any) -> Taught:
        usual = {"endpoint": endpoint.url, "model": "big", "prompts": prompts, "retries": 3}
        # Sums of small numbers are too alike for the usual share.
        usual |= {"out": tmp_path / "data.jsonl", "near": 1.0}
        return teach(options_from({**usual, **options}), progress)

    return ask


def rows(path: Path | None) -> list[dict[str, Any]]:
    assert path is not None
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

"""``edgekit run`` for tasks with more than a text: what a person reads, and the JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from edgekit.cli import queries
from edgekit.errors import InputRefused, TextRefused
from tests.conftest import Program
from tests.converters.tasks.conftest import Made
from tests.support.refusals import refused

PASSAGE = "The train to the coast leaves at seven in the morning."


def test_a_question_about_a_file(
    made: Callable[..., Made], edgekit: Program, tmp_path: Path
) -> None:
    bundle = made("question-answering").bundle.path
    (tmp_path / "passage.txt").write_text(PASSAGE, encoding="utf-8")
    for given in ("passage.txt", PASSAGE):
        done = edgekit("run", bundle, "When?", "--context", given, "--top-k", "2", "--json")
        assert done.returncode == 0, done.stderr
        (answer,) = json.loads(done.stdout)["answers"]
        assert len(answer["answers"]) == 2
        for span in answer["answers"]:
            assert PASSAGE[span["start"] : span["end"]] == span["answer"]
    shown = edgekit("run", bundle, "When?", "--context", PASSAGE, "--top-k", "2").stdout
    assert "[1] When?" in shown
    assert f"({span['start']}-{span['end']})" in shown
    assert "no answer" in shown


def test_entities(made: Callable[..., Made], edgekit: Program) -> None:
    bundle = made("token-classification").bundle
    text = "Nous avons mangé une très bonne soupe."
    done = edgekit("run", bundle.path, text, "--aggregation", "simple")
    assert done.returncode == 0, done.stderr
    (answer,) = bundle.run([text], aggregation="simple")
    for entity in answer["entities"]:
        assert entity["word"] in done.stdout
        assert f"({entity['start']}-{entity['end']})" in done.stdout


@pytest.mark.parametrize(
    ("task", "options", "key"),
    [
        ("multiple-choice", ["--choices", '["one, two", "three"]'], "choice"),
        ("zero-shot-classification", ["--labels", "travel, music", "--multi-label"], "label"),
    ],
)
def test_words_of_your_own(
    task: str, options: list[str], key: str, made: Callable[..., Made], edgekit: Program
) -> None:
    bundle = made(task).bundle.path
    names = ["one, two", "three"] if key == "choice" else ["travel", "music"]
    done = edgekit("run", bundle, PASSAGE, *options, "--json")
    assert done.returncode == 0, done.stderr
    (answer,) = json.loads(done.stdout)["answers"]
    assert {entry[key] for entry in answer[f"{key}s"]} == set(names)
    shown = edgekit("run", bundle, PASSAGE, *options).stdout
    assert all(name in shown for name in names)


@pytest.mark.parametrize(
    ("task", "options", "status", "said"),
    [
        ("question-answering", [], 64, "--context"),
        ("question-answering", ["--context", "a", "--labels", "b"], 64, "takes no labels"),
        ("question-answering", ["--context", " "], 65, "empty"),
        ("zero-shot-classification", ["--labels", ","], 2, "names nothing"),
        ("zero-shot-classification", ["--labels", "[1]"], 2, "not a JSON list"),
        ("zero-shot-classification", ["--labels", "a", "--template", "b"], 64, "no place"),
        ("multiple-choice", ["--choices", "one"], 64, "one choice"),
    ],
)
def test_what_does_not_fit(
    task: str,
    options: list[str],
    status: int,
    said: str,
    made: Callable[..., Made],
    edgekit: Program,
) -> None:
    done = edgekit("run", made(task).bundle.path, PASSAGE, *options)
    assert done.returncode == status, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_passage(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(b"\xef\xbb\xbfA b\xc3\xa4r.")
    assert queries.passage(str(file)) == "A bär."
    texts: tuple[Any, ...] = (None, "no such file", "x" * 5000, "a\0b", str(tmp_path))
    for text in texts:
        assert queries.passage(text) == text
    file.write_bytes(b"\xff\xfe")
    refused(InputRefused, 65, "a.txt", lambda: queries.passage(str(file)))
    file.write_bytes(b"x" * (queries.LARGEST_PASSAGE + 1))
    refused(InputRefused, 65, "a.txt", lambda: queries.passage(str(file)))


def test_listed_words() -> None:
    assert queries.listed("labels", None) == ()
    assert queries.listed("labels", " a ,b,,a") == ("a", "b")
    assert queries.listed("labels", '["a, b", "c"]') == ("a, b", "c")
    for wrong in ("[", '["a", 1]', "[]", " ", "[" * 100_000):
        with pytest.raises(click.UsageError, match="--labels"):
            queries.listed("labels", wrong)


def test_a_text_that_is_not_unicode(made: Callable[..., Made]) -> None:
    run = made("question-answering").bundle.run
    refused(TextRefused, 65, "Unicode", lambda: run(["Who?"], context="a\ud800"))

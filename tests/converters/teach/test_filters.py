"""What is dropped from rows that a teacher wrote, and why."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgekit.errors import CheckFailed, InputMissing, InputRefused, SpecError
from edgekit_converters.teach import filters
from edgekit_converters.teach.job import Taught, teach
from edgekit_converters.teach.options import options_from
from tests.support.refusals import refused

Clean = Callable[..., Taught]
GOOD = "The quick brown fox jumps over the lazy dog near the river bank every single day"


@pytest.fixture
def clean(tmp_path: Path) -> Clean:
    """Clean a file of rows."""

    def clean(rows: list[dict[str, Any]], **options: Any) -> Taught:
        path = tmp_path / "rows.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return teach(options_from({"clean": path, "out": tmp_path / "out.jsonl", **options}))

    return clean


def kept(made: Taught) -> list[dict[str, Any]]:
    assert made.path is not None
    return [json.loads(line) for line in made.path.read_text(encoding="utf-8").splitlines()]


def pair(answer: str, prompt: str = "a question") -> dict[str, Any]:
    return {"prompt": prompt, "completion": answer}


def test_every_filter_by_its_order() -> None:
    assert filters.names() == ["length", "refusal", "script", "contamination", "duplicate"]


def test_rows_stay_as_they_are(clean: Clean) -> None:
    rows = [
        {"text": "Ünïcode stays", "label": 3, "more": {"a": [1, None]}},
        {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "yes"}]},
    ]
    made = clean(rows)
    assert kept(made) == rows
    assert "Ünïcode" in made.path.read_text(encoding="utf-8")
    assert made.report == {"rows": 2, "came_in": 2, "dropped": {}, "dropped_rows": []}


def test_length(clean: Clean) -> None:
    rows = [pair("no"), pair("just right"), pair("far too long an answer for this")]
    made = clean(rows, min_characters=3, max_characters=12)
    assert kept(made) == rows[1:2]
    assert made.report["dropped_rows"] == [
        {"row": 1, "by": "length", "why": "2 characters"},
        {"row": 3, "by": "length", "why": "31 characters"},
    ]


REFUSALS = [
    "I'm sorry, but I can't help with that.",
    "I\u2019m unable to provide medical advice.",
    "As an AI language model, I do not have opinions.",
    "Sorry, I cannot do that.",
    "Unfortunately, I am not able to open links.",
    "I cannot assist with this request.",
    "I won't answer that question.",
]
ANSWERS = [
    "Sorry is a word of apology.",
    "I can help you with the lamp.",
    "The assistant said it cannot help; that was in 1999.",
    "Unfortunately the train was late.",
    "Apologies are due at the end of the letter.",
    "A cat cannot swim for long.",
]


def test_refusals(clean: Clean) -> None:
    made = clean([pair(text, text) for text in (*REFUSALS, *ANSWERS)], near=1)
    assert [row["completion"] for row in kept(made)] == ANSWERS
    assert made.report["dropped"] == {"refusal": len(REFUSALS)}


def test_script(clean: Clean) -> None:
    rows = [
        pair("Das ist schön und gut"),
        pair("\u042d\u0442\u043e \u043f\u0440\u0435\u043a\u0440\u0430\u0441\u043d\u043e"),
        pair("42 + 7 = 49"),
        pair("The letter \u0436 is Cyrillic"),
    ]
    made = clean(rows, script="Latin")
    assert kept(made) == [rows[0], rows[2], rows[3]]
    assert made.report["dropped_rows"][0]["why"] == "0% of the letters are Latin"
    refused(SpecError, 64, "no script 'Klingon'", lambda: clean(rows, script="Klingon", force=True))


def test_near_duplicates(clean: Clean) -> None:
    rows = [
        pair(GOOD),
        pair("Something else altogether is written here for once"),
        pair(GOOD.replace("quick", "Quick,") + "!"),
        pair(f"{GOOD} again"),
        pair("A fox jumps over a river and a dog sleeps"),
    ]
    made = clean(rows)
    assert kept(made) == [rows[0], rows[1], rows[4]]
    assert all("The quick brown" in one["why"] for one in made.report["dropped_rows"])
    assert kept(clean(rows, near=1, force=True)) == [rows[0], rows[1], rows[3], rows[4]]


def test_thousands_of_rows_and_every_copy_found(clean: Clean) -> None:
    rows = [pair(f"row {n} has its own words {n * 7} {n * 13} {n % 11} here") for n in range(400)]
    copies = [pair(f"Row {n} has its own words {n * 7} {n * 13} {n % 11} here.") for n in range(60)]
    made = clean([*rows, *copies], near=0.95)
    assert kept(made) == rows
    assert made.report["dropped"] == {"duplicate": 60}


def test_contamination(clean: Clean, tmp_path: Path) -> None:
    evaluation = tmp_path / "eval.csv"
    evaluation.write_text(f'text,label\n"{GOOD}",yes\nshort but whole question,no\nyes,no\n')
    rows = [
        pair(f"He said: {GOOD.upper()} or so"),
        pair("Is this a short, but whole question?"),
        pair("The quick brown fox jumps over a fence"),
        pair("yes"),
    ]
    made = clean(rows, evaluation=evaluation)
    assert kept(made) == rows[2:]
    assert [one["why"] for one in made.report["dropped_rows"]] == [
        "eval.csv, row 1 (line 2)",
        "eval.csv, row 2 (line 3)",
    ]
    missing = tmp_path / "no.csv"
    refused(InputMissing, 66, "no.csv", lambda: clean(rows, evaluation=missing, force=True))


def test_words_of_a_script_without_spaces() -> None:
    assert filters.words("今天 ok, it's") == ["今", "天", "ok", "it", "s"]
    assert filters.words("हिन्दी भाषा") == ["हिन्दी", "भाषा"]


def test_nothing_left(clean: Clean, tmp_path: Path) -> None:
    error = refused(
        CheckFailed,
        1,
        "no row is left of 2: 2 by length",
        lambda: clean([pair("a"), pair("b")], min_characters=9),
    )
    assert error.details["dropped"] == {"length": 2}
    assert not (tmp_path / "out.jsonl").exists()
    empty = tmp_path / "empty.jsonl"
    empty.write_text("\n")
    refused(InputRefused, 65, "has no rows", lambda: clean([], clean=empty))


def test_a_refused_write_leaves_what_was_there(clean: Clean, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("before")
    rows = [pair(GOOD), pair("Something else")]
    from tests.support.models import write_json

    (tmp_path / "out.report.json").mkdir()
    from edgekit.errors import CannotWrite, OutputExists

    refused(OutputExists, 73, "already exists", lambda: clean(rows))
    with pytest.raises((CannotWrite, OutputExists)):
        clean(rows, force=True)
    assert out.read_text() == "before"
    shutil.rmtree(tmp_path / "out.report.json")
    write_json(tmp_path / "out.report.json", {})
    clean(rows, force=True)
    assert kept(clean(rows, force=True)) == rows
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".part")]

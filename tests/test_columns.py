"""Data files, whole and broken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgekit import columns
from edgekit.columns import Row
from edgekit.errors import InputMissing, InputRefused, SpecError, Unsupported
from edgekit.scoring import kinds
from tests.support.refusals import refused, unreadable

ROW = Row(3, 5, {"text": "so so", "label": "god", "score": "1.5", "many": '["a", "b"]'}, "x.csv")


def lines(path: Path, *rows: Any) -> Path:
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows))
    return path


def test_three_formats_give_the_same_rows(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('\ufefftext,label\n"one, two\nthree",x\n', encoding="utf-8")
    (tmp_path / "a.tsv").write_text('text\tlabel\n"one, two\nthree"\tx\n')
    lines(tmp_path / "a.jsonl", {"text": "one, two\nthree", "label": "x"}, "")
    for name in ("a.csv", "a.tsv", "a.jsonl"):
        (row,) = columns.read(tmp_path / name)
        assert row.values == {"text": "one, two\nthree", "label": "x"}
        assert row.number == 1
    assert [r.number for r in columns.read(lines(tmp_path / "b.jsonl", {}, {}, {}), 2)] == [1, 2]


@pytest.mark.parametrize(
    ("name", "text", "error", "status", "word"),
    [
        ("a.txt", "x", SpecError, 64, "none of .jsonl"),
        ("a.jsonl", "", InputRefused, 65, "has no rows"),
        ("a.csv", "text,label\n", InputRefused, 65, "has no rows"),
        ("a.jsonl", "[1]", InputRefused, 65, "line 1: not a JSON object"),
        ("a.jsonl", "{" + '"a":' * 100_000, InputRefused, 65, "line 1"),
        ("a.jsonl", "x" * (1 << 21), InputRefused, 65, "longer than a million"),
        ("a.csv", "text,label\na,b,c\n", InputRefused, 65, "2 columns are named"),
        ("a.csv", "text,text\na,b\n", InputRefused, 65, "names a column twice"),
        ("a.csv", 'text,label\n"a"b,c\n', InputRefused, 65, "not a table"),
    ],
)
def test_a_bad_file_is_told_apart(
    tmp_path: Path, name: str, text: str, error: Any, status: int, word: str
) -> None:
    path = tmp_path / name
    path.write_text(text)
    refused(error, status, word, lambda: columns.first(path))


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    refused(InputMissing, 66, "no such file", lambda: columns.first(tmp_path / "a.csv"))
    (tmp_path / "a.csv").write_bytes(b"text\n\xff\xfe\n")
    refused(InputRefused, 65, "not UTF-8", lambda: columns.first(tmp_path / "a.csv"))
    with unreadable(lines(tmp_path / "b.csv", "text", "a")):
        refused(InputRefused, 65, "cannot read", lambda: columns.first(tmp_path / "b.csv"))


def test_a_value_of_another_type_names_row_line_and_column() -> None:
    for read, word in (
        (lambda: ROW.number_in("text"), "finite number"),
        (lambda: ROW.texts("text"), "list"),
        (lambda: ROW.text("none"), "missing"),
        (lambda: ROW.index("label", ("bad", "good")), "label"),
    ):
        error = refused(InputRefused, 65, "x.csv, row 3 (line 5)", read)
        assert word in error.message + error.hint
    assert "did you mean 'good'?" in error.hint
    assert ROW.number_in("score") == 1.5
    assert ROW.texts("many") == ("a", "b")
    assert ROW.text_or_texts("many") == ("a", "b")
    assert ROW.text_or_texts("text") == (ROW.values["text"],)
    refused(
        InputRefused, 65, "score is", lambda: Row(1, 1, {"score": 1}, "x").text_or_texts("score")
    )
    assert ROW.index("score", ("1.5", "x")) == 0
    for value in ("nan", "inf", True, None, [], "1e999"):
        odd = Row(1, 1, {"score": value}, "x")
        refused(InputRefused, 65, "score is", lambda row=odd: row.number_in("score"))


def test_the_kind_comes_from_the_columns() -> None:
    def chosen(task: str, *names: str, problem: str | None = None) -> str:
        row = Row(1, 1, dict.fromkeys(names, "x"), "x.jsonl")
        return kinds.kind_name(kinds.chosen(task, problem, row))

    assert chosen("sentence-similarity", "text_a", "text_b", "score") == "similarity"
    assert chosen("sentence-similarity", "anchor", "positive", "negative") == "retrieval"
    assert chosen("text-classification", "text", "label") == "classification"
    assert chosen("text-classification", "text", "score", problem="regression") == "regression"
    multi = "multi_label_classification"
    assert chosen("text-classification", "text", "labels", problem=multi) == "multi label"
    assert chosen("token-classification", "tokens", "labels", "id") == "entities"


def test_wrong_columns_name_the_nearest() -> None:
    row = Row(1, 1, {"txt": "a", "label": "b"}, "x.jsonl")
    error = refused(
        InputRefused,
        65,
        "x.jsonl has no column text; it has label, txt",
        lambda: kinds.chosen("text-classification", None, row),
    )
    assert "rename 'txt' to 'text'" in error.hint
    refused(
        Unsupported,
        78,
        "no score for feature-extraction",
        lambda: kinds.chosen("feature-extraction", None, row),
    )


def test_a_fingerprint_tells_data_apart(tmp_path: Path) -> None:
    one, two = lines(tmp_path / "a.csv", "text", "a"), lines(tmp_path / "b.csv", "text", "b")
    assert columns.fingerprint(one, None) == columns.fingerprint(one, None)
    assert columns.fingerprint(one, None) != columns.fingerprint(one, 5)
    assert columns.fingerprint(one, None) != columns.fingerprint(two, None)

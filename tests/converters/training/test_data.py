"""The user's data: every form read from every kind of file, and every wrong row named."""

from __future__ import annotations

import csv
import json
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import pytest

from edgekit.errors import (
    InputMissing,
    InputRefused,
    PermissionRefused,
    SpecError,
    StorageFull,
)
from edgekit_converters.training import data, data_forms
from tests.support.refusals import refused, unreadable

Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path / "cache"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        raw = content if isinstance(content, bytes) else content.encode()
        path.write_bytes(raw)
        return path

    return write


def lines(*records: Any) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


FORMS: list[tuple[str, str, list[dict[str, Any]], dict[str, Any]]] = [
    (
        "text-classification",
        "single",
        [{"text": "good", "label": "yes"}, {"text": "bad", "label": "no"}],
        {"text": "good", "text_b": None, "labels": ["yes"], "score": None},
    ),
    (
        "text-classification",
        "multi",
        [{"text": "good", "label": ["a", "b"]}, {"text": "bad", "label": []}],
        {"text": "good", "text_b": None, "labels": ["a", "b"], "score": None},
    ),
    (
        "text-classification",
        "regression",
        [{"text": "good", "label": 0.5}, {"text": "bad", "label": 1}],
        {"text": "good", "text_b": None, "labels": [], "score": 0.5},
    ),
    (
        "token-classification",
        "tokens",
        [{"tokens": ["Anna", "sings"], "labels": ["B-PER", "O"]}] * 2,
        {"tokens": ["Anna", "sings"], "labels": ["B-PER", "O"]},
    ),
    (
        "question-answering",
        "answers",
        [
            {
                "question": "who?",
                "context": "Anna sings",
                "answers": {"text": ["sings"], "answer_start": [5]},
            },
            {"question": "who?", "context": "Anna sings", "answers": []},
        ],
        {"question": "who?", "context": "Anna sings", "answers": ["sings"], "starts": [5]},
    ),
    (
        "sentence-similarity",
        "scored",
        [{"text_a": "a", "text_b": "b", "score": 0.5}] * 2,
        {"text_a": "a", "text_b": "b", "negative": None, "score": 0.5},
    ),
    (
        "sentence-similarity",
        "triplets",
        [{"anchor": "a", "positive": "b", "negative": "c"}] * 2,
        {"text_a": "a", "text_b": "b", "negative": "c", "score": None},
    ),
    (
        "text-generation",
        "messages",
        [
            {
                "messages": [
                    {"role": "user", "content": "hi"},
                    {"role": "assistant", "content": "hello"},
                ]
            }
        ]
        * 2,
        {
            "prompt": None,
            "completion": None,
            "messages": [
                {"role": "user", "content": "hi"},
                {"role": "assistant", "content": "hello"},
            ],
        },
    ),
    (
        "text-generation",
        "prompt",
        [{"prompt": "1+1", "completion": "2"}] * 2,
        {"prompt": "1+1", "completion": "2", "messages": []},
    ),
    (
        "text2text-generation",
        "pairs",
        [{"source": "a", "target": "b"}] * 2,
        {"source": "a", "target": "b"},
    ),
    (
        "rationale",
        "rationale",
        [{"input": "1+1", "rationale": "count", "label": 2}] * 2,
        {"input": "1+1", "rationale": "count", "label": "2"},
    ),
    ("plain-text", "text", [{"text": "a"}, {"text": "b"}], {"text": "a"}),
]


@pytest.mark.parametrize(("form", "kind", "records", "first"), FORMS)
@pytest.mark.parametrize("suffix", ["jsonl", "parquet", "csv"])
def test_every_form_from_every_file(
    form: str,
    kind: str,
    records: list[dict[str, Any]],
    first: dict[str, Any],
    suffix: str,
    write: Write,
    tmp_path: Path,
) -> None:
    path = tmp_path / f"rows.{suffix}"
    if suffix == "jsonl":
        path.write_text(lines(*records))
    elif suffix == "parquet":
        mixed = any(isinstance(record.get("answers"), dict) for record in records)
        if mixed:
            records = [records[0]] * 2  # one column of a parquet file has one type
        if kind == "regression":
            records = [{**record, "label": float(record["label"])} for record in records]
        datasets.Dataset.from_list(records).to_parquet(path)
    else:
        with path.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, list(records[0]))
            writer.writeheader()
            writer.writerows(
                {
                    name: json.dumps(value) if isinstance(value, list | dict) else value
                    for name, value in record.items()
                }
                for record in records
            )
    found = data.read([path], form)
    assert (found.form, found.kind) == (form, kind)
    assert found.rows[0] == first
    assert len(found.rows) == len(records)
    assert found.files == (path.name,)


def test_text_lines_tabs_and_a_byte_order_mark(write: Write) -> None:
    found = data.read([write("a.txt", b"\xef\xbb\xbfone\r\n\r\n two \n")], "plain-text")
    assert found.rows["text"][:] == ["one", "two"]
    found = data.read([write("a.tsv", "text\tlabel\na, b\tx\nc\ty\n")], "text-classification")
    assert found.rows[0]["text"] == "a, b"
    assert found.labels == ("x", "y")


def test_numbers_are_classes_in_the_order_of_numbers(write: Write) -> None:
    rows = [{"text": str(index), "label": index} for index in range(11)]
    assert data.read([write("a.jsonl", lines(*rows))], "text-classification").labels == tuple(
        str(index) for index in range(11)
    )
    known = data.read(
        [write("b.jsonl", lines(*rows[:2]))], "text-classification", labels=["no", "yes"]
    )
    assert [row["labels"] for row in known.rows] == [["no"], ["yes"]]
    assert known.labels == ("no", "yes")
    graded = data.read([write("c.jsonl", lines(*rows))], "text-classification", kind="regression")
    assert graded.rows[3]["score"] == 3.0


def test_columns_by_another_name(write: Write) -> None:
    path = write("a.csv", "body,kind,text\nhello,x,7\nbye,y,8\n")
    columns = {"text": "body", "label": "kind"}
    found = data.read([path], "text-classification", columns=columns)
    assert found.rows["text"][:] == ["hello", "bye"]
    assert data.forms_of(path, data_forms.names(), columns) == ["text-classification"]


def test_the_columns_tell_the_form(write: Write) -> None:
    for form, _, records, _ in FORMS:
        path = write("a.jsonl", lines(*records))
        assert form in data.forms_of(path, data_forms.names()), form
    assert data.forms_of(write("b.csv", "x,y\n1,2\n"), data_forms.names()) == []


GOOD = {"text": "fine", "label": "a"}
SQUAD = {"question": "who?", "context": "Anna sings"}
WRONG: list[tuple[str, list[Any], str]] = [
    ("text-classification", [GOOD, {"text": 3, "label": "a"}], "row 2 has a text that is a number"),
    ("text-classification", [GOOD, {"text": " ", "label": "a"}], "row 2 has an empty text"),
    ("text-classification", [GOOD, {"text": "x", "label": None}], "row 2 has no label"),
    ("text-classification", [GOOD, {"text": "x"}], "row 2 has no label"),
    ("text-classification", [GOOD, {"text": "x", "label": 1.5}], "label that is a number (1.5)"),
    ("text-classification", [GOOD, {"text": "\ud800", "label": "a"}], "half a surrogate pair"),
    ("text-classification", [{"text": "x", "label": ["a"]}, GOOD], "row 2 has one label"),
    ("text-classification", [{"text": "x", "label": ["a", "a"]}], "row 1 has a label twice"),
    (
        "text-classification",
        [{"text": "x", "label": 0.5}, GOOD],
        "row 2 has a label that is no fin",
    ),
    ("text-classification", [GOOD, ["fine", "a"]], "row 2 is a JSON list, not an object"),
    ("token-classification", [{"tokens": ["a"], "labels": ["O", "O"]}], "1 tokens and 2 labels"),
    ("token-classification", [{"tokens": "a b", "labels": ["O", "O"]}], "not a list"),
    ("token-classification", [{"tokens": [], "labels": []}], "an empty list of tokens"),
    ("token-classification", [{"tokens": [1], "labels": ["O"]}], "a token that is a number"),
    ("token-classification", [{"tokens": ["a"], "labels": [3]}], "not a name such as O"),
    ("question-answering", [{**SQUAD, "answers": ["Ben"]}], "'Ben', not found in its context"),
    (
        "question-answering",
        [{**SQUAD, "answers": {"text": ["Anna"], "answer_start": [3]}}],
        "not at character 3",
    ),
    ("question-answering", [{**SQUAD, "answers": {"text": ["Anna"]}}], "of equal length"),
    ("question-answering", [{**SQUAD, "answers": 3}], "answers that are a number"),
    ("sentence-similarity", [{"text_a": "a", "text_b": "b", "score": 4.2}], "the score 4.2"),
    ("sentence-similarity", [{"text_a": "a", "text_b": "b", "score": "high"}], "no finite number"),
    ("text-generation", [{"messages": [{"role": "bot", "content": "x"}]}], "without a role of"),
    ("text-generation", [{"messages": [{"role": "user", "content": "x"}]}], "nothing to learn"),
    ("text-generation", [{"prompt": "a", "completion": ""}], "an empty completion"),
    ("text2text-generation", [{"source": "a", "target": {}}], "a target that is an object"),
    ("rationale", [{"input": "a", "rationale": None, "label": "b"}], "has no rationale"),
]


@pytest.mark.parametrize(("form", "records", "word"), WRONG)
def test_a_wrong_row_is_named(form: str, records: list[Any], word: str, write: Write) -> None:
    path = write("rows.jsonl", lines(*records))
    error = refused(InputRefused, 65, word, lambda: data.read([path], form))
    assert error.message.startswith(f"rows.jsonl, row {len(records)} ")
    assert error.details["row"] == len(records)


def test_a_wrong_row_leaves_nothing_in_the_cache(write: Write, cache: Path) -> None:
    path = write("rows.jsonl", lines(*[GOOD] * 3000, {"text": 3, "label": "a"}))
    refused(InputRefused, 65, "row 3001", lambda: data.read([path], "text-classification"))
    assert not [path for path in cache.rglob("*.arrow")]


def test_a_label_that_is_not_of_the_list(write: Write) -> None:
    path = write("a.csv", 'text,label\n"one\ntwo",a\nthree,c\n')
    job = lambda: data.read([path], "text-classification", labels=["a", "b"])  # noqa: E731
    error = refused(InputRefused, 65, "row 2 (line 4) has the label 'c'", job)
    assert "a, b" in error.message
    tokens = write("a.jsonl", lines({"tokens": ["x"], "labels": ["B-LOC"]}))
    job = lambda: data.read([tokens], "token-classification", labels=["O"])  # noqa: E731
    refused(InputRefused, 65, "'B-LOC', which is not of: O", job)


FILES: list[tuple[str, bytes, str]] = [
    ("a.csv", b"", "a.csv has no rows"),
    ("a.csv", b"text,label\n", "a.csv has no rows"),
    ("a.jsonl", b"\n\n", "a.jsonl has no rows"),
    ("a.csv", b"text,label\nx,a\n", "has 1 row;"),
    ("a.csv", b"text,label\nx,a\ny,a\n", "one class only: a"),
    ("a.csv", b"text,label\nx,a\ny,a,b\n", "row 2 (line 3) has 3 cells, the header 2"),
    ("a.csv", b'text,label\nx,a\n"y,b\n', "line 3 is not CSV"),
    ("a.csv", b"text,text\nx,a\n", "the column 'text' twice"),
    ("a.csv", b"text,label\nx,a\ncaf\xe9,b\n", "not UTF-8 text (line 3)"),
    ("a.csv", "text,label\nx,a\n".encode("utf-16"), "UTF-16"),
    ("a.jsonl", b'{"text": "x", "label": "a"}\n{"text": \n', "row 2 is not JSON"),
    ("a.jsonl", b"[" * 100_000 + b"\n", "row 1 is not JSON"),
    ("a.parquet", b"PAR1 and no more", "not a readable parquet file"),
    ("a.xlsx", b"PK", "no kind of data file"),
    ("a.csv", b"txt,label\nx,a\n", "no column 'text'; its columns are: txt, label"),
]


@pytest.mark.parametrize(("name", "content", "word"), FILES)
def test_a_wrong_file(name: str, content: bytes, word: str, write: Write) -> None:
    path = write(name, content)
    error = refused(InputRefused, 65, word, lambda: data.read([path], "text-classification"))
    if "txt" in word:
        assert "--column text=txt" in error.hint


def test_a_line_beyond_reason(write: Write) -> None:
    path = write("a.jsonl", b'{"text": "' + b"x" * (17 << 20) + b'"}\n')
    refused(InputRefused, 65, "line 1 has more than", lambda: data.read([path], "plain-text"))


def test_no_such_file_form_or_kind(write: Write, tmp_path: Path) -> None:
    path = write("a.csv", "text,label\nx,a\ny,b\n")
    form = "text-classification"
    refused(InputMissing, 66, "no data file", lambda: data.read([tmp_path / "no.csv"], form))
    refused(InputMissing, 66, "no data file", lambda: data.read([tmp_path], form))
    refused(SpecError, 64, "no data is known", lambda: data.read([path], "poetry"))
    refused(SpecError, 64, "is 'sorted'", lambda: data.read([path], form, kind="sorted"))
    refused(SpecError, 64, "no data file is given", lambda: data.read([], form))
    with unreadable(path):
        refused(PermissionRefused, 77, "cannot be read", lambda: data.read([path], form))


def test_a_second_run_reads_the_cache(
    write: Write, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write("a.csv", "text,label\nx,a\ny,b\n")
    first = data.read([path], "text-classification")
    assert first.rows.cache_files[0]["filename"].startswith(str(cache))

    def never(*_: Any) -> Iterator[Any]:
        raise InputRefused("read again", hint="never")
        yield

    monkeypatch.setattr(data, "_checked", never)
    assert data.read([path], "text-classification").rows[:] == first.rows[:]
    write("a.csv", "text,label\nx,a\nz,b\n")
    again = lambda: data.read([path], "text-classification")  # noqa: E731
    refused(InputRefused, 65, "read again", again)


def test_the_split_is_seeded_and_leaks_nothing(write: Write) -> None:
    texts = [f"text {index % 60}" for index in range(100)]  # forty of them twice
    rows = data.read([write("a.txt", "\n".join(texts))], "plain-text").rows
    train, held_out = data.split(rows, share=0.2, seed=3)
    assert len(train) + len(held_out) == 100
    assert not set(train["text"]) & set(held_out["text"])
    assert len(set(held_out["text"])) == 12
    again = data.split(rows, share=0.2, seed=3)[1]
    assert again["text"][:] == held_out["text"][:]
    assert data.split(rows, share=0.2, seed=4)[1]["text"][:] != held_out["text"][:]
    refused(SpecError, 64, "a share of 1.5", lambda: data.split(rows, share=1.5))
    same = data.read([write("b.txt", "a\na\na\n")], "plain-text").rows
    refused(InputRefused, 65, "all rows are equal", lambda: data.split(same))


def test_a_cache_without_room(write: Write, cache: Path) -> None:
    path = write("a.txt", "\n".join(f"some text {index}" for index in range(20_000)))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        refused(StorageFull, 74, str(cache), lambda: data.read([path], "plain-text"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert len(data.read([path], "plain-text").rows) == 20_000


@pytest.mark.slow
@pytest.mark.long
def test_memory_does_not_grow_with_the_data(tmp_path: Path) -> None:
    def peak(rows: int) -> float:
        path = tmp_path / f"{rows}.jsonl"
        with path.open("w") as stream:
            for index in range(rows):
                stream.write(json.dumps({"text": f"row {index} says something"}) + "\n")
        code = (
            "import resource; from pathlib import Path\n"
            "from edgekit_converters.training import data\n"
            f"rows = data.read([Path({str(path)!r})], 'plain-text').rows\n"
            "train, held_out = data.split(rows)\n"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)\n"
        )
        home = {"HF_DATASETS_CACHE": str(tmp_path / "own"), "PATH": "/usr/bin"}
        done = subprocess.run(
            [sys.executable, "-c", code], env=home, capture_output=True, text=True, check=True
        )
        return float(done.stdout)

    assert resource.RUSAGE_SELF == 0
    assert peak(150_000) < peak(10_000) + 40  # MiB

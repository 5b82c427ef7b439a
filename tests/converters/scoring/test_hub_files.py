"""Sets as the hub has them: whole, in every ending, and refused where a part is missing."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from pyarrow import Table, parquet

from edgekit.errors import InputRefused
from edgekit_converters.scoring import hub_files
from tests.support.refusals import refused

ROWS = [{"text": "the sun", "n": "1"}, {"text": 'a lamp, "on"', "n": "2"}, {"text": "é", "n": "3"}]
LINES = "\n".join(json.dumps(row) for row in ROWS)


def put(path: Path) -> Path:
    """All rows in the form that the ending says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        parquet.write_table(Table.from_pylist(ROWS), path)
    elif path.suffix == ".gz":
        path.write_bytes(gzip.compress(LINES.encode(), mtime=0))
    elif path.suffix == ".json":
        path.write_text(json.dumps(ROWS), encoding="utf-8")
    elif path.suffix == ".csv":
        path.write_text('text,n\nthe sun,1\n"a lamp, ""on""",2\né,3\n', encoding="utf-8")
    elif path.suffix == ".tsv":
        path.write_text('text\tn\nthe sun\t1\n"a lamp, ""on"""\t2\né\t3\n', encoding="utf-8")
    else:
        path.write_text(LINES, encoding="utf-8-sig")
    return path


@pytest.mark.parametrize("ending", hub_files.ENDINGS)
def test_every_ending_gives_the_same_rows(tmp_path: Path, ending: str) -> None:
    path = put(tmp_path / "org/set/data/test" / f"part.{ending}")
    found = hub_files.files(hub_files.folders(tmp_path, "org/set", None), "test")
    assert found == (path,)
    assert list(hub_files.rows(found)) == ROWS


def test_a_split_is_found_by_its_name_alone(tmp_path: Path) -> None:
    for name in ("test_matched.jsonl", "tests.jsonl", "test.jsonl.old"):
        put(tmp_path / name)
    assert hub_files.files([tmp_path], "test") == ()
    inner = put(tmp_path / "set/config/test.jsonl")
    put(tmp_path / "set/test.jsonl")
    assert hub_files.files(hub_files.folders(tmp_path, "org/set", "config"), "test") == (inner,)


def test_a_split_in_pieces_is_read_whole_or_not_at_all(tmp_path: Path) -> None:
    names = ["test-00000-of-00003.parquet", "test-00001-of-00003-ab12cd.parquet"]
    last = tmp_path / "test-00002-of-00003.parquet"
    for name in (*names, last.name):
        put(tmp_path / name)
    found = hub_files.files([tmp_path], "test")
    assert [one.name for one in found] == [*names, last.name]
    assert list(hub_files.rows(found)) == ROWS * 3
    last.unlink()
    refused(InputRefused, 65, "00002 is missing", lambda: hub_files.files([tmp_path], "test"))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("test.jsonl", b"", "has no rows"),
        ("test.jsonl", b"[1]", "a row is no object"),
        ("test.json", b"[", "cannot be read"),
        ("test.jsonl.gz", b"no gzip", "cannot be read"),
        ("test.jsonl.gz", gzip.compress(LINES.encode(), mtime=0)[:-9], "cannot be read"),
        ("test.parquet", b"PAR1", "cannot be read"),
        ("test.csv", b"\xff\n1", "cannot be read"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    error = refused(InputRefused, 65, says, lambda: list(hub_files.rows([path])))
    assert str(path) in error.message

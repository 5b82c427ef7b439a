"""What a teacher said is kept whole, read instead of asked, bounded, and mended."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from edgekit.errors import StorageFull
from edgekit_converters.distill import cache
from edgekit_converters.distill.collate import NumberedRows, collate_for
from edgekit_converters.distill.models import Taught
from edgekit_converters.distill.outputs import Probe
from edgekit_converters.distill.teacher import Live, Remembered, asked
from tests.converters.distill.conftest import TEXTS

NAMES = frozenset({"embedding", "hidden.2", "queries.4", "attention.1"})
ROWS = NumberedRows([{"text": text} for text in TEXTS[:70]])
MUCH = 10**9


def ask(teacher: Taught, root: Path | None, limit: int = MUCH, probe: Any = None) -> Any:
    said: list[str] = []
    found = asked(
        probe or teacher.probe(),
        collate_for(teacher),
        ROWS,
        NAMES,
        ["key"],
        root,
        limit,
        said.append,
    )
    return found, said


def gone() -> Probe:
    raise AssertionError("the teacher is not there any more")


def test_a_second_run_reads_what_the_first_one_kept(teacher: Taught, tmp_path: Path) -> None:
    first, _ = ask(teacher, tmp_path / "cache")
    second, said = ask(teacher, tmp_path / "cache", probe=gone)
    assert said == ["the teacher's answers are read from the cache"]
    collate = collate_for(teacher)
    batch = collate([ROWS[number] for number in (40, 3, 69)])
    live = Live(teacher.probe())(batch, batch["row"], NAMES)
    real = batch["attention_mask"].bool()
    pairs = real[:, None, :, None] & real[:, None, None, :]
    for found in (first, second):
        assert isinstance(found, Remembered)
        kept = found(batch, batch["row"], NAMES)
        assert torch.allclose(kept["embedding"], live["embedding"], atol=1e-6)
        for name in ("hidden.2", "queries.4"):
            assert torch.allclose(kept[name][real], live[name][real], atol=1e-5)
            assert not kept[name][~real].any()
        assert torch.allclose(kept["attention.1"], live["attention.1"] * pairs, atol=1e-6)


def test_another_key_is_another_entry(teacher: Taught, tmp_path: Path) -> None:
    ask(teacher, tmp_path)
    assert cache.find(tmp_path, ["key", sorted(NAMES)]) is not None
    assert cache.find(tmp_path, ["other", sorted(NAMES)]) is None


def test_answers_beyond_the_bound_are_not_kept(teacher: Taught, tmp_path: Path) -> None:
    found, said = ask(teacher, tmp_path / "cache", limit=10_000)
    assert isinstance(found, Live)
    assert "asked in each step" in said[0]
    assert not list(tmp_path.rglob("*.f32"))


def test_without_a_cache_the_teacher_is_asked(teacher: Taught) -> None:
    found, _ = ask(teacher, None)
    assert isinstance(found, Live)


def test_entries_read_longest_ago_make_room(teacher: Taught, tmp_path: Path) -> None:
    collate = collate_for(teacher)
    names = frozenset({"embedding"})

    def entry(key: str, limit: int) -> None:
        asked(teacher.probe(), collate, ROWS, names, [key], tmp_path, limit)

    def there(key: str) -> bool:
        return (tmp_path / cache.name_of([key, sorted(names)])).is_dir()

    entry("one", MUCH)
    one = tmp_path / cache.name_of(["one", sorted(names)])
    size = sum(path.stat().st_size for path in one.iterdir())
    entry("two", MUCH)
    os.utime(one / "index.json", (1, 1))
    entry("three", 2 * size + 24_000)
    assert [there(key) for key in ("one", "two", "three")] == [False, True, True]


@pytest.mark.parametrize("harm", ["short", "no index", "index of something else"])
def test_a_damaged_entry_is_made_again(teacher: Taught, tmp_path: Path, harm: str) -> None:
    ask(teacher, tmp_path)
    (entry,) = (path for path in tmp_path.iterdir() if path.is_dir())
    if harm == "short":
        data = entry / "output-0.f32"
        data.write_bytes(data.read_bytes()[:-8])
    elif harm == "no index":
        (entry / "index.json").unlink()
    else:
        (entry / "index.json").write_text('{"rows": 3}', encoding="utf-8")
    found, said = ask(teacher, tmp_path)
    assert isinstance(found, Remembered)
    assert "the teacher answered 70 of 70 texts" in said
    assert ask(teacher, tmp_path, probe=gone)[1] == [
        "the teacher's answers are read from the cache"
    ]


def test_a_run_that_breaks_off_leaves_no_entry(teacher: Taught, tmp_path: Path) -> None:
    class Breaking:
        def __len__(self) -> int:
            return 70

        def __getitem__(self, index: int) -> Any:
            if index == 50:
                raise OSError(28, "No space left on device")
            return ROWS[index]

    with pytest.raises(StorageFull):
        asked(teacher.probe(), collate_for(teacher), Breaking(), NAMES, ["key"], tmp_path, MUCH)
    assert list(tmp_path.iterdir()) == []

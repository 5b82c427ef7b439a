"""Task packs: what is in them, that splits share nothing, that a seed gives the same bytes."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest

from edgekit import packs
from edgekit.errors import OutputExists, SpecError
from edgekit.packs.make import make
from edgekit.packs.templates import DEV, SPLITS, TEST, TRAIN, fill, part
from tests.conftest import Program

ROLES = ("system", "user", "assistant")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("packs")
    for name in packs.names():
        make(name, home / name)
    return home


def rows(made: Path, name: str, split: str) -> list[dict[str, Any]]:
    lines = (made / name / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def everything(made: Path, name: str) -> list[dict[str, Any]]:
    return [row for split in SPLITS for row in rows(made, name, split)]


def test_parts_share_nothing_and_leave_nothing_out() -> None:
    parts = [part(range(23), split) for split in SPLITS]
    assert sorted(item for items in parts for item in items) == list(range(23))
    assert min(len(items) for items in parts) >= 4


def test_slots_know_where_their_words_are() -> None:
    filled = fill("{x} and {x}, not {y}", {"x": ("one", "three"), "y": ("two",)}, Random(3))
    assert [filled.text[slot.start : slot.end] for slot in filled.slots] == [
        slot.text for slot in filled.slots
    ]
    assert {slot.text for slot in filled.slots} == {"one", "two", "three"}


@pytest.mark.parametrize("name", packs.names())
def test_no_row_comes_twice_in_any_split(made: Path, name: str) -> None:
    wanted = packs.pack(name)
    keys = Counter(json.dumps([row[key] for key in wanted.keys]) for row in everything(made, name))
    assert keys.most_common(1)[0][1] == 1
    assert {split: len(rows(made, name, split)) for split in SPLITS} == dict(wanted.sizes)


@pytest.mark.parametrize("name", packs.names())
def test_a_seed_gives_the_same_bytes_and_another_one_others(
    made: Path, tmp_path: Path, name: str
) -> None:
    make(name, tmp_path / "again")
    make(name, tmp_path / "other", seed=1)
    for split in SPLITS:
        first = (made / name / f"{split}.jsonl").read_bytes()
        assert (tmp_path / "again" / f"{split}.jsonl").read_bytes() == first
        assert (tmp_path / "other" / f"{split}.jsonl").read_bytes() != first


def test_fewer_rows_to_train_on_leave_the_test_as_it_is(made: Path, tmp_path: Path) -> None:
    assert make("triage", tmp_path / "few", rows=50) == {TRAIN: 50, DEV: 200, TEST: 300}
    for split in (DEV, TEST):
        few = (tmp_path / "few" / f"{split}.jsonl").read_bytes()
        assert few == (made / "triage" / f"{split}.jsonl").read_bytes()


def test_every_message_has_a_known_label_and_all_labels_come(made: Path) -> None:
    for split in SPLITS:
        counts = Counter(row["label"] for row in rows(made, "triage", split))
        assert len(counts) == 6
        assert min(counts.values()) > 0.5 * max(counts.values())


def test_messages_hold_the_words_of_other_labels(made: Path) -> None:
    denied = [
        row for row in rows(made, "triage", TEST) if "Usually I am happy with you." in row["text"]
    ]
    assert denied
    assert all(row["label"] != "praise" for row in denied)


def test_slots_of_commands_are_whole_words_in_bio_form(made: Path) -> None:
    kinds = set()
    for row in everything(made, "commands"):
        assert len(row["tokens"]) == len(row["labels"])
        before = "O"
        for label in row["labels"]:
            if label.startswith("I-"):
                assert before[2:] == label[2:], row
            before = label
        kinds |= set(row["labels"])
    named = {"ACTION", "DEVICE", "ROOM", "VALUE", "TIME"}
    assert {label[2:] for label in kinds if label != "O"} == named


def test_answers_lie_where_they_are_said_to_be(made: Path) -> None:
    places = Counter()
    for row in everything(made, "questions"):
        (text,), (start,) = row["answers"]["text"], row["answers"]["answer_start"]
        assert row["context"][start : start + len(text)] == text
        places[row["context"].count(".", 0, start)] += 1
    assert set(places) == {0, 1, 2, 3}  # the answer can be in any of the four sentences


def test_summaries_keep_what_was_agreed_on(made: Path) -> None:
    refused = 0
    days = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
    for row in everything(made, "summaries"):
        (day,) = [day for day in days if day in row["target"]]
        named = sorted((row["source"].rfind(other), other) for other in days)
        refused += named[-2][0] >= 0
        assert day in row["source"]
    assert 0.5 < refused / len(everything(made, "summaries")) < 0.7


def test_chats_answer_with_a_fact_of_their_own_shop(made: Path) -> None:
    for row in everything(made, "chat"):
        system, *_, asked, told = row["messages"]
        assert (system["role"], asked["role"], told["role"]) == ROLES
        fact = told["content"].removesuffix(".").rsplit(" ", 1)[-1]
        assert fact in system["content"]


def test_questions_name_what_tells_their_note_from_the_other(made: Path) -> None:
    for row in everything(made, "search"):
        assert row["positive"] not in (row["negative"], *row["negative"])
    assert {len(row["negative"]) for row in rows(made, "search", TEST)} == {9}
    topics = {
        split: {row["anchor"].split()[0] for row in rows(made, "search", split)} for split in SPLITS
    }
    assert all(topics.values())


GERMAN = {
    "Paul sees the dog.": "Paul sieht den Hund.",
    "Tomorrow Lena brings the lamp.": "Morgen bringt Lena die Lampe.",
    "An apple is behind the door.": "Ein Apfel ist hinter der Tür.",
    "Now Felix goes to the door.": "Jetzt geht Felix zur Tür.",
    "Now Anna goes to the bed.": "Jetzt geht Anna zum Bett.",
    "We have a clock.": "Wir haben eine Uhr.",
}


def test_german_articles_follow_gender_and_case() -> None:
    wanted = packs.pack("translation")
    said: dict[str, str] = {}
    draw = Random(0)
    for _ in range(60_000):
        row = wanted.row(draw, draw.choice(SPLITS))
        said[row["source"]] = row["target"]
    assert {source: said.get(source) for source in GERMAN} == GERMAN


def test_more_rows_than_the_templates_have(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no 100000 different rows for train") as refused:
        make("search", tmp_path / "s", rows=100_000)
    assert "at most" in refused.value.hint
    assert not (tmp_path / "s").exists()


def test_a_name_that_is_taken(tmp_path: Path) -> None:
    (tmp_path / "triage").mkdir()
    with pytest.raises(OutputExists):
        make("triage", tmp_path / "triage")


def test_the_verb(edgekit: Program, tmp_path: Path) -> None:
    listed = json.loads(edgekit("pack", "list", "--json").stdout)["packs"]
    assert tuple(pack["name"] for pack in listed) == packs.names()
    done = edgekit("pack", "make", "commands", "-o", tmp_path / "c", "--rows", "40")
    assert done.returncode == 0, done.stderr
    assert "train.jsonl: 40 rows" in done.stdout
    assert "does not say" in (tmp_path / "c" / "README.md").read_text()
    wrong = edgekit("pack", "make", "comands")
    assert wrong.returncode == 64
    assert "'commands'" in wrong.stderr

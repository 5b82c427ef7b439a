"""``edgekit teach`` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgekit.api.teach import formats
from tests.conftest import Program
from tests.converters.teach.conftest import KEY, adds
from tests.support.endpoint import serving

NOW = ("--prompts", "p.txt", "--retries", "0")
ENV = {"OPENAI_API_KEY": KEY}


def test_rows_a_table_of_reasons_and_the_cost(edgekit: Program, tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("1 + 2?\n3 + 3?\n1 + 9?\n")
    with serving(adds) as endpoint:
        endpoint.faults = ["ok", "length"]
        words = ("--endpoint", endpoint.url, "--model", "big", "--prompts", "prompts.txt")
        more = ("-o", "data.jsonl", "--format", "rationale", "--near", "1", "--price-in", "1000")
        done = edgekit("teach", *words, *more, env=ENV)
        assert done.returncode == 0, done.stderr
        lines = (line.split(maxsplit=1) for line in done.stdout.splitlines())
        shown = dict(line for line in lines if len(line) == 2)
        assert shown["answers"] == "3 asked now, 0 known"
        assert shown["tokens"] == "now   21 read, 9 written"
        assert shown["cost"].split() == ["now", "0.0210"]
        assert shown["answer"].split(maxsplit=1) == ["1", "2: cut at --max-tokens"]
        assert shown["rows:"] == "data.jsonl"
        assert "prompt 3 of 3" in done.stderr
        again = edgekit("teach", *words, *more, "--force", "--json", "-q", env=ENV)
        assert (again.returncode, again.stderr) == (0, "")
        report = json.loads(again.stdout)
        assert report["file"] == "data.jsonl"
        assert report["answers"] == {"asked_now": 0, "known_before": 3}
        assert len(endpoint.asked) == 3
    assert KEY not in done.stdout + done.stderr + again.stdout


def test_a_dry_run_shows_the_first_question(edgekit: Program, tmp_path: Path) -> None:
    (tmp_path / "prompts.csv").write_text("input,id\nIs it late?,1\n")
    words = ("--endpoint", "http://127.0.0.1:9/v1", "--model", "big", "--prompts", "prompts.csv")
    more = ("--format", "label", "--labels", "yes,no", "--dry-run", "-o", "x.jsonl", "-q")
    done = edgekit("teach", *words, *more, env={"OPENAI_API_KEY": ""})
    assert (done.returncode, done.stderr) == (0, "")
    assert "Answer with the label alone. It is one of: yes, no." in done.stdout
    assert "estimated by length" in done.stdout
    assert done.stdout.endswith("nothing was asked\n")
    assert [path.name for path in tmp_path.iterdir()] == ["prompts.csv"]


def test_clean_an_existing_file(edgekit: Program, tmp_path: Path) -> None:
    rows = [{"text": "same words here"}, {"text": "Same words, here!"}, {"text": "I'm sorry, no"}]
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = edgekit("teach", "--clean", "mine.jsonl", "-o", "clean.jsonl", "-q")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "clean.jsonl").read_text() == json.dumps(rows[0]) + "\n"
    assert "duplicate" in done.stdout
    assert "refusal" in done.stdout


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ((), 2, "--output"),
        (("-o", "a.jsonl"), 64, "no teacher given"),
        (("-o", "a.jsonl", "--teacher", "minilm"), 64, "no prompts are given"),
        (("-o", "a.jsonl", "--clean", "no.jsonl"), 66, "no.jsonl does not exist"),
        (("-o", "a.jsonl", "--clean", "x", "--format", "poem"), 64, "unknown format 'poem'"),
        (
            ("-o", "a.jsonl", "--endpoint", "http://127.0.0.1:9/v1", "--model", "m", *NOW),
            69,
            "nothing answers at 127.0.0.1:9",
        ),
    ],
)
def test_wrong_words(
    words: tuple[str, ...], status: int, said: str, edgekit: Program, tmp_path: Path
) -> None:
    (tmp_path / "p.txt").write_text("a prompt")
    done = edgekit("teach", *words)
    assert done.returncode == status, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["p.txt"]


def test_every_format_is_offered() -> None:
    assert formats() == ["answer", "label", "rationale"]

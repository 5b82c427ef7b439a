"""A teacher behind an endpoint: what is asked and written, and every way in which it can fail."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from edgekit.errors import (
    EdgekitError,
    InputMissing,
    InputRefused,
    OutputExists,
    PermissionRefused,
    SpecError,
    TemporaryFailure,
    Unavailable,
)
from edgekit_converters.teach import pace
from edgekit_converters.teach.journal import Journal, beside
from edgekit_converters.teach.teachers import Answered
from edgekit_converters.training import data
from tests.conftest import clean_environment
from tests.converters.teach.conftest import KEY, Ask, rows
from tests.support.endpoint import Endpoint
from tests.support.refusals import refused


def test_answers_become_prompts_and_completions(ask: Ask, endpoint: Endpoint) -> None:
    made = ask(price_in=1.0, price_out=10.0)
    assert rows(made.path) == [
        {"prompt": "1 + 2?", "completion": "The sum is 3."},
        {"prompt": "3 + 3?", "completion": "The sum is 6."},
        {"prompt": "10 + 5?", "completion": "The sum is 15."},
    ]
    assert endpoint.keys == [f"Bearer {KEY}"] * 3
    (first, *_) = endpoint.asked
    assert (first["model"], first["temperature"], first["max_tokens"]) == ("big", 0.0, 512)
    report = made.report
    assert (report["rows"], report["came_in"], report["dropped"]) == (3, 3, {})
    assert report["tokens"] == {"prompt": 21, "answer": 9}
    assert report["paid_now"]["cost"] == pytest.approx((21 * 1 + 9 * 10) / 1e6)
    assert json.loads((made.path.parent / "data.report.json").read_text()) == report


def test_the_strategy_is_told_and_erased(ask: Ask, endpoint: Endpoint, tmp_path: Path) -> None:
    kept = ask(system="Think of apples.", template="Please: {input}")
    assert endpoint.asked[0]["messages"] == [
        {"role": "system", "content": "Think of apples."},
        {"role": "user", "content": "Please: 1 + 2?"},
    ]
    assert [turn["role"] for turn in rows(kept.path)[0]["messages"]] == [
        "system",
        "user",
        "assistant",
    ]
    erased = ask(system="Think of apples.", erase_system=True, out=tmp_path / "b.jsonl")
    assert endpoint.asked[3]["messages"][0]["role"] == "system"
    assert rows(erased.path)[0] == {"prompt": "1 + 2?", "completion": "The sum is 3."}
    assert "apples" not in erased.path.read_text()


def test_rationales_are_read_as_training_data(ask: Ask) -> None:
    made = ask(format="rationale", system="Be brief.")
    assert rows(made.path)[0] == {
        "input": "1 + 2?",
        "rationale": "1 and 2 are added.",
        "label": "3",
    }
    assert data.read([made.path], "rationale").rows[2]["label"] == "15"


def test_labels_are_those_of_the_list(ask: Ask, tmp_path: Path) -> None:
    made = ask(format="label", labels=["even", "odd"])
    assert [row["label"] for row in rows(made.path)] == ["odd", "even", "odd"]
    assert data.read([made.path], "text-classification").labels == ("even", "odd")
    made = ask(format="label", labels=["even", "prime"], out=tmp_path / "b.jsonl")
    assert [row["label"] for row in rows(made.path)] == ["even"]
    assert made.report["dropped"] == {"answer": 2}
    assert made.report["dropped_rows"][1] == {
        "row": 3,
        "by": "answer",
        "why": "label not in the list",
    }


def test_re_asking_keeps_what_the_teacher_is_sure_of(ask: Ask, endpoint: Endpoint) -> None:
    said = iter(["odd", "odd", "even", "even", "odd", "maybe", "odd", "even", "odd"])
    endpoint.answer = lambda messages: next(said)
    made = ask(format="label", labels=["even", "odd"], re_ask=2, temperature=0.7)
    # odd, odd, even: a majority. even, odd and nothing of the list: none. odd, even, odd: one.
    assert [(row["text"], row["label"]) for row in rows(made.path)] == [
        ("1 + 2?", "odd"),
        ("10 + 5?", "odd"),
    ]
    assert "not sure: 1 of 3" in made.report["dropped_rows"][0]["why"]
    assert len({body["seed"] for body in endpoint.asked}) == 9


def test_an_answer_that_was_cut_is_dropped(ask: Ask, endpoint: Endpoint) -> None:
    endpoint.faults = ["ok", "length"]
    made = ask()
    assert len(rows(made.path)) == 2
    assert made.report["dropped_rows"] == [{"row": 2, "by": "answer", "why": "cut at --max-tokens"}]


def test_a_dry_run_asks_nothing(ask: Ask, endpoint: Endpoint, tmp_path: Path) -> None:
    made = ask(
        dry_run=True, format="rationale", price_out=2.0, max_tokens=100, re_ask=1, temperature=1
    )
    assert (made.path, endpoint.asked) == (None, [])
    assert made.report["questions"] == 6
    assert made.report["tokens"]["answer_at_most"] == 600
    assert made.report["tokens"]["prompt"] > 6 * 30
    assert made.report["cost_at_most"] == pytest.approx(600 * 2 / 1e6)
    assert "Reasoning:" in made.report["first_question"][0]["content"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["prompts.txt"]


@pytest.mark.parametrize(
    "fault", ["429", "429-wait", "500", "malformed", "truncated", "no-choices", "no-content"]
)
def test_a_fault_that_passes_is_asked_again(fault: str, ask: Ask, endpoint: Endpoint) -> None:
    endpoint.faults = ["ok", fault]
    told: list[str] = []
    made = ask(progress=lambda step: told.append(step.note))
    assert len(rows(made.path)) == 3
    assert len(endpoint.asked) == 4
    assert endpoint.asked[1] == endpoint.asked[2]
    assert [line for line in told if "asking again in" in line]
    pause = endpoint.times[2] - endpoint.times[1]
    assert pause > (0.6 if fault == "429-wait" else 0.3)


LASTING: list[tuple[str, type[EdgekitError], int, str]] = [
    ("401", PermissionRefused, 77, "refuses the key in OPENAI_API_KEY"),
    ("403", PermissionRefused, 77, "does not let this key use big"),
    ("404", InputMissing, 66, "has no model 'big'"),
    ("400", InputRefused, 65, "refuses the question (status 400)"),
    ("429", TemporaryFailure, 75, "too many questions (status 429); given up after 2"),
    ("500", TemporaryFailure, 75, "it failed (status 500); given up after 2"),
    ("malformed", TemporaryFailure, 75, "the reply is not JSON; given up"),
    ("truncated", TemporaryFailure, 75, "the reply broke off"),
    ("no-choices", TemporaryFailure, 75, "no answer in it"),
    ("large", TemporaryFailure, 75, "larger than"),
]


@pytest.mark.parametrize(("fault", "error", "status", "word"), LASTING)
def test_a_fault_that_stays(
    fault: str,
    error: type[EdgekitError],
    status: int,
    word: str,
    ask: Ask,
    endpoint: Endpoint,
    tmp_path: Path,
) -> None:
    endpoint.faults = ["ok"]
    ask(out=tmp_path / "first.jsonl", prompts=_one(tmp_path))
    endpoint.always = fault
    failed = refused(error, status, word, lambda: ask(retries=1))
    assert len(endpoint.asked) == (
        2 if error in (PermissionRefused, InputMissing, InputRefused) else 3
    )
    assert KEY not in f"{failed.message} {failed.hint} {failed.details}"
    assert not (tmp_path / "data.jsonl").exists()
    assert not (tmp_path / "data.journal.jsonl").exists()  # no answer, no journal


def _one(folder: Path) -> Path:
    path = folder / "one.txt"
    path.write_text("1 + 1?")
    return path


def test_a_server_that_hangs(ask: Ask, endpoint: Endpoint) -> None:
    endpoint.always = "hang"
    begin = time.monotonic()
    refused(TemporaryFailure, 75, "no answer within 0.4 s", lambda: ask(timeout=0.4, retries=1))
    assert time.monotonic() - begin < 10


def test_nothing_listens(ask: Ask) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/v1"
    refused(Unavailable, 69, "nothing answers at 127.0.0.1", lambda: ask(endpoint=url, retries=1))


def test_no_key(ask: Ask, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    endpoint.always = "401"
    refused(PermissionRefused, 77, "refuses no key: set OPENAI_API_KEY", ask)
    monkeypatch.setenv("MINE", "other-key")
    endpoint.always = None
    ask(key_env="MINE")
    assert endpoint.keys[-1] == "Bearer other-key"


ADDRESSES = [
    ("ftp://host/v1", "no address"),
    ("host:8000", "no address"),
    ("http://[::1", "no address"),
    ("http://user:secret@127.0.0.1/v1", "a user or a password"),
    ("http://models.example.com/v1", "without encryption"),
]


@pytest.mark.parametrize(("url", "word"), ADDRESSES)
def test_an_address_that_will_not_do(url: str, word: str, ask: Ask) -> None:
    error = refused(SpecError, 64, word, lambda: ask(endpoint=url))
    assert "secret" not in error.message


def test_the_key_is_in_nothing_that_is_written_or_said(
    ask: Ask, endpoint: Endpoint, tmp_path: Path, prompts: Path
) -> None:
    endpoint.faults = ["500", "malformed"]
    words = ["teach", "--endpoint", endpoint.url, "--model", "big", "--prompts", prompts, "-v"]
    said = ""
    for more, fault in ((["-o", "a.jsonl"], None), (["-o", "b.jsonl", "--json"], "echo-key"),
                        (["-o", "c.jsonl"], "401"), (["-o", "d.jsonl"], "404")):  # fmt: skip
        endpoint.always = fault
        done = subprocess.run(
            [sys.executable, "-m", "edgekit", *map(str, words), *more],
            env=clean_environment(OPENAI_API_KEY=KEY, OPENAI_LOG="debug"),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (done.returncode == 0) == (fault is None), done.stderr
        said += done.stdout + done.stderr
    assert "status 400" in said
    assert endpoint.keys[-1] == f"Bearer {KEY}"
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for hidden in (KEY, KEY[:8], KEY[-6:]):
        assert hidden not in said
        assert hidden.encode() not in written


def test_a_killed_run_asks_for_nothing_twice(
    endpoint: Endpoint, tmp_path: Path, prompts: Path
) -> None:
    prompts.write_text("".join(f"{n} + 1000?\n" for n in range(12)))
    words = ["teach", "--endpoint", endpoint.url, "--model", "big", "--prompts", prompts]
    words += ["-o", tmp_path / "data.jsonl", "--near", "1", "--json", "-q"]

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "edgekit", *map(str, words)],
            env=clean_environment(OPENAI_API_KEY=KEY),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    endpoint.faults = ["ok"] * 5 + ["hang"]
    killed = start()
    while len(endpoint.asked) < 6:
        assert killed.poll() is None
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert not (tmp_path / "data.jsonl").exists()
    journal = tmp_path / "data.journal.jsonl"
    with journal.open("ab") as stream:
        stream.write(b'{"key": "half a li')  # as a kill in the middle of a write leaves it
    out, _ = start().communicate(timeout=60)
    report = json.loads(out)
    assert report["answers"] == {"asked_now": 7, "known_before": 5}
    assert report["rows"] == 12
    questions = [body["messages"][-1]["content"] for body in endpoint.asked]
    assert len(questions) == 13  # one was asked twice: its answer never came
    assert len(set(questions)) == 12
    assert report["paid_now"]["prompt"] == 7 * 7
    assert report["tokens"]["prompt"] == 12 * 7
    assert all(json.loads(line) for line in journal.read_text().splitlines())


def test_more_prompts_cost_only_the_new_ones(ask: Ask, endpoint: Endpoint, prompts: Path) -> None:
    ask()
    refused(OutputExists, 73, "already exists", ask)
    prompts.write_text(prompts.read_text() + "8 + 8?\n")
    made = ask(force=True)
    assert made.report["answers"] == {"asked_now": 1, "known_before": 3}
    assert len(rows(made.path)) == 4
    # Another temperature is another question.
    assert ask(force=True, temperature=0.5).report["answers"]["asked_now"] == 4


def test_no_more_questions_a_minute_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    limiter = pace.Pace(3, window=0.5)
    begin = time.monotonic()
    moments = []
    for _ in range(7):
        limiter.wait()
        moments.append(time.monotonic() - begin)
    assert moments[2] < 0.4
    assert all(
        later - earlier >= 0.49 for earlier, later in zip(moments, moments[3:], strict=False)
    )
    assert moments[6] < 5
    assert pace.Pace(None).wait() == 0.0
    slow = pace.Pace(0.5, window=0.2)  # one question in two windows
    slow.wait()
    assert slow.wait() == pytest.approx(0.4, abs=0.05)


def test_a_journal_that_is_none(tmp_path: Path, ask: Ask) -> None:
    path = beside(tmp_path / "data.jsonl")
    path.write_text('{"prompt": "mine"}\n')
    refused(InputRefused, 65, "line 1 is no answer of a teacher", ask)
    assert path.read_text() == '{"prompt": "mine"}\n'
    path.unlink()
    with Journal(path) as journal:
        journal.add("k", Answered("a\ud7ff", 1, 1, True))
        refused(TemporaryFailure, 75, "another run is writing", ask)
    with Journal(path) as journal:
        assert journal.get("k") == Answered("a\ud7ff", 1, 1, True)
    assert os.path.getsize(path) > 0


def test_half_a_surrogate_pair_is_mended(ask: Ask, endpoint: Endpoint) -> None:
    endpoint.faults = ["surrogate"]
    assert rows(ask().path)[0]["completion"] == "half \ufffd a pair"


def test_wrong_prompts(ask: Ask, tmp_path: Path) -> None:
    def of(name: str, text: str) -> Any:
        path = tmp_path / name
        path.write_text(text)
        return lambda: ask(prompts=path)

    refused(InputMissing, 66, "does not exist", lambda: ask(prompts=tmp_path / "no.txt"))
    refused(InputRefused, 65, "has no prompts", of("a.txt", "\n \n"))
    refused(InputRefused, 65, "b.jsonl, row 2 has no prompt", of("b.jsonl", '{"input": "a"}\n{}\n'))
    refused(InputRefused, 65, "row 1 has no prompt", of("c.jsonl", '{"input": 3}\n'))


SPECS: list[tuple[dict[str, Any], str]] = [
    ({"teacher": "minilm"}, "exactly one is needed"),
    ({"model": None, "endpoint": "http://127.0.0.1/v1"}, "none is named"),
    ({"format": "poem"}, "unknown format 'poem'"),
    ({"template": "no place"}, "the template has no {input}"),
    ({"erase_system": True}, "no system prompt to erase"),
    ({"re_ask": 2}, "re-asking at temperature 0"),
    ({"re_ask": 2, "temperature": 1.0}, "re-asking compares labels"),
    ({"re_ask": 99, "temperature": 1.0}, "re-asking 99 times"),
    ({"near": 0.0}, "a similarity of 0.0"),
    ({"colour": 1}, "unknown option 'colour'"),
]


@pytest.mark.parametrize(("options", "word"), SPECS)
def test_requests_that_contradict_themselves(options: dict[str, Any], word: str, ask: Ask) -> None:
    refused(SpecError, 64, word, lambda: ask(**options))

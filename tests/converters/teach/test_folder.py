"""A teacher from a folder, and the same one behind transformers' own server."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from edgekit.errors import InputMissing, Unsupported
from edgekit_converters.teach.job import teach
from edgekit_converters.teach.options import options_from
from examples.tiny_decoder import Recipe, train
from tests.conftest import clean_environment
from tests.converters.teach.conftest import rows
from tests.converters.tune.test_tasks import tiny_t5
from tests.support.models import tiny_bert
from tests.support.refusals import refused


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chat model that has learned to say something."""
    folder = tmp_path_factory.mktemp("decoder") / "model"
    folder.mkdir()
    sizes = {"hidden": 64, "feed_forward": 128, "layers": 2, "heads": 2, "context": 128}
    train(Recipe(vocabulary=500, steps=60, batch=8, length=64, **sizes), folder, lambda line: None)
    return folder


def test_a_folder_answers(decoder: Path, prompts: Path, tmp_path: Path) -> None:
    said = {"teacher": decoder, "prompts": prompts, "out": tmp_path / "a.jsonl", "max_tokens": 60}
    made = teach(options_from({**said, "near": 1.0}))
    report = made.report
    assert report["answers"] == {"asked_now": 3, "known_before": 0}
    assert report["teacher"].startswith("weights ")
    assert all(row["completion"] for row in rows(made.path))
    forecast = teach(options_from({**said, "dry_run": True})).report
    assert forecast["tokens"]["prompt"] == report["tokens"]["prompt"]  # counted, not estimated
    again = teach(options_from({**said, "near": 1.0, "out": tmp_path / "b.jsonl"}))
    assert again.path.read_bytes() == made.path.read_bytes()


def test_drawn_answers_differ_by_seed_and_turn(
    decoder: Path, prompts: Path, tmp_path: Path
) -> None:
    said = {"teacher": decoder, "prompts": prompts, "max_tokens": 60, "near": 1.0}
    texts = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        out = tmp_path / f"{name}.jsonl"
        texts.append(
            teach(
                options_from({**said, "out": out, "temperature": 1.5, "seed": seed})
            ).path.read_text()
        )
    assert texts[0] == texts[1] != texts[2]


def test_a_sequence_model_answers(prompts: Path, tmp_path: Path) -> None:
    said = {"teacher": tiny_t5(tmp_path / "t5"), "prompts": prompts, "out": tmp_path / "a.jsonl"}
    report = teach(options_from({**said, "dry_run": True})).report
    assert report["prompts"] == 3
    # Untrained, it never ends: everything is cut, and nothing is kept silently.
    from edgekit.errors import CheckFailed

    error = refused(
        CheckFailed, 1, "no row is left", lambda: teach(options_from({**said, "max_tokens": 4}))
    )
    assert error.details["tokens"]["answer"] > 0


def test_a_model_that_writes_nothing(prompts: Path, tmp_path: Path) -> None:
    bert = tiny_bert(tmp_path / "bert", head="AutoModelForMaskedLM")
    said = {"prompts": prompts, "out": tmp_path / "a.jsonl"}
    refused(
        Unsupported,
        78,
        "no model that writes text",
        lambda: teach(options_from({"teacher": bert, **said})),
    )
    refused(
        InputMissing, 66, "no such model", lambda: teach(options_from({"teacher": "./no", **said}))
    )


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """``transformers serve`` on loopback."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["serve", str(folder), "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    program = Path(sys.executable).with_name("transformers")
    server = subprocess.Popen(
        [str(program), *words],
        env=clean_environment(OMP_NUM_THREADS="1"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(1200):
            assert server.poll() is None
            try:
                urlopen(f"http://127.0.0.1:{port}/health", timeout=2).close()
                break
            except URLError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait(20)


@pytest.mark.slow
@pytest.mark.long
def test_the_endpoint_of_transformers_says_what_the_folder_says(
    decoder: Path, prompts: Path, tmp_path: Path
) -> None:
    pytest.importorskip("fastapi")
    said = {"prompts": prompts, "max_tokens": 60, "near": 1.0}
    local = teach(options_from({**said, "teacher": decoder, "out": tmp_path / "a.jsonl"}))
    with served(decoder) as url:
        model = {"endpoint": url, "model": str(decoder)}
        remote = teach(options_from({**said, **model, "out": tmp_path / "b.jsonl"}))
    assert rows(remote.path) == rows(local.path)
    assert remote.report["tokens"] == local.report["tokens"]

"""Several processes that answer at the same time: the same numbers in the same order."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit import columns
from edgekit.bundle.read import load_manifest
from edgekit.errors import InternalError
from edgekit.scoring import evaluation as scoring
from edgekit.scoring import journal, kinds, session, workers
from edgekit.scoring.contestants import Contestant, of_bundle
from edgekit.scoring.evaluation import Options
from edgekit.scoring.workers import WorkerEngine
from tests.scoring import classifier as small
from tests.support.refusals import refused
from tests.support.vocabulary import SENTENCES


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def classifier(bundle: Path) -> Contestant:
    return of_bundle(bundle, load_manifest(bundle), ())[0]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Texts of many lengths, some of them too long, a few of them several times."""
    texts = [" ".join(SENTENCES[at % 20 :][: 1 + at % 4]) for at in range(90)]
    texts[7] = "word " * 500
    rows = [{"text": text, "label": at % 3} for at, text in enumerate(texts)]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def inputs(classifier: Contestant) -> Any:
    return classifier.encoder.encode(SENTENCES[0])


def words_of(folder: Path) -> list[Any]:
    """A journal without its times."""
    return [replace(e, milliseconds=0.0) for e in journal.entries(folder / "0.jsonl")]


def test_two_workers_write_the_journal_of_one(
    classifier: Contestant, data: Path, tmp_path: Path
) -> None:
    boards = {}
    for count in (1, 2):
        folder = tmp_path / str(count)
        boards[count] = scoring.evaluate([classifier], data, Options(workers=count), work=folder)
    assert words_of(tmp_path / "1") == words_of(tmp_path / "2")
    document = boards[2].as_dict()
    (one,) = document["contestants"]
    assert one["workers"] == 2
    assert one["left_out"] == {"count": 1, "rows": [8]}
    assert any("2 rows were asked at a time" in remark for remark in document["remarks"])
    assert not any("at a time" in remark for remark in boards[1].as_dict()["remarks"])
    # The sum of both workers' own time fits into the time of the pass, twice.
    assert 0 < one["model_seconds"] < 2 * one["seconds"]


def test_a_stopped_run_goes_on_with_another_number_of_workers(
    classifier: Contestant, data: Path, tmp_path: Path
) -> None:
    whole = scoring.evaluate([classifier], data, Options(workers=1), work=tmp_path / "whole")
    stopped = tmp_path / "stopped"

    def stopping() -> WorkerEngine:
        return _Stopping(classifier.open_worker)  # type: ignore[return-value]

    broken = replace(classifier, open_worker=stopping)
    with pytest.raises(KeyboardInterrupt):
        scoring.evaluate([broken], data, Options(workers=2), work=stopped)
    # Complete lines in order, as far as the answers had come.
    before = [entry.row for entry in journal.entries(stopped / "0.jsonl")]
    assert before == list(range(1, len(before) + 1))
    assert 20 <= len(before) < 90
    again = scoring.evaluate([classifier], data, Options(workers=1), work=stopped)
    assert np.array_equal(
        again.standings[0].kept.marks, whole.standings[0].kept.marks, equal_nan=True
    )


def test_no_row_is_lost_behind_a_slow_one(classifier: Contestant, data: Path) -> None:
    class Slow:
        """Thinks long about its first row, while the other engine answers all it may."""

        together = 1

        def __init__(self, seconds: float) -> None:
            self._seconds = seconds

        def run(self, batch: Any) -> Any:
            time.sleep(self._seconds)
            self._seconds = 0.0
            return [np.array([[0.1, 0.5, 0.2]], dtype=np.float32) for _ in batch], None

        def close(self) -> None:
            pass

    kind = kinds.chosen(classifier.task, classifier.problem, columns.first(data))
    rows = columns.read(data)
    found = session.score(classifier, [Slow(0.5), Slow(0.0)], kind.score, rows)
    assert [entry.row for entry in found] == list(range(1, 91))


class _Stopping:
    """A worker at whose thirtieth row the user stops everything."""

    together = 1

    def __init__(self, opener: Callable[[], Any] | None) -> None:
        assert opener is not None
        self._inner, self._asked = opener(), 0

    def run(self, batch: Any) -> Any:
        self._asked += 1
        if self._asked == 30:
            raise KeyboardInterrupt
        return self._inner.run(batch)

    def close(self) -> None:
        self._inner.close()


def test_its_time_is_the_models_alone(bundle: Path, classifier: Contestant) -> None:
    engine = WorkerEngine(bundle, "onnx")
    try:
        asked = [inputs(classifier)] * 20
        outputs, seconds = engine.run(asked)
        here = classifier.open()
        same, _ = here.run(asked[:1])
        here.close()
        assert np.allclose(outputs[0], same[0], atol=1e-6)
        assert seconds is not None
        assert len(outputs) == len(seconds) == 20
        assert all(0 < each < 1 for each in seconds)
    finally:
        engine.close()


def test_more_goes_there_and_back_than_a_pipe_holds(bundle: Path, classifier: Contestant) -> None:
    engine = WorkerEngine(bundle, "onnx")
    try:
        asked = [classifier.encoder.encode(" ".join(SENTENCES[:9]))] * 3000
        assert sum(tensor.nbytes for one in asked for tensor in one.values()) > 2**20
        outputs, _ = engine.run(asked)
        assert len(outputs) == 3000
        assert all(np.array_equal(outputs[0], one) for one in outputs)
    finally:
        engine.close()


def test_a_worker_that_crashes_is_named_and_none_is_left(
    bundle: Path, classifier: Contestant
) -> None:
    engine = WorkerEngine(bundle, "onnx")
    child = engine._process.pid
    os.kill(child, signal.SIGKILL)
    engine._process.wait()
    refused(InternalError, 70, "a worker ended: SIGKILL", lambda: engine.run([inputs(classifier)]))
    engine.close()
    whole = WorkerEngine(bundle, "onnx")
    whole.close()
    with pytest.raises(ProcessLookupError):
        os.kill(whole._process.pid, 0)


def test_what_the_runtime_refuses_is_said(
    bundle: Path, classifier: Contestant, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(bundle, tmp_path / "damaged"))
    (copy / "model.onnx").write_bytes(b"no model")
    refused(InternalError, 70, "cannot load model.onnx", lambda: WorkerEngine(copy, "onnx"))
    engine = WorkerEngine(bundle, "onnx")
    try:
        wrong = {name: tensor[:, :0] for name, tensor in inputs(classifier).items()}
        refused(InternalError, 70, "classifier onnx: ", lambda: engine.run([wrong]))
        outputs, _ = engine.run([inputs(classifier)])  # the next row is answered
        assert outputs[0].shape == (1, 3)
    finally:
        engine.close()


def test_how_many_workers_are_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    assert workers.count(10, None) == 1
    assert workers.count(200, None) == 3
    assert workers.count(10, None, asked=5) == 5
    terabyte = 2**40
    assert workers.count(100_000, terabyte) == 1
    assert 1 <= workers.count(100_000, 2**20) <= 8

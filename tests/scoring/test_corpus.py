"""Queries to a whole corpus: ranks against a plain computation, resuming, and what is refused."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.api.eval import evaluate
from edgekit.bundle.read import load_manifest
from edgekit.errors import CheckFailed, EdgekitError, InputRefused, SpecError
from edgekit.scoring import corpus as texts
from edgekit.scoring import evaluation as scoring
from edgekit.scoring.contestants import Contestant, of_bundle
from edgekit.scoring.corpus import Corpus, Vectors
from edgekit.scoring.evaluation import Options
from tests.support.models import tiny_sentence_bert
from tests.support.refusals import refused
from tests.support.vocabulary import SENTENCES

LONG = "word " * 500


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from edgekit import export

    folder = tmp_path_factory.mktemp("home")
    (folder / "texts.txt").write_text("\n".join(SENTENCES[:4]), encoding="utf-8")
    export(
        tiny_sentence_bert(folder / "model"),
        out=folder / "finder",
        task="sentence-similarity",
        quantize="none",
        runtimes=["onnx"],
        samples=folder / "texts.txt",
    )
    corpus: list[dict[str, Any]] = [
        {"id": f"t{at}", "text": text, "title": "News" if at % 3 == 0 else ""}
        for at, text in enumerate(SENTENCES)
    ]
    written(folder / "corpus.jsonl", [{"id": "long", "text": LONG}, *corpus])
    queries: list[dict[str, Any]] = [
        {"query": f"{text} now", "relevant": f"t{at}"} for at, text in enumerate(SENTENCES)
    ]
    queries[1]["relevant"] = ["t1", "t5"]
    queries[2]["relevant"] = {"t2": 2, "t3": 1, "t4": 0}
    queries[3]["relevant"] = "long"
    written(folder / "queries.jsonl", queries)
    return folder


@pytest.fixture(scope="module")
def finder(home: Path) -> Contestant:
    return of_bundle(home / "finder", load_manifest(home / "finder"), ())[0]


def figures(found: dict[str, Any]) -> dict[str, float]:
    return {one["metric"]: one["value"] for one in found["contestants"][0]["figures"]}


def test_figures_are_those_of_all_cosines(home: Path) -> None:
    from sklearn.metrics import ndcg_score

    from edgekit import Bundle

    found = evaluate(
        [home / "finder"], data=home / "queries.jsonl", corpus=home / "corpus.jsonl", workers=1
    )
    documents = [f"News {t}" if at % 3 == 0 else t for at, t in enumerate(SENTENCES)]
    with Bundle.open(home / "finder") as bundle:
        answers = bundle.run([*documents, *(f"{text} now" for text in SENTENCES)])
    vectors = np.array([answer["embedding"] for answer in answers])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    count = len(SENTENCES)
    cosines = vectors[count:] @ vectors[:count].T
    wanted = np.eye(count)
    wanted[1, 5], wanted[2, 2], wanted[2, 3], wanted[3] = 1, 2, 1, 0
    able = [at for at in range(count) if at != 3]  # the text of the fourth cannot be read
    gain = [ndcg_score(wanted[at][None], cosines[at][None], k=10) for at in able]
    ranks = [
        sorted(1 + int((cosines[at] > cosines[at, hit]).sum()) for hit in np.flatnonzero(row))
        for at, row in enumerate(wanted)
    ]
    ranks[3] = [count + 1]
    values = figures(found)
    assert values["nDCG@10"] == pytest.approx(sum(gain) / count, abs=1e-6)
    assert values["MRR"] == pytest.approx(np.mean([1 / each[0] for each in ranks]), abs=1e-9)
    for cut in (1, 5, 10, 100):
        share = np.mean([np.mean([rank <= cut for rank in each]) for each in ranks])
        assert values[f"recall@{cut}"] == pytest.approx(share, abs=1e-9)
    assert f"searched in all {count + 1} texts of corpus.jsonl" in found["remarks"]
    assert "finder onnx: 1 of them are too long for it, and never found" in found["remarks"]


def test_a_stopped_search_goes_on(home: Path, finder: Contestant, tmp_path: Path) -> None:
    asked: list[int] = []

    class Counted:
        together = 1

        def __init__(self, stop_at: int) -> None:
            self._inner, self._stop_at = finder.open(), stop_at

        def run(self, batch: Any) -> Any:
            asked.append(1)
            if len(asked) == self._stop_at:
                raise KeyboardInterrupt
            return self._inner.run(batch)

        def close(self) -> None:
            self._inner.close()

    def run(folder: Path, stop_at: int) -> Any:
        asked.clear()
        one = replace(finder, open=lambda: Counted(stop_at), open_worker=None)
        files = home / "queries.jsonl", Options(robustness=2)
        return scoring.evaluate([one], *files, corpus=home / "corpus.jsonl", work=folder)

    whole = run(tmp_path / "whole", -1)
    all_asked = len(asked)
    for stop_at in (len(SENTENCES) // 2, len(SENTENCES) + 3):
        folder = tmp_path / str(stop_at)
        with pytest.raises(KeyboardInterrupt):
            run(folder, stop_at)
        with (folder / "0.vectors").open("ab") as file:
            file.write(b"xyz")  # as a kill leaves it
        again = run(folder, -1)
        assert len(asked) == all_asked - stop_at + 1
        assert np.array_equal(again.standings[0].kept.marks, whole.standings[0].kept.marks)
    harms = whole.standings[0].robustness
    assert [harm["rows"] for harm in harms] == [2] * 5


def test_equal_texts_rank_against_the_model(home: Path, tmp_path: Path) -> None:
    same = [{"_id": str(at), "text": SENTENCES[0]} for at in range(12)]
    found = evaluate(
        [home / "finder"],
        data=written(tmp_path / "q.jsonl", [{"query": SENTENCES[0], "relevant": 3}]),
        corpus=written(tmp_path / "same.jsonl", same),
    )
    assert figures(found)["MRR"] == pytest.approx(1 / 12)
    assert figures(found)["nDCG@10"] == 0
    assert figures(found)["recall@100"] == 1


@pytest.mark.parametrize(
    ("excluded", "rank"), [("0", 11), (["0", 1, "7", "none", "3"], 9), ('["0"]', 11), (None, 12)]
)
def test_excluded_texts_are_passed_over(
    home: Path, tmp_path: Path, excluded: object, rank: int
) -> None:
    same = [{"_id": str(at), "text": SENTENCES[0]} for at in range(12)]
    query = {"query": SENTENCES[0], "relevant": 3, "excluded": excluded}
    found = evaluate(
        [home / "finder"],
        data=written(tmp_path / "q.jsonl", [query]),
        corpus=written(tmp_path / "same.jsonl", same),
    )
    assert figures(found)["MRR"] == pytest.approx(1 / rank)


@pytest.mark.parametrize(
    ("corpus", "query", "error", "status", "said"),
    [
        ([{"id": "a", "text": "x"}], {"relevant": "b"}, InputRefused, 65, "relevant names 'b'"),
        ([{"id": "a", "text": "x"}], {"relevant": []}, InputRefused, 65, "relevant is list"),
        ([{"id": "a", "text": "x"}], {"relevant": {"a": -1}}, InputRefused, 65, "relevant is dict"),
        ([{"id": "a", "text": "x"}], {"excluded": [0.5]}, InputRefused, 65, "excluded is list"),
        ([{"id": "a", "text": "x"}] * 2, {}, InputRefused, 65, "row 2 (line 2): the id 'a'"),
        ([{"id": "a", "text": " "}], {}, InputRefused, 65, "text is str"),
        ([{"text": "x"}], {}, InputRefused, 65, "id is missing"),
        ([{"id": "a", "text": LONG}], {}, InputRefused, 65, "no text of corpus.jsonl can be read"),
    ],
)
def test_what_is_wrong_is_said(
    home: Path,
    tmp_path: Path,
    corpus: list[dict[str, Any]],
    query: dict[str, Any],
    error: type[EdgekitError],
    status: int,
    said: str,
) -> None:
    data = written(tmp_path / "q.jsonl", [{"query": "x", "relevant": "a", **query}])
    path = written(tmp_path / "corpus.jsonl", corpus)
    refused(error, status, said, lambda: evaluate([home / "finder"], data=data, corpus=path))


def test_queries_and_corpus_come_together(home: Path, tmp_path: Path) -> None:
    queries = home / "queries.jsonl"
    alone = refused(SpecError, 64, "no corpus", lambda: evaluate([home / "finder"], data=queries))
    assert "--corpus" in alone.hint
    pairs = written(tmp_path / "p.jsonl", [{"text_a": "x", "text_b": "y", "score": 1}])
    refused(
        SpecError,
        64,
        "similarity rows",
        lambda: evaluate([home / "finder"], data=pairs, corpus=home / "corpus.jsonl"),
    )


def test_an_output_that_is_no_number_ends_it(home: Path, finder: Contestant) -> None:
    class Broken:
        together = 1

        def run(self, batch: Any) -> Any:
            return [np.full((1, 2, 4), np.nan, np.float32)] * len(batch), None

        def close(self) -> None:
            pass

    broken = replace(finder, open=Broken, open_worker=None)
    refused(
        CheckFailed,
        1,
        "row 2 of corpus.jsonl",
        lambda: scoring.evaluate(
            [broken], home / "queries.jsonl", Options(), corpus=home / "corpus.jsonl"
        ),
    )


def test_memory_is_a_few_numbers_a_text(tmp_path: Path) -> None:
    def peak(work: Callable[[], object]) -> int:
        tracemalloc.start()
        work()
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    def all_of(count: int) -> None:
        path = tmp_path / f"{count}.csv"
        path.write_text("id,text\n" + "".join(f"t{at},a text\n" for at in range(count)))
        corpus = texts.read(path)
        vectors = Vectors(corpus, tmp_path / f"{count}.vectors", "key")
        for at in range(count):
            vectors.add([1.0, at, *([0.0] * 14)])
        vectors.close()
        found: Corpus = vectors.searchable()
        assert found.ranks(np.array([0.0, 1.0, *[0.0] * 14], np.float32), [0]) == [count]

    all_of(10)
    small, large = peak(lambda: all_of(1_000)), peak(lambda: all_of(5_000))
    assert large - small < 4_000 * 100

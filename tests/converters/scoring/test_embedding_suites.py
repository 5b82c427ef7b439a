"""Suites of mteb on models that embed texts: the same figures as mteb's own run of the same model.

The sets are small, of our own words, in the files and columns that mteb's sets have on the hub.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from edgekit.api.eval import evaluate
from edgekit.errors import (
    EdgekitError,
    InputMissing,
    InputRefused,
    SpecError,
    Unavailable,
    Unsupported,
)
from edgekit.scoring.evaluation import Options
from edgekit_converters.scoring import eager, embedding_suites
from tests.support.models import MAX_POSITIONS, tiny_sentence_bert
from tests.support.refusals import refused

PAIRS, SEARCHES = "mteb/stsbenchmark-sts", "mteb/arguana"
WORDS = ("sun", "lamp", "weather", "radio", "hello", "help", "user", "east", "rises", "turn")
# So that load_dataset finds the parts, as on the hub.
_CARD = """---
configs:
- config_name: default
  data_files: [{split: test, path: qrels/test.jsonl}]
- config_name: corpus
  data_files: [{split: corpus, path: corpus.jsonl}]
- config_name: queries
  data_files: [{split: queries, path: queries.jsonl}]
---
"""


def said(at: int, length: int = 4) -> str:
    return " ".join(WORDS[(at * 7 + step * (at % 3 + 1)) % len(WORDS)] for step in range(length))


def jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write(folder: Path) -> Path:
    """Both sets, and the folder."""
    pairs = folder / PAIRS
    pairs.mkdir(parents=True)
    rows = [
        {"split": "test", "sentence1": said(at), "sentence2": said(at * at + 1), "score": at % 6}
        for at in range(16)
    ]
    with gzip.open(pairs / "test.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write("\n".join(json.dumps(row) for row in rows))
    place = folder / SEARCHES
    # Every query is a text of the corpus, which is no answer to itself; one text is too long.
    texts = [
        {"_id": f"t{at}", "title": said(at, 2) if at % 2 else "", "text": said(at, 5 + at % 3)}
        for at in range(11)
    ]
    texts.append({"_id": "t11", "title": "", "text": said(5, MAX_POSITIONS + 30)})
    jsonl(place / "corpus.jsonl", texts)
    jsonl(place / "queries.jsonl", [{"_id": one["_id"], "text": one["text"]} for one in texts[:6]])
    jsonl(
        place / "qrels/test.jsonl",
        [
            {"query-id": f"t{at}", "corpus-id": f"t{other}", "score": 1 + at % 2}
            for at in range(6)
            for other in (at + 3, 11)
        ],
    )
    (place / "README.md").write_text(_CARD, encoding="utf-8")
    return folder


needs_mteb = pytest.mark.skipif(find_spec("mteb") is None, reason="mteb is not installed")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_sentence_bert(tmp_path_factory.mktemp("models") / "embeds")


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("sets"))


def figures(found: dict[str, Any], at: int = 0) -> dict[str, float]:
    return {one["metric"]: one["value"] for one in found["contestants"][at]["figures"]}


@needs_mteb
@pytest.mark.slow
def test_the_figures_are_mtebs_own(
    model: Path, sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mteb
    from sentence_transformers import SentenceTransformer

    monkeypatch.chdir(sets)  # a set on the hub is called as a folder here: it is read instead
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    names = ["STSBenchmark", "ArguAna"]
    theirs = mteb.evaluate(
        SentenceTransformer(str(model), device="cpu"),
        [mteb.get_task(name) for name in names],
        cache=None,
        show_progress_bar=False,
    )
    (similar,), (searched,) = (one.scores["test"] for one in theirs.task_results)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    for place in (sets, None):  # read by us, and by mteb's own loaders
        ours = evaluate([model], suites=names, data_dir=place)
        found = figures(ours)
        assert found["STSBenchmark Spearman"] == pytest.approx(similar["cosine_spearman"], rel=1e-6)
        assert found["STSBenchmark Pearson"] == pytest.approx(similar["cosine_pearson"], abs=1e-5)
        assert found["ArguAna nDCG@10"] == pytest.approx(searched["ndcg_at_10"], abs=1e-5)
        assert found["ArguAna recall@5"] == pytest.approx(searched["recall_at_5"], abs=1e-5)
        assert 0 < found["ArguAna nDCG@10"] < 1
        assert (
            "ArguAna: embeds eager: texts cut at its limit of 64 tokens, as mteb cuts them: 1"
            in ours["remarks"]
        )


@needs_mteb
def test_what_was_answered_is_not_asked_again(model: Path, sets: Path, tmp_path: Path) -> None:
    who, names = [eager.contestant(model)], ("STSBenchmark", "ArguAna")
    boards = [
        embedding_suites.run(who, names, sets, Options(workers=1), work=tmp_path) for _ in range(2)
    ]
    for name in names:
        first, again = (board[name].standings[0] for board in boards)
        assert first.kept.marks.tolist() == again.kept.marks.tolist()
        assert first.seconds is not None
        assert again.seconds is None  # nothing was left to ask
        assert boards[0][name].remarks == boards[1][name].remarks
    assert len(first.kept.marks) == 6


@needs_mteb
def test_of_many_languages_those_are_scored_that_are_there(model: Path, tmp_path: Path) -> None:
    rows = [{"sentence1": said(at), "sentence2": said(at + 2), "score": at} for at in range(5)]
    place = tmp_path / "mteb/sts17-crosslingual-sts"
    jsonl(place / "en-en/test.jsonl", rows)
    jsonl(place / "es-es/test.jsonl", rows[:3])
    jsonl(place / "test.jsonl", rows)
    who = [eager.contestant(model)]
    boards = embedding_suites.run(who, ("STS17",), tmp_path, Options())
    counts = {name: len(board.standings[0].kept.marks) for name, board in boards.items()}
    assert counts == {"STS17 en-en": 5, "STS17 es-es": 3}


@needs_mteb
def test_texts_that_say_nothing_are_in_no_search(model: Path, tmp_path: Path) -> None:
    place = tmp_path / "scifact"
    texts = [{"_id": 1, "text": "sun"}, {"_id": 2, "text": "lamp east"}, {"_id": 3, "text": " "}]
    jsonl(place / "corpus.jsonl", texts)
    jsonl(place / "queries.jsonl", [{"_id": str(at), "text": said(at)} for at in range(4)])
    (place / "qrels").mkdir()
    rows = "query-id\tcorpus-id\tscore\n0\t1\t1\n0\t3\t1\n1\t3\t1\n2\t2\t0\n"
    (place / "qrels/test.tsv").write_text(rows)
    found = evaluate([model], suites=["SciFact"], data_dir=tmp_path)
    assert found["data"]["rows"] == 1  # of the others none has an answer that is there
    assert "texts of the corpus that are empty, and left out: 1" in found["remarks"]
    assert "queries left out, as no text that answers them is there: 1" in found["remarks"]


@needs_mteb
@pytest.mark.parametrize(
    ("name", "kind", "code", "says", "helps"),
    [
        ("SciFcat", SpecError, 64, "no suite of mteb", "Did you mean 'SciFact'?"),
        ("Banking77Classification", Unsupported, 78, "Classification", "cosine_spearman"),
        ("CQADupstackRetrieval", Unsupported, 78, "several suites", "CQADupstackAndroidRetrieval"),
        ("SICK-R", InputMissing, 66, "no data of SICK-R", "mteb/sickr-sts/test.{parquet,"),
        ("SciFact", InputMissing, 66, "no data of SciFact", "mteb/scifact/qrels/test.{parquet,"),
    ],
)
def test_a_suite_that_cannot_be_run(
    model: Path,
    sets: Path,
    name: str,
    kind: type[EdgekitError],
    code: int,
    says: str,
    helps: str,
) -> None:
    error = refused(kind, code, says, lambda: evaluate([model], suites=[name], data_dir=sets))
    assert helps in error.hint


@needs_mteb
def test_data_that_is_another(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jsonl(tmp_path / "sickr-sts/test.jsonl", [{"sentence1": "a", "sentence_2": "b", "score": 1}])
    refused(
        InputRefused,
        65,
        "it needs sentence2; it has sentence1, sentence_2, score",
        lambda: evaluate([model], suites=["SICK-R"], data_dir=tmp_path),
    )
    place = tmp_path / "scifact"
    jsonl(place / "corpus.jsonl", [{"_id": "1", "text": "sun"}])
    jsonl(place / "queries.jsonl", [{"_id": "1", "text": "sun"}])
    jsonl(place / "qrels/test.jsonl", [{"query": "1", "corpus-id": "1", "score": "high"}])
    refused(
        InputRefused,
        65,
        "it needs query-id, corpus-id, score",
        lambda: evaluate([model], suites=["SciFact"], data_dir=tmp_path),
    )
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    error = refused(
        InputMissing,
        66,
        "is on the hub (mteb/scifact)",
        lambda: evaluate([model], suites=["SciFact"]),
    )
    assert "--data-dir" in error.hint


def test_what_such_suites_cannot_have(
    model: Path, sets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused(
        SpecError,
        64,
        "--shots",
        lambda: evaluate([model], suites=["STSBenchmark"], shots=2, data_dir=sets),
    )
    monkeypatch.setitem(sys.modules, "mteb", None)
    error = refused(
        Unavailable,
        69,
        "mteb is not installed",
        lambda: evaluate([model], suites=["STSBenchmark"], data_dir=sets),
    )
    assert "pip install" in error.hint

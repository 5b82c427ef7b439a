"""Whole evaluations on small real bundles: figures, pairs, left-out rows, resuming, baselines."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit import columns
from edgekit.api.eval import evaluate
from edgekit.errors import InputRefused, SpecError, Unavailable
from edgekit.runtime.encode import Inputs
from edgekit.scoring import document, gates, journal, saved
from edgekit.scoring import evaluation as scoring
from edgekit.scoring.contestants import Contestant, named_apart, of_bundle
from edgekit.scoring.evaluation import Options
from tests.scoring import classifier as small
from tests.support.refusals import refused
from tests.support.vocabulary import SENTENCES


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.labelled(tmp_path_factory.mktemp("data") / "labelled.jsonl")


@pytest.fixture(scope="module")
def classifier(bundle: Path) -> Contestant:
    return contestants(bundle)[0]


def contestants(folder: Path, *runtimes: str) -> list[Contestant]:
    from edgekit.bundle.read import load_manifest

    return of_bundle(folder, load_manifest(folder), runtimes)


class Lying:
    """An engine whose answers are changed on their way out."""

    def __init__(self, inner: Any, change: Callable[[Any], Any]) -> None:
        self._inner, self._change = inner, change
        self.together = inner.together
        self.asked = 0

    def run(self, batch: Sequence[Inputs]) -> Any:
        self.asked += len(batch)
        outputs, seconds = self._inner.run(batch)
        return [self._change(output) for output in outputs], seconds

    def close(self) -> None:
        self._inner.close()


def changed(one: Contestant, name: str, change: Callable[[Any], Any]) -> Contestant:
    return replace(
        one, name=name, identity=name, open=lambda: Lying(one.open(), change), open_worker=None
    )


def figures(found: dict[str, Any], at: int = 0) -> dict[str, Any]:
    return {figure["metric"]: figure for figure in found["contestants"][at]["figures"]}


def test_the_figures_are_those_of_the_bundles_own_answers(bundle: Path, labelled: Path) -> None:
    from sklearn.metrics import accuracy_score, f1_score

    from edgekit import Bundle

    rows = [row.values for row in columns.read(labelled)]
    with Bundle.open(bundle) as opened:
        answers = opened.run([row["text"] for row in rows])
    found = [answer["labels"][0]["label"] for answer in answers]
    truth = [row["label"] for row in rows]
    made = evaluate([bundle], data=labelled)
    assert figures(made)["accuracy"]["value"] == pytest.approx(accuracy_score(truth, found))
    assert figures(made)["macro F1"]["value"] == pytest.approx(
        f1_score(truth, found, average="macro", zero_division=0)
    )
    parts = {(p["by"], p["name"]): p["rows"] for p in made["contestants"][0]["slices"]}
    assert parts["lang", "xx"] == 10
    assert parts["script", "Cyrillic"] == 2
    assert made["contestants"][0]["latency_ms"]["median"] > 0


def test_harm_is_done_and_counted(classifier: Contestant, labelled: Path) -> None:
    board = scoring.evaluate([classifier], labelled, Options(robustness=12))
    (standing,) = board.standings
    assert [one["harm"] for one in standing.robustness] == [
        "typos",
        "case",
        "whitespace",
        "emoji",
        "mixed script",
    ]
    assert {one["rows"] for one in standing.robustness} == {12}
    case = standing.robustness[1]
    assert case["drop"] == 0  # the tokenizer lowers everything


def test_a_worse_contestant_is_said_to_be_and_its_flips_are_shown(
    classifier: Contestant, labelled: Path
) -> None:
    turned = changed(classifier, "turned", lambda output: np.roll(output, 1, axis=-1))
    board = scoring.evaluate([classifier, turned], labelled, Options(flips=5))
    found = board.as_dict()
    flips = found["contestants"][1]["flips"]
    right = [e.mark.right for e in entries_of(board, 0)]
    also = [e.mark.right for e in entries_of(board, 1)]
    assert flips["counts"]["now wrong"] == sum(
        a and not b for a, b in zip(right, also, strict=True)
    )
    assert sum(flips["counts"].values()) == len(SENTENCES)
    assert len(flips["examples"]) == 5
    for example in flips["examples"]:
        assert example["text"] == SENTENCES[example["row"] - 1][:160]
        assert example["first"] != example["this"]
    change = figures(found, 1)["accuracy"]["change"]
    assert change["value"] == pytest.approx(np.mean(also) - np.mean(right))


def test_different_tokenizers_are_allowed_and_said(
    bundle: Path, labelled: Path, tmp_path: Path
) -> None:
    cased = small.bundle(tmp_path, lower=False)
    (said,) = [one for one in evaluate([bundle, cased], data=labelled)["remarks"] if "token" in one]
    assert said == "the contestants have different tokenizers: they read different tokens"
    alone = evaluate([bundle], data=labelled)
    assert not [one for one in alone["remarks"] if "token" in one]


def entries_of(board: document.Board, at: int) -> Iterator[Any]:
    kept = board.standings[at].kept
    from types import SimpleNamespace as Space

    for flag in kept.right:
        yield Space(mark=Space(right=bool(flag)))


def test_outputs_that_are_no_numbers_are_counted_and_named(
    classifier: Contestant, labelled: Path
) -> None:
    seen = iter(range(10_000))

    def broken(output: Any) -> Any:
        return output * np.nan if next(seen) in (2, 5) else output

    board = scoring.evaluate([changed(classifier, "broken", broken)], labelled, Options())
    found = board.as_dict()
    assert found["contestants"][0]["not_finite"] == {"count": 2, "rows": [3, 6]}
    assert found["data"]["scored"] == len(SENTENCES) - 2
    from edgekit.errors import CheckFailed

    error = refused(CheckFailed, 1, "not finite", lambda: gates.refuse_not_finite(found))
    assert "broken: 2 rows (first: 3, 6)" in error.message


def test_a_text_that_is_too_long_is_counted_and_left_out_for_all(
    classifier: Contestant, tmp_path: Path
) -> None:
    path = tmp_path / "long.csv"
    long = "word " * 500
    path.write_text(f"text,label\nshort one,neutral\n{long},neutral\nshort two,positive\n")
    found = scoring.evaluate([classifier], path, Options()).as_dict()
    assert found["contestants"][0]["left_out"] == {"count": 1, "rows": [2]}
    assert (found["data"]["rows"], found["data"]["scored"]) == (3, 2)
    assert any("1 of 3 rows do not count" in remark for remark in found["remarks"])
    path.write_text(f"text,label\n{long},neutral\n")
    refused(
        InputRefused,
        65,
        "no row of long.csv could be scored: 1 cannot be asked",
        lambda: scoring.evaluate([classifier], path, Options()),
    )


def test_a_malformed_last_row_is_told_before_anything_is_asked(
    classifier: Contestant, tmp_path: Path
) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("text,label\nfine,neutral\nfine,positiv\n")

    def never() -> Any:
        raise AssertionError("opened")

    error = refused(
        InputRefused,
        65,
        "bad.csv, row 2 (line 3): label is str 'positiv'",
        lambda: scoring.evaluate([replace(classifier, open=never)], path, Options()),
    )
    assert "did you mean 'positive'?" in error.hint


def test_a_stopped_run_goes_on_from_where_it_was(
    classifier: Contestant, labelled: Path, tmp_path: Path
) -> None:
    whole = scoring.evaluate([classifier], labelled, Options())
    engines: list[Lying] = []

    def stopping(after: int) -> Contestant:
        def engine() -> Lying:
            def count(output: Any) -> Any:
                if engines[-1].asked > after:
                    raise KeyboardInterrupt
                return output

            engines.append(Lying(classifier.open(), count))
            return engines[-1]

        return replace(classifier, open=engine, open_worker=None)

    with pytest.raises(KeyboardInterrupt):
        scoring.evaluate([stopping(20)], labelled, Options(), work=tmp_path)
    kept = engines[0].together  # what came in whole batches
    assert 0 < kept < 20
    with (tmp_path / "0.jsonl").open("a") as file:
        file.write(f'[{kept + 1}, 0, 1.0, "", [0.0')  # as a kill leaves it
    again = scoring.evaluate([stopping(99)], labelled, Options(), work=tmp_path)
    assert engines[1].asked == len(SENTENCES) - kept
    assert np.array_equal(again.standings[0].kept.marks, whole.standings[0].kept.marks)
    assert again.standings[0].seconds is None  # no time of a whole pass
    other = replace(stopping(99), identity="another")
    scoring.evaluate([other], labelled, Options(), work=tmp_path)
    assert engines[2].asked == len(SENTENCES)


def test_rows_with_large_answers_are_asked_one_by_one(bundle: Path) -> None:
    from edgekit.bundle.read import load_manifest
    from edgekit.runtime import open_artifact
    from edgekit.scoring.engines import SessionEngine

    manifest = load_manifest(bundle)
    (output,) = manifest.signature.outputs
    session = open_artifact(bundle, manifest, "onnx")
    found = {}
    for width in (3, 30_000, 3_000_000, 30_000_000):
        last = output.dims[-1].model_copy(update={"minimum": width, "maximum": width})
        wide = output.model_copy(update={"dims": (*output.dims[:-1], last)})
        signature = manifest.signature.model_copy(update={"outputs": (wide,)})
        changed = manifest.model_copy(update={"signature": signature})
        found[width] = SessionEngine(session, changed).together
    session.close()
    assert found == {3: 16, 30_000: 16, 3_000_000: 1, 30_000_000: 1}


def test_a_baseline_is_the_first_column_row_by_row(
    bundle: Path, labelled: Path, tmp_path: Path
) -> None:
    first = evaluate([bundle], data=labelled, out=tmp_path / "first.json")
    assert not list(tmp_path.glob(".*"))  # nothing is left beside the document
    again = evaluate([bundle], data=labelled, baseline=tmp_path / "first.json")
    assert [one["name"] for one in again["contestants"]] == [
        "classifier onnx (baseline)",
        "classifier onnx",
    ]
    assert figures(again, 1)["accuracy"]["change"] == {
        "value": 0,
        "low": 0,
        "high": 0,
        "significant": False,
    }
    assert figures(again)["accuracy"]["value"] == figures(first)["accuracy"]["value"]
    refused(
        SpecError,
        64,
        "made with other data",
        lambda: evaluate([bundle], data=labelled, limit=5, baseline=tmp_path / "first.json"),
    )
    for text, word in (
        ("{", "not JSON"),
        ("[]", "no document"),
        (json.dumps({"format": document.FORMAT}), "no document"),
    ):
        (tmp_path / "bad.json").write_text(text)
        refused(InputRefused, 65, word, lambda: saved.read(tmp_path / "bad.json"))


def test_marks_of_another_hand_are_refused(bundle: Path, labelled: Path, tmp_path: Path) -> None:
    path = tmp_path / "first.json"
    evaluate([bundle], data=labelled, limit=4, out=path)
    whole = json.loads(path.read_text())
    for marks, error, status, word in (
        ([["x"] * 6] * 4, InputRefused, 65, "did not write"),
        ([[1.0]] * 4, InputRefused, 65, "did not write"),
        (None, SpecError, 64, "no rows to compare"),
    ):
        whole["contestants"][0]["marks"] = marks
        path.write_text(json.dumps(whole))
        refused(
            error,
            status,
            word,
            lambda: evaluate([bundle], data=labelled, limit=4, baseline=path),
        )


def test_what_cannot_be_compared_is_refused(
    bundle: Path, labelled: Path, classifier: Contestant
) -> None:
    other = replace(classifier, task="fill-mask", identity="other")
    refused(
        SpecError,
        64,
        "different tasks",
        lambda: scoring.evaluate([classifier, other], labelled, Options()),
    )
    refused(SpecError, 64, "named twice", lambda: named_apart([classifier, classifier]))
    refused(
        SpecError, 64, "unknown runtime", lambda: evaluate([bundle], data=labelled, runtimes=["x"])
    )
    refused(SpecError, 64, "either --data or --suite", lambda: evaluate([bundle]))
    refused(SpecError, 64, "no bundle and no model", lambda: evaluate([], data=labelled))
    refused(SpecError, 64, "has no executorch", lambda: contestants(bundle, "executorch"))


def test_memory_does_not_grow_with_the_file(classifier: Contestant, tmp_path: Path) -> None:
    import tracemalloc

    path = tmp_path / "many.csv"
    peaks = []
    for rows in (200, 2000):
        path.write_text("text,label\n" + f"{'a word ' * 20},neutral\n" * rows)

        def constant() -> Any:
            return Constant()

        tracemalloc.start()
        with journal_of(tmp_path, rows) as kept:
            rows_of = columns.read(path)
            from edgekit.scoring import kinds
            from edgekit.scoring.session import score

            kind = kinds.kind("classification")
            for entry in score(
                replace(classifier, open=constant), [Constant()], kind.score, rows_of
            ):
                kept.add(entry)
            peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] + 200_000


class Constant:
    """An engine that costs nothing."""

    together = 1

    def run(self, batch: Sequence[Inputs]) -> Any:
        return [np.array([[0.1, 0.5, 0.2]], dtype=np.float32) for _ in batch], None

    def close(self) -> None:
        pass


def journal_of(folder: Path, rows: int) -> Any:
    from contextlib import closing

    return closing(journal.Journal(folder / f"{rows}.jsonl", "key"))


def test_an_emulated_processor_that_is_not_there_says_so(
    bundle: Path, labelled: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (one,) = contestants(bundle, "arm64")
    with pytest.raises(Unavailable) as caught:
        one.open()
    assert caught.value.hint

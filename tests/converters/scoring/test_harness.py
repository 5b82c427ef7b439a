"""Suites of lm-eval on a decoder: the same picks as its own model, item by item."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.bundle.read import load_manifest
from edgekit.errors import CheckFailed, InputMissing, InputRefused, SpecError, Unsupported
from edgekit.scoring.document import Board
from edgekit_converters.scoring import harness, players, suites
from edgekit_converters.scoring.harness import Options, Player
from edgekit_converters.scoring.hub_files import ENDINGS
from edgekit_converters.scoring.language_model import ArtifactModel
from tests.bundle import small
from tests.converters.scoring import benchmark_data
from tests.support.refusals import refused

NAMES = tuple(benchmark_data.PLACES)


def both(model: Path, bundle: Path) -> list[Player]:
    return [players.of_model(model), *players.of_bundle(bundle, load_manifest(bundle), ())]


@pytest.fixture(scope="module")
def boards(model: Path, bundle: Path, data: Path) -> dict[str, Board]:
    return harness.run(both(model, bundle), NAMES, data, Options(shots=0, flips=3))


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_the_artifact_picks_what_lm_evals_own_model_picks(
    boards: dict[str, Board], name: str
) -> None:
    eager, artifact = boards[name].standings
    assert eager.facts["runtime"] == "eager"
    assert eager.fields == artifact.fields
    if name == "wikitext":
        assert artifact.kept.marks == pytest.approx(eager.kept.marks, rel=1e-5)
    else:
        assert np.array_equal(artifact.kept.marks, eager.kept.marks)
        assert artifact.flips["counts"] == {"now wrong": 0, "now right": 0, "otherwise": 0}
    assert len(eager.kept.marks) == 4


@pytest.mark.slow
@pytest.mark.long
def test_the_figures_are_lm_evals(model: Path, data: Path, boards: dict[str, Board]) -> None:
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM

    tasks = suites.tasks(("arc_easy", "wikitext"), data, 0)
    found = simple_evaluate(
        HFLM(pretrained=str(model), batch_size=1, device="cpu"),
        tasks=list(tasks.values()),
        bootstrap_iters=0,
    )
    assert found is not None
    for name, metric in (
        ("arc_easy", "acc"),
        ("arc_easy", "acc_norm"),
        ("wikitext", "bits_per_byte"),
    ):
        wanted = found["results"][name][f"{metric},none"]
        board = boards[name]
        for standing in board.standings:
            assert board.estimates(standing)[metric].value == pytest.approx(wanted, rel=1e-4)


@pytest.mark.slow
@pytest.mark.long
def test_a_document_of_several_suites_tells_them_apart(boards: dict[str, Board]) -> None:
    from edgekit.scoring.document import merged

    whole = merged({name: boards[name].as_dict() for name in ("arc_easy", "gsm8k")})
    names = [figure["metric"] for figure in whole["contestants"][1]["figures"]]
    assert names == [
        "arc_easy acc",
        "arc_easy acc_norm",
        "gsm8k exact_match (strict-match)",
        "gsm8k exact_match (flexible-extract)",
    ]
    assert whole["data"]["rows"] == 8


def test_a_texts_likelihood_does_not_depend_on_its_neighbours(bundle: Path) -> None:
    """The cache is shared between requests: an order must change nothing."""
    (player,) = players.of_bundle(bundle, load_manifest(bundle), ())
    lm, close = player.open(lambda done, total: None)
    texts = ["The sun rises", "The sun sets", "The sun rises in the east", "what", "hello you"]
    requests = [(None, lm.tok_encode(text)[:3], lm.tok_encode(text)[3:] or [5]) for text in texts]
    together = lm._loglikelihood_tokens(requests)
    alone = []
    for request in reversed(requests):
        lm._cached = []
        alone.append(lm._loglikelihood_tokens([request])[0])
    close()
    for one, other in zip(together, reversed(alone), strict=True):
        assert one[0] == pytest.approx(other[0], abs=1e-4)
        assert one[1] == other[1]


def test_logits_that_are_no_numbers_are_no_score(bundle: Path, data: Path) -> None:
    (player,) = players.of_bundle(bundle, load_manifest(bundle), ())

    def broken(told: Any) -> Any:
        lm, close = player.open(told)

        class Steps:
            context, vocabulary = lm.max_length, lm._steps.vocabulary

            def feed(self, ids: Any, position: int) -> Any:
                return lm._steps.feed(ids, position) * np.nan

            def close(self) -> None:
                close()

        return ArtifactModel(Steps(), lm.tokenizer, told), close

    error = refused(
        CheckFailed,
        1,
        "not finite",
        lambda: harness.run([Player(player.facts, broken)], ("copa",), data, Options(limit=1)),
    )
    assert "tiny onnx" in error.message


def test_data_in_the_hubs_own_files(tmp_path: Path) -> None:
    folder = benchmark_data.write(tmp_path, rows=3, ending="parquet")
    found = suites.tasks(("arc_challenge", "piqa"), folder)
    assert len(found["arc_challenge"].eval_docs) == 3
    assert found["piqa"].eval_docs[1]["label"] == 1


def test_a_suite_without_its_data_names_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = refused(
        InputMissing,
        66,
        "has no test data of arc_easy",
        lambda: suites.tasks(("arc_easy",), tmp_path),
    )
    assert f"{tmp_path}/allenai/ai2_arc/ARC-Easy/test.{{{','.join(ENDINGS)}}}" in error.hint
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    refused(
        InputMissing,
        66,
        "is on the hub (allenai/ai2_arc)",
        lambda: suites.tasks(("arc_easy",), None),
    )
    error = refused(
        SpecError, 64, "no suite is called", lambda: suites.tasks(("arc_esy",), tmp_path)
    )
    assert "Did you mean 'arc_easy'?" in error.hint
    place = tmp_path / "baber" / "piqa"
    place.mkdir(parents=True)
    for text, word in (("{", "cannot be read"), ("", "has no rows")):
        (place / "validation.jsonl").write_text(text)
        refused(InputRefused, 65, word, lambda: suites.tasks(("piqa",), tmp_path))


def test_suites_are_for_models_that_continue_texts(tmp_path: Path) -> None:
    refused(
        Unsupported,
        78,
        "suites are for text-generation",
        lambda: players.of_bundle(tmp_path, small.manifest(), ()),
    )


def test_an_artifact_that_is_not_there(bundle: Path) -> None:
    refused(
        SpecError,
        64,
        "has no executorch",
        lambda: players.of_bundle(bundle, load_manifest(bundle), ["executorch"]),
    )

"""A cut model, refitted: which layer follows which, and that it helps or leaves things alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from edgekit_converters.prune import architecture, ranking, restoring, surgeon
from edgekit_converters.prune import job as jobs
from edgekit_converters.prune.evidence import Evidence
from edgekit_converters.prune.granularities import ffn, head, hidden, layer
from edgekit_converters.prune.subject import Subject, subject
from edgekit_converters.source import resolve
from tests.converters.prune.test_generating import _LLAMA
from tests.converters.prune.test_retrain import TEXTS
from tests.support.families import FAMILIES, write_family
from tests.support.models import tiny_sentence_bert


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    folder = tmp_path_factory.mktemp("encoder") / "model"
    return subject(resolve(tiny_sentence_bert(folder, num_hidden_layers=4)))


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """An encoder without a head: a vector a token."""
    folder = tmp_path_factory.mktemp("bare") / "model"
    return subject(resolve(write_family(folder, FAMILIES["BERT"])))


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    folder = tmp_path_factory.mktemp("decoder") / "model"
    return subject(resolve(write_family(folder, _LLAMA, head="AutoModelForCausalLM")))


def cut(original: Subject, granularity: Any) -> tuple[Subject, Any]:
    """Half of the units, by magnitude; of layers the first ones stay."""
    now = architecture.of(original.model)
    wanted = granularity.cut(now, now, 0.5)
    if granularity is layer:
        kept = {group.name: [0, 3][: group.count // 2] for group in wanted.groups}
    else:
        seen = Evidence(original.model, original.rows, original.categorical, [])
        kept = ranking.choose(wanted, ranking.unit_scores("magnitude", wanted, seen))
    return original.holding(surgeon.cut(now, wanted.groups, kept, wanted.sizes)), kept


@pytest.mark.parametrize(
    ("which", "granularity"),
    [
        ("encoder", ffn),
        ("encoder", layer),
        ("bare", ffn),
        ("decoder", ffn),
        ("decoder", head),
        ("decoder", layer),
    ],
)
def test_it_comes_nearer_or_stays_as_it_was(
    which: str, granularity: Any, request: pytest.FixtureRequest
) -> None:
    original: Subject = request.getfixturevalue(which)
    changed, kept = cut(original, granularity)
    before = {name: tensor.clone() for name, tensor in changed.model.state_dict().items()}
    follows = restoring.after_cut(restoring.every_layer(original), kept)
    found = restoring.restore(changed, original, TEXTS, follows, lambda line: None)
    assert found is not None
    assert found.after is not None
    assert found.left[0] < 1
    same = [torch.equal(tensor, before[n]) for n, tensor in changed.model.state_dict().items()]
    assert found.kept == (found.after > found.before)
    assert all(same) != found.kept
    if granularity is ffn:
        assert found.kept


def test_another_width_has_nothing_to_be_held_against(encoder: Subject) -> None:
    changed, kept = cut(encoder, hidden)
    follows = restoring.after_cut(restoring.every_layer(encoder), kept)
    found = restoring.restore(changed, encoder, TEXTS, follows, lambda line: None)
    assert found is not None
    assert (found.kept, found.reason) == (False, "the width is another one")


def test_few_texts_are_not_fitted_to(encoder: Subject) -> None:
    changed, _ = cut(encoder, ffn)
    assert restoring.restore(changed, encoder, TEXTS[:63], range(4), lambda line: None) is None


def test_what_follows_what_after_two_rounds() -> None:
    first = restoring.after_cut(range(6), {"encoder.layer layers": [0, 2, 4, 5]})
    assert list(first) == [1, 3, 4, 5]
    assert list(restoring.after_cut(first, {"encoder.layer layers": [0, 3]})) == [4, 5]
    assert list(restoring.after_cut(first, {"encoder.layer.0.ffn": [1, 2]})) == [1, 3, 4, 5]


def test_the_record_says_what_it_brought(encoder: Subject, tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(TEXTS), encoding="utf-8")
    said = {"amount": 0.5, "method": "magnitude", "data": texts, "control": False}
    made = {}
    for wanted in (True, False):
        out = tmp_path / str(wanted)
        folder = encoder.loaded.source.folder
        made[wanted] = jobs.prune(folder, {**said, "repair": wanted}, out=out).record
    assert made[False]["repair"] is None
    found = made[True]["repair"]
    assert found["kept"]
    assert found["after"] > found["before"]
    with_it, without = (made[w]["quality"]["result"]["spearman"] for w in (True, False))
    assert with_it > without
    assert made[True]["config"]["repair"] is True
    assert "What stays was refitted" in made[True]["verdict"]
    assert "refitted" not in made[False]["verdict"]

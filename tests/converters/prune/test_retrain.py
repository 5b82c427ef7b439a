"""Training towards the original: what it learns, what it leaves alone, how much it reads."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from edgekit.errors import CheckFailed
from edgekit_converters.prune import allocation, masks, quality, restoring, retrain
from edgekit_converters.prune import job as jobs
from edgekit_converters.prune.evidence import Evidence
from edgekit_converters.prune.subject import Subject, subject
from edgekit_converters.source import resolve
from tests.support.families import FAMILIES, write_family
from tests.support.models import tiny_sentence_bert
from tests.support.vocabulary import SENTENCES

TEXTS = [f"{one[:-1]} and {other}" for one in SENTENCES for other in SENTENCES[:5]]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    folder = tmp_path_factory.mktemp("original") / "model"
    return subject(resolve(tiny_sentence_bert(folder, num_hidden_layers=3)))


def shaken(original: Subject) -> Subject:
    """A copy whose matrices lost something."""
    model = copy.deepcopy(original.model)
    draw = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in model.encoder.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=draw)
    return original.holding(model)


def cosine(original: Subject, changed: Subject) -> float:
    batches = original.batches(TEXTS[-20:])
    return quality.measure(original, changed, batches, batches)["cosine"]


def test_it_comes_nearer_and_the_second_run_reads_what_the_first_one_asked(
    original: Subject, tmp_path: Path
) -> None:
    before = {name: tensor.clone() for name, tensor in original.model.state_dict().items()}
    changed, told, texts = shaken(original), list[str](), TEXTS[:-20]
    again = shaken(original)
    lost = 1 - cosine(original, changed)
    for one in (changed, again):
        made = retrain.retrain(
            one, original, texts, 20, tmp_path / "work", follows=range(3), say=told.append
        )
        assert made.steps == 20
    assert 1 - cosine(original, changed) < 0.5 * lost
    assert told.count("the teacher's answers are read from the cache") == 1
    states = changed.model.state_dict(), again.model.state_dict()
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())
    assert not (tmp_path / "work").exists()
    assert not any(parameter.requires_grad for parameter in changed.model.parameters())
    assert all(torch.equal(before[n], t) for n, t in original.model.state_dict().items())


def test_a_model_that_gives_a_vector_a_token_is_trained_by_their_means(tmp_path: Path) -> None:
    bare = subject(resolve(write_family(tmp_path / "model", FAMILIES["BERT"])))
    changed = shaken(bare)
    lost = 1 - cosine(bare, changed)
    retrain.retrain(changed, bare, TEXTS[:-20], 20, tmp_path / "work", follows=range(2))
    assert 1 - cosine(bare, changed) < 0.7 * lost


def test_zeros_stay_zero(original: Subject, tmp_path: Path) -> None:
    changed = original.holding(copy.deepcopy(original.model))
    seen = Evidence(changed.model, original.rows, False, original.batches(TEXTS[:8]))
    gone = masks.masked(
        seen, "element", "magnitude", 0.8, lambda scores: allocation.uniform(scores, 0.8)
    )
    lost = 1 - cosine(original, changed)
    retrain.retrain(changed, original, TEXTS[:-20], 20, tmp_path / "work", zeros=gone)
    weights = dict(changed.model.named_parameters())
    assert all(bool((weights[name][hole] == 0).all()) for name, hole in gone.items())
    assert 1 - cosine(original, changed) < lost
    moved = weights["encoder.layer.0.output.dense.weight"]
    assert not torch.equal(moved, original.model.encoder.layer[0].output.dense.weight)


class Endless:
    """A million texts, of which it is known which were read."""

    def __init__(self) -> None:
        self.read: set[int] = set()

    def __len__(self) -> int:
        return 1_000_000

    def __getitem__(self, place: Any) -> str:
        self.read.add(place)
        return TEXTS[place % len(TEXTS)]


def test_no_more_texts_are_read_than_there_are_steps_for(original: Subject, tmp_path: Path) -> None:
    texts: Any = Endless()
    retrain.retrain(shaken(original), original, texts, 2, tmp_path / "work")
    assert len(texts.read) == 64
    assert max(texts.read) > 900_000  # from all over the file


def test_a_loss_that_is_no_number_stops_it(original: Subject, tmp_path: Path) -> None:
    changed, work = shaken(original), tmp_path / "work"
    with pytest.raises(CheckFailed, match=r"failed at step [2-9]") as found:
        retrain.retrain(changed, original, TEXTS, 20, work, rate=1e38)
    assert found.value.exit_status == 1
    assert "--retrain" in found.value.hint
    assert not work.exists()


def test_what_has_another_tokenizer_is_trained_by_whole_texts(
    original: Subject, tmp_path: Path
) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(TEXTS), encoding="utf-8")
    said = {"granularity": "vocab", "amount": 0.2, "retrain": 20, "data": texts, "control": False}
    folder = original.loaded.source.folder
    found = jobs.prune(folder, said, out=tmp_path / "out", samples_file=texts).record["quality"]
    # These texts are cut as before, so there is nothing to learn, and nothing gets lost.
    assert found["before training"]["cosine"] == pytest.approx(1, abs=1e-6)
    assert found["after training"]["cosine"] > 0.999


def test_a_model_with_two_stacks_is_trained_by_its_answers(tmp_path: Path) -> None:
    folder = write_family(
        tmp_path / "T5",
        FAMILIES["T5 encoder"],
        head="AutoModelForSeq2SeqLM",
        decoder_start_token_id=0,
    )
    original = subject(resolve(folder))
    changed = original.holding(copy.deepcopy(original.model))
    draw = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in changed.model.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=draw)
    batches = original.batches(SENTENCES[-8:])
    lost = quality.measure(original, changed, batches, batches)["divergence"]
    follows = restoring.every_layer(original)
    retrain.retrain(
        changed, original, SENTENCES[:-8], 10, tmp_path / "work", follows=follows, rate=1e-3
    )
    assert quality.measure(original, changed, batches, batches)["divergence"] < lost

"""Where students begin: layers, widths, folders; and the search for the layers that matter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from edgekit.errors import InputMissing, InputRefused, SpecError, Unsupported
from edgekit_converters.distill import beginnings, repair, search, student, width
from edgekit_converters.distill.collate import NumberedRows, collate_for
from edgekit_converters.distill.measure import Measure
from edgekit_converters.distill.models import Taught, opened
from edgekit_converters.distill.outputs import Probe
from edgekit_converters.distill.teacher import Live
from edgekit_converters.distill.wanted import Beginning, beginning
from edgekit_converters.source import resolve
from tests.converters.distill.conftest import TEXTS
from tests.support.models import tiny_bert, tiny_distilbert, tiny_sentence_bert
from tests.support.refusals import refused

ROWS = NumberedRows([{"text": text} for text in TEXTS[:40]])


def measure(taught: Taught) -> Measure:
    return Measure(taught.kind, Live(taught.probe()), collate_for(taught), ROWS)


def vectors(taught: Taught, model: Any = None) -> torch.Tensor:
    batch = collate_for(taught)([ROWS[number] for number in range(8)])
    probe = Probe(model or taught.model, taught.pooling)
    with torch.no_grad():
        return probe(batch, {"embedding"})["embedding"]


def test_all_layers_are_the_teacher_itself(teacher: Taught) -> None:
    same = student.from_layers(teacher.model, [0, 1, 2, 3])
    assert torch.equal(vectors(teacher, same), vectors(teacher))


def test_dropped_layers_are_as_if_they_did_nothing(teacher: Taught) -> None:
    made = student.from_layers(teacher.model, [0, 3])
    whole: Any = teacher.model
    skipped = whole.encoder.layer
    whole.encoder.layer = torch.nn.ModuleList([skipped[0], skipped[3]])
    assert torch.equal(vectors(teacher, made), vectors(teacher))
    assert made.config.num_hidden_layers == 2


def test_a_layer_that_does_nothing_is_dropped_first(teacher: Taught) -> None:
    with torch.no_grad():
        for layer in (1, 2):
            block: Any = teacher.model.encoder.layer[layer]
            block.attention.output.dense.weight.zero_()
            block.output.dense.weight.zero_()
    told: list[str] = []
    tried = search.search(teacher.model, teacher.pooling, 2, measure(teacher), told.append)
    assert tried[0].layers == (0, 3)
    assert len(tried) == 6
    assert [one.fidelity for one in tried] == sorted((t.fidelity for t in tried), reverse=True)
    assert "tried 6 of 6 subsets" in told[-1]


def test_the_best_subset_is_the_best_once_it_is_refitted(teacher: Taught) -> None:
    rows = NumberedRows([{"text": text} for text in TEXTS[40:]])
    texts = repair.batches(rows, collate_for(teacher))
    told: list[str] = []
    wanted = Beginning(layers="2")
    begun = beginnings.begin(wanted, teacher, measure(teacher), 0, told.append, texts)
    assert begun.repair is not None
    judged = [line for line in told if "refit" in line]
    assert len(judged) == 4  # three of the six that were tried, and the best of them for good
    assert begun.words.endswith(" of 4, refitted") == begun.repair.kept
    own = measure(teacher)(begun.taught.probe()).fidelity
    assert own == pytest.approx(begun.repair.fidelity, abs=1e-6)
    assert own >= begun.tried[0].fidelity
    assert all(f"{own:.4f}" >= line.split()[-1] for line in judged if ": refitted" in line)
    whole = beginnings.begin(Beginning(layers="4"), teacher, None, 0, told.append, texts)
    assert whole.repair is None


def test_many_subsets_are_searched_by_dropping_one_after_another(tmp_path: Path) -> None:
    # 9 layers, 4 of them: 126 subsets.
    deep = opened(
        resolve(tiny_sentence_bert(tmp_path / "deep", num_hidden_layers=9, initializer_range=0.05))
    )
    tried = search.search(deep.model, deep.pooling, 4, measure(deep))
    assert len(tried) == 5  # the last round
    assert all(len(one.layers) == 4 for one in tried)
    whole = measure(deep)
    first = student.from_layers(deep.model, tried[0].layers)
    assert tried[0].fidelity == pytest.approx(whole(Probe(first, deep.pooling)).fidelity, abs=1e-6)


@pytest.mark.parametrize(
    ("changes", "sizes"),
    [
        ({"hidden_size": 32, "num_attention_heads": 1, "intermediate_size": 96}, (32, 1, 96)),
        ({"intermediate_size": 64, "num_hidden_layers": 2}, (64, 2, 64)),
    ],
)
def test_a_narrower_student_is_cut_out(
    teacher: Taught, tmp_path: Path, changes: dict[str, int], sizes: tuple[int, int, int]
) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(changes))
    begun = beginnings.begin(
        Beginning(config=path), teacher, measure(teacher), 0, lambda line: None
    )
    assert width.shape_of_config(begun.taught.model.config) == sizes
    assert "by importance" in begun.words
    held = measure(teacher)
    chance = student.made(teacher.model, begun.taught.model.config, 1)
    own = held(begun.taught.probe()).fidelity
    assert own > held(Probe(chance, teacher.pooling)).fidelity + 0.02


@pytest.mark.parametrize("maker", [tiny_bert, tiny_distilbert])
def test_parts_that_are_nothing_are_cut_first(tmp_path: Path, maker: Any) -> None:
    made = opened(resolve(maker(tmp_path / "model")))
    wide = "ffn.lin1" if maker is tiny_distilbert else "intermediate.dense"
    with torch.no_grad():
        for name, parameter in made.model.named_parameters():
            if f"{wide}.weight" in name:
                parameter[40:].zero_()
            elif f"{wide}.bias" in name:
                parameter[40:].zero_()  # gelu(0) = 0: these neurons say nothing
    config = student.changed_config(
        made.model, {"intermediate_size" if maker is tiny_bert else "hidden_dim": 40}
    )
    cut = width.cut(made.model, config, [0, 1])
    batch = collate_for(made)([ROWS[0], ROWS[1]])
    with torch.no_grad():
        own = Probe(cut, None)(batch, {"logits"})["logits"]
        other = made.probe()(batch, {"logits"})["logits"]
    assert torch.allclose(own, other, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"hidden": 32}, "no 'hidden'"),
        ({"model_type": "gpt2"}, "model_type"),
        ({"vocab_size": 10}, "vocab_size"),
        ({"hidden_size": 33}, "do not divide"),
        ({"hidden_size": 32}, "head would be"),
        ({"intermediate_size": 4096}, "wider"),
        ({"num_hidden_layers": 0}, "num_hidden_layers is 0"),
    ],
)
def test_sizes_that_cannot_be_are_refused(
    teacher: Taught, tmp_path: Path, changes: dict[str, Any], word: str
) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(changes))
    wanted = Beginning(config=path)
    held = measure(teacher)
    refused(
        SpecError, 64, word, lambda: beginnings.begin(wanted, teacher, held, 0, lambda line: None)
    )


@pytest.mark.parametrize(
    ("layers", "word"), [("0,9", "cannot be taken"), ("1,0", "cannot be"), ("x", "'x'"), ("7", "7")]
)
def test_layers_that_are_not_there_are_refused(teacher: Taught, layers: str, word: str) -> None:
    wanted = Beginning(layers=layers)
    held = measure(teacher)
    refused(
        SpecError, 64, word, lambda: beginnings.begin(wanted, teacher, held, 0, lambda line: None)
    )


def test_two_beginnings_are_refused() -> None:
    refused(SpecError, 64, "--student and --layers", lambda: beginning("folder", "3", None))


def test_a_config_that_is_not_there(teacher: Taught, tmp_path: Path) -> None:
    wanted = Beginning(config=tmp_path / "none.json")
    refused(
        InputMissing,
        66,
        "no config file",
        lambda: beginnings.begin(wanted, teacher, None, 0, lambda line: None),
    )


def other_tokens(folder: Path) -> Path:
    """A student whose vocabulary lacks a word."""
    made = tiny_sentence_bert(folder)
    file = folder / "tokenizer.json"
    data = json.loads(file.read_text(encoding="utf-8"))
    data["model"]["vocab"].pop("train")
    file.write_text(json.dumps(data), encoding="utf-8")
    return made


def test_another_tokenizer_is_refused_or_bridged(teacher: Taught, tmp_path: Path) -> None:
    folder = other_tokens(tmp_path / "other")
    error = refused(
        InputRefused, 65, "other tokens", lambda: beginnings.given(folder, teacher, bridge=False)
    )
    assert "--bridge-tokenizer" in error.hint
    assert beginnings.given(folder, teacher, bridge=True).bridged
    same = tiny_sentence_bert(tmp_path / "same", seed=3)
    assert not beginnings.given(same, teacher, bridge=False).bridged


def test_a_model_with_two_stacks_is_refused(tmp_path: Path) -> None:
    from transformers import T5Config, T5Model

    config = T5Config(d_model=16, d_kv=8, d_ff=16, num_layers=2, num_heads=2, vocab_size=30)
    refused(Unsupported, 78, "no single list", lambda: student.from_layers(T5Model(config), [0]))

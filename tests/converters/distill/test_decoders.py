"""Language models: what they write themselves, what they copy, and reasons beside labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from edgekit.errors import InputRefused, SpecError
from edgekit_converters.distill.collate import IGNORED, NumberedRows, collate_for
from edgekit_converters.distill.distiller import Distiller
from edgekit_converters.distill.distilling import distill
from edgekit_converters.distill.losses import parse, rationale, term
from edgekit_converters.distill.models import Taught, opened
from edgekit_converters.distill.outputs import shape_of
from edgekit_converters.distill.recipe import Recipe
from edgekit_converters.distill.teacher import Live
from edgekit_converters.distill.wanted import Beginning
from edgekit_converters.source import resolve
from tests.support.models import write_model
from tests.support.refusals import refused

SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "max_position_embeddings": 64,
    "initializer_range": 0.1,
    "eos_token_id": 3,
    "tie_word_embeddings": True,
}


def decoder(folder: Path, family: str = "Llama", **changes: Any) -> Path:
    import transformers

    sizes = SIZES | changes
    if family == "GPT2":
        names = {"hidden_size": "n_embd", "num_hidden_layers": "n_layer"}
        names |= {"num_attention_heads": "n_head", "max_position_embeddings": "n_positions"}
        names |= {"intermediate_size": "n_inner"}
        sizes = {names.get(name, name): value for name, value in sizes.items()}
    return write_model(
        folder, getattr(transformers, f"{family}Config"), sizes, "AutoModelForCausalLM"
    )


@pytest.fixture
def taught(tmp_path: Path) -> Taught:
    return opened(resolve(decoder(tmp_path / "teacher")))


@pytest.mark.parametrize(
    ("family", "loss"),
    [("Llama", "skew_kl"), ("Llama", "on_policy"), ("GPT2", "forward_kl,relations=0.1")],
)
def test_a_decoder_learns(tmp_path: Path, texts: Path, family: str, loss: str) -> None:
    teacher = decoder(tmp_path / "teacher", family)
    found = distill(
        teacher,
        [texts],
        out=tmp_path / "student",
        beginning=Beginning(layers="0,2"),
        said=Recipe(
            steps=12,
            batch=8,
            learning_rate=3e-3,
            controls=False,
            losses=tuple(parse(loss)),
            repair=False,
        ),
    )
    runs = {run["run"]: run for run in found.report["runs"]}
    assert runs["distilled"]["fidelity"] > runs["untrained"]["fidelity"] + 0.01
    assert {"bits", "accuracy", "agreement"} <= set(runs["distilled"])

    from transformers import AutoModelForCausalLM

    loaded = AutoModelForCausalLM.from_pretrained(found.path)
    assert loaded.config.num_hidden_layers == 2


def test_what_the_student_writes_is_what_counts(taught: Taught) -> None:
    one = term("on_policy", settings={"share": 1.0, "prompt": 3, "tokens": 5})
    asked: list[dict[str, torch.Tensor]] = []
    live = Live(taught.probe())

    def listening(inputs: Any, rows: Any, names: Any) -> Any:
        asked.append(inputs)
        return live(inputs, rows, names)

    model = Distiller(taught.probe(), listening, shape_of(taught.model), [one]).train()
    collate = collate_for(taught)
    rows = NumberedRows([{"text": "The train to the coast."}, {"text": "How do I call you?"}])
    batch = collate([rows[0], rows[1]])
    model(**batch)
    written = asked[0]["input_ids"]
    assert torch.equal(written[:, :3], batch["input_ids"][:, :3])
    assert 3 < written.shape[1] <= 8
    model.eval()
    model(**batch)
    assert torch.equal(asked[1]["input_ids"], batch["input_ids"])


def test_each_position_is_labelled_with_the_next_token(taught: Taught) -> None:
    rows = NumberedRows([{"prompt": "How do I", "completion": " call you?", "messages": []}])
    batch = collate_for(taught)([rows[0]])
    ids, labels = batch["input_ids"][0].tolist(), batch["labels"][0].tolist()
    given = len(taught.loaded.tokenizer.encode("How do I").ids)
    assert labels[: given - 1] == [IGNORED] * (given - 1)
    assert labels[given - 1 : -1] == ids[given:]
    assert labels[-1] == IGNORED
    assert batch["counted"][0].tolist() == [int(label != IGNORED) for label in labels]


REASONS = [
    {"input": f"{a} + {b}", "rationale": f"{a} and {b} more are {a + b}", "label": str(a + b)}
    for a in range(8)
    for b in range(8)
]


def test_a_reason_is_a_second_task(taught: Taught) -> None:
    config = rationale.Config(rationale_weight=0.5)
    collate = collate_for(taught, reasons=config)
    rows = NumberedRows(REASONS)
    batch = collate([rows[9], rows[10]])
    assert batch["input_ids"].shape[0] == 4
    assert batch["weights"].tolist() == [2.0, 1.0, 2.0, 1.0]
    decode = taught.loaded.tokenizer.decode
    target = [label for label in batch["labels"][1].tolist() if label != IGNORED]
    assert decode(target) == "1 and 1 more are 2"
    assert target[-1] == 3  # the end token
    asked = decode(batch["input_ids"][1].tolist(), skip_special_tokens=False)
    assert "[rationale]" in asked.replace(" ", "")
    alone = rationale.Config(rationale_weight=0.0)
    assert collate_for(taught, reasons=alone)([rows[9]])["input_ids"].shape[0] == 1


def test_training_on_reasons(tmp_path: Path, texts: Path) -> None:
    teacher = decoder(tmp_path / "teacher")
    data = tmp_path / "reasons.jsonl"
    data.write_text("\n".join(map(json.dumps, REASONS)), encoding="utf-8")
    said = Recipe(steps=25, batch=8, learning_rate=5e-3, losses=tuple(parse("rationale")))
    found = distill(teacher, [data], out=tmp_path / "student", said=said)
    runs = {run["run"]: run for run in found.report["runs"]}
    assert runs["distilled"]["bits"] < runs["untrained"]["bits"] - 1
    refused(
        InputRefused,
        65,
        "no column",
        lambda: distill(teacher, [texts], out=tmp_path / "none", said=said),
    )
    both = Recipe(losses=tuple(parse("rationale,skew_kl")))
    refused(
        SpecError, 64, "alone", lambda: distill(teacher, [data], out=tmp_path / "no", said=both)
    )

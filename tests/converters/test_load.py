"""Loading: the model that was stored, silently, with its limits."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from edgekit.errors import SpecError, Unsupported
from tests.support.models import (
    MAX_POSITIONS,
    edit_json,
    tiny_bert,
    tiny_distilbert,
    tiny_sentence_bert,
    write_model,
)
from tests.support.refusals import loaded, refused
from tests.support.vocabulary import SENTENCES


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny_bert(tmp_path / "tiny-bert")


@pytest.mark.parametrize("maker", [tiny_bert, tiny_distilbert])
def test_every_stored_number_is_in_the_model(tmp_path: Path, maker: Any) -> None:
    folder = maker(tmp_path / "model")
    found = loaded(folder)
    stored = load_file(folder / "model.safetensors")
    state = found.model.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in stored.items())
    assert not found.model.training
    assert not any(p.requires_grad for p in found.model.parameters())
    assert found.family == found.config.model_type == folder_config(folder)["model_type"]
    assert found.source.folder == folder
    assert found.config._attn_implementation == "eager"


def folder_config(folder: Path) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return config


def test_texts_get_different_answers(model: Path) -> None:
    found = loaded(model)
    with torch.no_grad():
        rows = [
            found.model(input_ids=torch.tensor([found.tokenizer.encode(text).ids])).logits[0]
            for text in SENTENCES[:8]
        ]
    assert torch.pdist(torch.stack(rows)).min() > 1e-3


def test_half_precision_is_widened(model: Path) -> None:
    tensors = load_file(model / "model.safetensors")
    save_file({k: v.half() for k, v in tensors.items()}, model / "model.safetensors")
    edit_json(model / "config.json", dtype="float16")
    found = loaded(model)
    assert {p.dtype for p in found.model.parameters()} == {torch.float32}


def test_unused_random_parts_are_the_same_each_time(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path / "masked", head="AutoModelForMaskedLM")
    torch.manual_seed(1)
    before = torch.get_rng_state()
    poolers = []
    for _ in range(2):
        found = loaded(folder, "AutoModel", may_miss=("pooler.",))
        poolers.append(found.model.state_dict()["pooler.dense.weight"])
        torch.rand(3)
    assert torch.equal(poolers[0], poolers[1])
    torch.set_rng_state(before)


def test_attention(model: Path) -> None:
    assert loaded(model, attention="sdpa").config._attn_implementation == "sdpa"
    refused(SpecError, 64, "flash", lambda: loaded(model, attention="flash"))


def test_attention_that_a_family_lacks(tmp_path: Path) -> None:
    from transformers import DebertaV2Config

    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2}
    sizes |= {"num_hidden_layers": 1, "type_vocab_size": 0}
    folder = write_model(tmp_path / "deberta", DebertaV2Config, sizes)
    assert loaded(folder, "AutoModel").family == "deberta-v2"
    refused(Unsupported, 78, "deberta-v2", lambda: loaded(folder, "AutoModel", attention="sdpa"))


# Limits


def test_limit_is_the_position_table(model: Path) -> None:
    assert loaded(model).max_length == MAX_POSITIONS
    edit_json(model / "tokenizer_config.json", model_max_length=10**30)
    assert loaded(model).max_length == MAX_POSITIONS


def test_limit_of_the_tokenizer(model: Path) -> None:
    edit_json(model / "tokenizer_config.json", model_max_length=48)
    assert loaded(model).max_length == 48


@pytest.mark.parametrize("layout", ["old", "new"])
def test_limit_of_sentence_transformers(tmp_path: Path, layout: str) -> None:
    folder = tiny_sentence_bert(tmp_path / "model", max_seq_length=40, layout=layout)
    assert loaded(folder, "AutoModel").max_length == 40
    assert loaded(folder, "AutoModel", max_length=MAX_POSITIONS).max_length == MAX_POSITIONS


def test_limit_above_the_position_table_is_cut(tmp_path: Path) -> None:
    folder = tiny_sentence_bert(tmp_path / "model", max_seq_length=4096, layout="old")
    assert loaded(folder, "AutoModel").max_length == MAX_POSITIONS


def test_positions_kept_for_padding_do_not_count(tmp_path: Path) -> None:
    from transformers import RobertaConfig

    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2}
    sizes |= {"num_hidden_layers": 1, "max_position_embeddings": 66, "pad_token_id": 1}
    folder = write_model(tmp_path / "roberta", RobertaConfig, sizes)
    found = loaded(folder, "AutoModel")
    assert found.max_length == 64
    with torch.no_grad():
        found.model(input_ids=torch.full((1, found.max_length), 7))
        with pytest.raises((IndexError, RuntimeError), match="index"):
            found.model(input_ids=torch.full((1, found.max_length + 1), 7))


@pytest.mark.parametrize("asked", [MAX_POSITIONS + 1, 2, 0, -5])
def test_limit_that_the_model_cannot_have(model: Path, asked: int) -> None:
    error = refused(SpecError, 64, str(asked), lambda: loaded(model, max_length=asked))
    assert str(MAX_POSITIONS) in error.hint


def test_shortest_limit(model: Path) -> None:
    assert loaded(model, max_length=3).max_length == 3


# Licence


@pytest.mark.parametrize(
    ("readme", "licence"),
    [
        ("---\nlicense: apache-2.0\n---\n# Model\n", "apache-2.0"),
        ("---\nlicense: other\nlicense_name: my-terms\n---\n", "my-terms"),
        ("---\nlicense: other\n---\n", "other"),
        ("---\nlicense:\n- mit\n- cc-by-4.0\n---\n", "mit, cc-by-4.0"),
        ("---\nlanguage: en\n---\n", None),
        ("# Model\n\nlicense: mit\n", None),
        ("---\nlicense: [\n---\n", None),
        ("---\n- mit\n---\n", None),
        (None, None),
    ],
)
def test_licence(model: Path, readme: str | None, licence: str | None) -> None:
    if readme is not None:
        (model / "README.md").write_text(readme)
    (model / "LICENSE").write_text("MIT License")
    assert loaded(model).licence == licence


# Silence

TALKATIVE = """
import sys
from pathlib import Path
from edgekit_converters.load import load
from edgekit_converters.detect import task_of
from edgekit_converters.folder import check
from edgekit_converters.source import resolve
folder = Path(sys.argv[1])
task_of(folder, check(folder).config)
load(resolve(folder), "AutoModel", may_miss=("pooler.",))
import logging, warnings
from transformers.utils import logging as hf
assert hf.is_progress_bar_enabled()
logging.getLogger("transformers").warning("heard again")
"""


def test_nothing_reaches_the_terminal(tmp_path: Path) -> None:
    """Missing and unused weights make transformers talk; our process stays silent, then not."""
    folder = tiny_bert(tmp_path / "masked", head="AutoModelForMaskedLM")
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", TALKATIVE, str(folder)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout == ""
    assert done.stderr.strip().endswith("heard again")
    assert len(done.stderr.strip().splitlines()) == 1

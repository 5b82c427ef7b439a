"""Models that generate text, pruned from their folder to a new one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import transformers

from edgekit.errors import SpecError
from edgekit_converters.prune import job
from edgekit_converters.quiet import quiet
from tests.support.families import FAMILIES, Family, write_family
from tests.support.vocabulary import SENTENCES

_LLAMA = Family(
    "LlamaConfig",
    "byte-level BPE",
    {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 128,
    },
    drop=("initializer_range",),
)
CASES: list[tuple[str, str, dict[str, Any]]] = [
    ("Llama", "ffn", {"method": "taylor", "amount": 0.5, "retrain": 6, "schedule": "iterative"}),
    ("Llama", "head", {"method": "obs", "amount": 0.5}),
    ("Llama", "layer", {"amount": 0.5}),
    ("Llama", "vocab", {"amount": 0.2}),
    ("T5", "ffn", {"method": "obd", "amount": 0.5}),
    ("T5", "vocab", {"amount": 0.1}),
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("generating")
    write_family(folder / "Llama", _LLAMA, head="AutoModelForCausalLM")
    head = "AutoModelForSeq2SeqLM"
    write_family(folder / "T5", FAMILIES["T5 encoder"], head=head, decoder_start_token_id=0)
    (folder / "texts.txt").write_text("\n".join(SENTENCES[:10]), encoding="utf-8")
    return folder


@pytest.mark.parametrize(("name", "granularity", "options"), CASES)
def test_a_generating_model_gets_smaller_and_still_writes(
    name: str, granularity: str, options: dict[str, Any], home: Path, tmp_path: Path
) -> None:
    texts = home / "texts.txt"
    said = {"granularity": granularity, "data": texts, "control": False, **options}
    record = job.prune(home / name, said, out=tmp_path / "out", samples_file=texts).record
    sizes = record["sizes"]
    assert sizes["after"]["parameters"] < sizes["before"]["parameters"]
    trimmed = granularity == "vocab"
    assert record["quality"]["headline"] == ("nats" if trimmed else "perplexity")
    if options.get("retrain"):
        assert [step["amount"] for step in record["rounds"]][-1] == options["amount"]
        assert sum(step["steps"] for step in record["rounds"]) == options["retrain"]
    kind = "AutoModelForCausalLM" if name == "Llama" else "AutoModelForSeq2SeqLM"
    with quiet():
        made = getattr(transformers, kind).from_pretrained(tmp_path / "out")
        tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
        ids = tokenizer(SENTENCES[0], return_tensors="pt").input_ids
        written = made.generate(ids, max_new_tokens=4, do_sample=False)
    assert int(written.max()) < made.config.vocab_size
    config = json.loads((tmp_path / "out" / "config.json").read_bytes())
    for key, value in record["shape"].items():
        assert config[key] == value


def test_tokens_cut_otherwise_are_nothing_to_learn_from(home: Path, tmp_path: Path) -> None:
    said = {"granularity": "vocab", "amount": 0.2, "retrain": 4, "data": home / "texts.txt"}
    with pytest.raises(SpecError, match="answers for each token"):
        job.prune(home / "Llama", said, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()

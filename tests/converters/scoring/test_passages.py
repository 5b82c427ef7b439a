"""Files of texts and of replies, on a decoder and on its eager model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgekit.api.eval import evaluate
from edgekit.errors import InputRefused, SpecError
from tests.support.refusals import refused

TEXTS = ("The sun rises in the east.", "Turn on the lamp, what is it?", "hello [user] help")


def written(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def figures(found: dict[str, Any], at: int) -> dict[str, float]:
    return {one["metric"]: one["value"] for one in found["contestants"][at]["figures"]}


def test_perplexity_is_that_of_the_model_itself(model: Path, bundle: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    path = written(tmp_path / "texts.jsonl", *({"text": text} for text in TEXTS))
    found = evaluate([model, bundle], data=path)
    tokenizer = AutoTokenizer.from_pretrained(model)
    network = AutoModelForCausalLM.from_pretrained(model).eval()
    nats = tokens = size = 0.0
    for text in TEXTS:
        ids = tokenizer(text, return_tensors="pt")["input_ids"]
        # What lm-eval does: the begin token once more, before a text that has one.
        ids = torch.cat([torch.tensor([[tokenizer.bos_token_id]]), ids], dim=1)
        with torch.no_grad():
            odds = network(input_ids=ids).logits[0, :-1].log_softmax(-1)
        nats -= float(odds.gather(1, ids[0, 1:, None]).sum())
        tokens += ids.shape[1] - 1
        size += len(text.encode())
    for at in (0, 1):
        assert figures(found, at)["perplexity"] == pytest.approx(np.exp(nats / tokens), rel=1e-4)
        bits = nats / size / np.log(2)
        assert figures(found, at)["bits per byte"] == pytest.approx(bits, rel=1e-4)
    eager, artifact = found["contestants"]
    assert eager["latency_ms"] is None
    assert 0 < artifact["latency_ms"]["median"] <= artifact["latency_ms"]["p90"]
    change = artifact["figures"][0]["change"]
    assert not change["significant"] or abs(change["value"]) < 1e-2


def test_replies_are_those_of_the_model_itself(model: Path, bundle: Path, tmp_path: Path) -> None:
    rows = [{"prompt": text, "completion": "the sun"} for text in TEXTS]
    path = written(tmp_path / "replies.jsonl", *rows, {"prompt": "sun " * 200, "completion": "x"})
    found = evaluate([model, bundle], data=path, flips=2)
    assert [one["left_out"] for one in found["contestants"]] == [{"count": 1, "rows": [4]}] * 2
    assert found["data"]["scored"] == 3
    assert figures(found, 0) == pytest.approx(figures(found, 1))
    assert set(figures(found, 0)) == {"exact match", "ROUGE-L", "chrF", "BLEU"}
    assert found["contestants"][1]["flips"]["counts"] == {
        "now wrong": 0,
        "now right": 0,
        "otherwise": 0,
    }


def test_a_prompt_and_a_conversation_of_one_turn_are_the_same(bundle: Path, tmp_path: Path) -> None:
    asked = [{"prompt": text, "completion": "the sun"} for text in TEXTS]
    said = [
        {
            "messages": [
                {"role": "user", "content": text},
                {"role": "assistant", "content": "the sun"},
            ]
        }
        for text in TEXTS
    ]
    plain = evaluate([bundle], data=written(tmp_path / "plain.jsonl", *asked))
    chat = evaluate([bundle], data=written(tmp_path / "chat.jsonl", *said))
    assert figures(plain, 0) == figures(chat, 0)
    half = written(tmp_path / "half.jsonl", {"messages": said[0]["messages"][:1]})
    refused(
        InputRefused, 65, "row 1 (line 1): messages is list", lambda: evaluate([bundle], data=half)
    )


def test_what_does_not_fit_is_refused(bundle: Path, tmp_path: Path) -> None:
    odd = written(tmp_path / "odd.jsonl", {"question": "x"})
    refused(InputRefused, 65, "no column text or messages", lambda: evaluate([bundle], data=odd))
    empty = written(tmp_path / "empty.jsonl", {"text": "fine"}, {"text": " "})
    refused(InputRefused, 65, "row 2", lambda: evaluate([bundle], data=empty))
    long = written(tmp_path / "long.jsonl", {"prompt": "sun " * 200, "completion": "x"})
    refused(
        InputRefused,
        65,
        "no row of long.jsonl could be scored",
        lambda: evaluate([bundle], data=long),
    )
    for more in ({"robustness": 3}, {"baseline": "x.json"}):
        refused(
            SpecError,
            64,
            "not for models that write texts",
            lambda more=more: evaluate([bundle], data=empty, **more),
        )
    refused(
        SpecError,
        64,
        "scored here only",
        lambda: evaluate([bundle], data=empty, runtimes=["arm64"]),
    )
    refused(
        SpecError,
        64,
        "are for --data",
        lambda: evaluate([bundle], suites=["piqa"], robustness=3),
    )

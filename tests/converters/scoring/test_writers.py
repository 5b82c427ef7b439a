"""Encoder-decoders scored by what they answer, and what answers are worth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgekit import export
from edgekit.api.eval import evaluate
from edgekit.errors import InputRefused, SpecError, Unsupported
from edgekit.scoring.metrics import Matrix
from edgekit_converters.scoring import replies
from tests.converters.generation.seq2seq.models import TEXTS, save, tiny
from tests.support.refusals import refused


@pytest.fixture(scope="module")
def pupil(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = tiny("t5")
    model.generation_config.num_beams = 2
    return save(tmp_path_factory.mktemp("models") / "t5", model)


@pytest.fixture(scope="module")
def made(pupil: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("bundles")
    samples = home / "samples.txt"
    samples.write_text("\n".join(TEXTS), encoding="utf-8")
    options: dict[str, Any] = {"quantize": "none", "max_context": 132, "samples": samples}
    return Path(export(pupil, out=home / "t5", runtimes=["onnx"], **options).path)


def written(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def test_artifact_and_eager_write_the_same(pupil: Path, made: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    model = AutoModelForSeq2SeqLM.from_pretrained(pupil).eval()
    tokenizer = AutoTokenizer.from_pretrained(pupil)
    answers = []
    for text in TEXTS:
        ids = tokenizer(text, return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            found = model.generate(input_ids=ids, max_new_tokens=128, do_sample=False)
        answers.append(tokenizer.decode(found[0], skip_special_tokens=True))
    rows = [{"source": text, "target": said} for text, said in zip(TEXTS, answers, strict=True)]
    rows[0]["target"] = "one two"
    path = written(tmp_path / "pairs.jsonl", *rows, {"source": "one " * 30, "target": "x"})
    found = evaluate([pupil, made], data=path, flips=2)
    assert found["data"]["scored"] == 3
    eager, artifact = found["contestants"]
    assert (eager["runtime"], artifact["runtime"]) == ("eager", "onnx")
    assert [one["left_out"] for one in (eager, artifact)] == [{"count": 1, "rows": [4]}] * 2
    values = [
        {one["metric"]: one["value"] for one in each["figures"]} for each in (eager, artifact)
    ]
    assert values[0] == pytest.approx(values[1])
    assert values[0]["exact match"] == pytest.approx(2 / 3)
    assert 0 < artifact["model_seconds"] <= artifact["seconds"]
    assert artifact["latency_ms"]["median"] > 0


def test_what_does_not_fit_is_refused(pupil: Path, made: Path, tmp_path: Path) -> None:
    odd = written(tmp_path / "odd.jsonl", {"prompt": "one", "completion": "two"})
    refused(InputRefused, 65, "source and target", lambda: evaluate([made], data=odd))
    empty = written(tmp_path / "empty.jsonl", {"source": "one", "target": "a"}, {"source": "two"})
    refused(InputRefused, 65, "row 2", lambda: evaluate([made], data=empty))
    fine = written(tmp_path / "fine.jsonl", {"source": "one", "target": "a"})
    refused(SpecError, 64, "--robustness", lambda: evaluate([pupil], data=fine, robustness=2))
    refused(SpecError, 64, "no bundle", lambda: evaluate([pupil], data=fine, runtimes=["onnx"]))
    refused(Unsupported, 78, "suites are for", lambda: evaluate([made], suites=["piqa"]))


def test_bleu_of_summed_counts_is_sacrebleus() -> None:
    from sacrebleu.metrics import BLEU, CHRF

    wanted = ["the cat sat on the mat", "a small house stands here", "water boils at sea level"]
    found = ["the cat sat on a mat", "a small house is here now", "water boils at the sea level"]
    marks = [replies.judged(one, two) for one, two in zip(found, wanted, strict=True)]
    matrix: Matrix = np.array([mark.numbers for mark in marks])
    assert replies.bleu(matrix) == pytest.approx(BLEU().corpus_score(found, [wanted]).score / 100)
    assert matrix[0, 2] == pytest.approx(CHRF().sentence_score(found[0], [wanted[0]]).score / 100)
    same = replies.judged("The  cat", "The cat")
    assert same.right
    assert same.numbers[:3] == pytest.approx((1.0, 1.0, 1.0))

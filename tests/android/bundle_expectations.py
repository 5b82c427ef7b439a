"""Writes bundles with Python's own answers beside them, for the Kotlin tests to repeat."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgekit import Bundle, export, tasks
from edgekit.bundle import goldens
from edgekit.errors import EdgekitError
from tests.support.models import tiny_bert

TEXTS = (
    "The train to the coast leaves at seven in the morning.",
    "Das Wetter ist heute sehr schön, wir gehen in den Garten.",
    "今天天气很好,我们去公园散步吧。 😀👩‍👩‍👧",
    "الكتاب على الطاولة",
    "a",
    "",
    " \u001c\u3000 ",
    "word " * 400,
)
MASKED = ("The [MASK] leaves at seven in the [MASK].", "no mask here", "[MASK]")
CONTEXT = (
    "The train to the coast leaves at seven in the morning. Water boils at one hundred degrees. "
    "Das Wetter ist heute sehr schön. 今天天气很好。 The capital of France is Paris. "
)


def queries(task: str) -> list[dict[str, Any]]:
    """What is asked of a bundle: texts that work, and some that are refused."""
    texts = [{"text": text} for text in TEXTS]
    match task:
        case "fill-mask":
            return [*({"text": text} for text in MASKED), {"text": MASKED[0], "top_k": 9}]
        case "question-answering":
            # The last needs several windows; what is asked without a context is refused.
            asked = [("When does the train leave?", CONTEXT, 3), ("Where?", CONTEXT * 6, 5)]
            return [
                {"text": text, "context": context, "top_k": count} for text, context, count in asked
            ] + texts[:1]
        case "token-classification":
            return [*texts, {"text": TEXTS[1], "aggregation": "simple"}]
        case "zero-shot-classification":
            choices = ["travel", "food", "the weather"]
            both = [{"labels": choices}, {"labels": choices, "multi_label": True}]
            return [{"text": TEXTS[0], **more} for more in [*both, {"labels": ["food"]}, {}]]
        case "multiple-choice":
            return [{"text": TEXTS[0], "choices": list(TEXTS[1:4])}, {"text": TEXTS[0]}]
    return texts


def more_bundles(folder: Path) -> dict[str, Path]:
    """Task -> a small bundle, for the tasks that ``tiny_bundles`` leaves out."""
    heads = {
        "token-classification": ("AutoModelForTokenClassification", ("O", "B-PER", "I-PER", "LOC")),
        "question-answering": ("AutoModelForQuestionAnswering", ("a", "b")),
        "zero-shot-classification": (
            "AutoModelForSequenceClassification",
            ("contradiction", "neutral", "entailment"),
        ),
        "multiple-choice": ("AutoModelForMultipleChoice", ("a", "b")),
    }
    made = {}
    for task, (head, labels) in heads.items():
        if task in tasks.names():
            names = {
                "id2label": dict(enumerate(labels)),
                "label2id": {n: i for i, n in enumerate(labels)},
            }
            model = tiny_bert(folder / f"{task}-model", head=head, labels=labels, **names)
            out = folder / task
            made[task] = export(model, out=out, task=task, quantize="none", runtimes=["onnx"]).path
    return made


def write(folder: Path, bundles: Mapping[str, Path]) -> None:
    """A copy of each bundle, its answers, and its goldens where they are embeddings."""
    folder.mkdir(parents=True)
    for name, path in bundles.items():
        here = folder / name
        here.mkdir()
        shutil.copytree(path, here / "bundle")
        with Bundle.open(path) as bundle:
            asked = queries(bundle.manifest.task)
            answers = [{"query": query, **_answered(bundle, query)} for query in asked]
            made = {"task": bundle.manifest.task, "answers": answers}
            if bundle.manifest.task == "sentence-similarity":
                made["goldens"] = _goldens(bundle)
        (here / "expected.json").write_text(json.dumps(made), encoding="utf-8")


def _answered(bundle: Bundle, query: dict[str, Any]) -> dict[str, Any]:
    fields = dict(query)
    try:
        (answer,) = bundle.run([fields.pop("text")], runtime="onnx", **fields)
    except EdgekitError as error:
        return {"error": error.code}
    return {"answer": answer}


def _goldens(bundle: Bundle) -> dict[str, Any]:
    manifest = bundle.manifest
    found = goldens.read(bundle.path / manifest.goldens.file)
    return {
        "same_artifact": manifest.goldens.tolerances["onnx"].same_artifact,
        "samples": [
            {
                "text": golden.text,
                "input_ids": golden.inputs["input_ids"].reshape(-1).tolist(),
                "expected": golden.expected["onnx"].reshape(-1).tolist(),
            }
            for golden in found
        ],
    }

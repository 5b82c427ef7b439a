"""Small bundles of the new tasks, made once, with transformers' own model beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest

import edgekit
from edgekit import Bundle
from edgekit_converters.evaluate.samples import evaluation
from tests.support.families import FAMILIES, HEADS, INFERENCE_LABELS, write_family

ENTITIES = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")


@dataclass(frozen=True)
class Made:
    """A bundle, its folder's model in transformers, and a tokenizer of transformers."""

    bundle: Bundle
    model: Any
    tokenizer: Any


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Made]:
    """A bundle of a task, fp32 ``.onnx``; made when first asked for. Only use it."""
    home = tmp_path_factory.mktemp("tasks")
    samples = home / "samples.txt"
    samples.write_text("\n".join(evaluation()[::8]), encoding="utf-8")

    @cache
    def make(task: str, family: str) -> Made:
        import transformers

        labels = ENTITIES if task == "token-classification" else INFERENCE_LABELS
        name = f"{task}-{FAMILIES[family].config}"
        folder = write_family(home / name, FAMILIES[family], head=HEADS[task], labels=labels)
        bundle = edgekit.export(
            folder,
            out=home / f"{name}-out",
            task=task,
            quantize="none",
            runtimes=["onnx"],
            samples=samples,
        )
        model = getattr(transformers, HEADS[task]).from_pretrained(folder).eval()
        return Made(bundle, model, transformers.AutoTokenizer.from_pretrained(folder))

    return lambda task, family="BERT": make(task, family)

"""A small classifier as a bundle with one artifact, which is what takes least to make."""

from __future__ import annotations

import json
import random
from pathlib import Path

from tests.support.models import LABELS, tiny_bert
from tests.support.vocabulary import SENTENCES


def bundle(home: Path) -> Path:
    """Make it below ``home``; its model lies beside it as ``model``."""
    from edgekit import export

    (home / "texts.txt").write_text("\n".join(SENTENCES[:4]), encoding="utf-8")
    made = export(
        tiny_bert(home / "model"),
        out=home / "classifier",
        task="text-classification",
        quantize="none",
        runtimes=["onnx"],
        samples=home / "texts.txt",
    )
    return made.path


def labelled(path: Path) -> Path:
    """A row a sentence, labelled by lot, in two languages."""
    draw = random.Random(0)
    rows = [
        {"text": text, "label": draw.choice(LABELS), "lang": "xx" if at < 10 else "yy"}
        for at, text in enumerate(SENTENCES)
    ]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path

"""A small classifier as a bundle with one artifact, which is what takes least to make."""

from __future__ import annotations

import json
import random
from pathlib import Path

from tests.support.models import LABELS, tiny_bert
from tests.support.vocabulary import SENTENCES


def bundle(home: Path, *, lower: bool = True) -> Path:
    """Make it below ``home``; its model lies beside it as ``model``.

    Args:
        home: the folder.
        lower: whether its tokenizer lowers letters.
    """
    from edgekit import export

    model = tiny_bert(home / "model")
    if not lower:
        tokenizer = model / "tokenizer.json"
        said = json.loads(tokenizer.read_text(encoding="utf-8"))
        said["normalizer"]["lowercase"] = False
        tokenizer.write_text(json.dumps(said), encoding="utf-8")
    (home / "texts.txt").write_text("\n".join(SENTENCES[:4]), encoding="utf-8")
    made = export(
        model,
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

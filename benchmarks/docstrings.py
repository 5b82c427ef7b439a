"""English sentences out of the documentation inside installed packages: real text, and offline."""

from __future__ import annotations

import ast
import importlib.util
import random
import re
from collections.abc import Iterator
from pathlib import Path

TRAINING = ("torch", "transformers", "accelerate", "onnxscript", "huggingface_hub")
EVALUATION = ("numpy", "scipy", "rich", "click", "jinja2", "matplotlib")
_FEWEST_WORDS, _MOST_WORDS = 6, 30
_SENTENCE = re.compile(r"[A-Z][A-Za-z0-9 ,;:'()\-]+[a-z]\.(?=\s|$)")
_MOST_FILES = 400


def sentences(packages: tuple[str, ...], count: int, seed: int = 0) -> list[str]:
    """So many different sentences of the packages' docstrings, in an order of their own."""
    found = sorted({sentence for package in packages for sentence in _of(package)})
    random.Random(seed).shuffle(found)
    return found[:count]


def _of(package: str) -> Iterator[str]:
    spec = importlib.util.find_spec(package)
    places = list(spec.submodule_search_locations or ()) if spec else []
    files = [path for place in places for path in sorted(Path(place).rglob("*.py"))]
    for path in files[:: max(1, len(files) // _MOST_FILES)]:
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError, OSError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                yield from _sentences(ast.get_docstring(node) or "")


def _sentences(text: str) -> Iterator[str]:
    for paragraph in text.split("\n\n"):
        line = " ".join(paragraph.split())
        for found in _SENTENCE.finditer(line):
            sentence = found.group()
            if _FEWEST_WORDS <= len(sentence.split()) <= _MOST_WORDS:
                yield sentence

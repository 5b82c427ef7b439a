"""Small bundles made by the real pipeline, kept from run to run by a name made of its sources."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from functools import cache
from importlib import metadata
from pathlib import Path

from tests.support.models import tiny_bert, tiny_sentence_bert

ROOT = Path(__file__).parents[2]
# Whatever can change a byte of a bundle: the program, the pins, and who makes the models.
_SOURCES = ("edgekit", "converters", "tests/support")
_PACKAGES = ("torch", "torchao", "executorch", "onnx", "onnxruntime", "onnxscript", "transformers")
_KEPT = 4


def bundle(task: str, folder: Path) -> Path:
    """A bundle for a task, copied into ``folder``; exported now unless an earlier run did.

    Args:
        task: ``sentence-similarity`` (both artifacts), ``text-classification`` or ``fill-mask``.
        folder: where to work; the bundle's folder in it has the task's name.
    """
    kept = _home() / task
    target = folder / task
    if not kept.is_dir():
        made = _export(task, folder)
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent, prefix=".copy-") as name:
            copy = Path(shutil.copytree(made, Path(name, task)))
            if not kept.exists():  # another process may have been faster
                try:
                    copy.rename(kept)
                except OSError:
                    assert kept.is_dir()
        return made
    return Path(shutil.copytree(kept, target))


def model(task: str, folder: Path) -> Path:
    """The model of a bundle, made in ``folder``."""
    if task == "sentence-similarity":
        return tiny_sentence_bert(folder / f"{task}-model")
    head = {"fill-mask": "AutoModelForMaskedLM"}.get(task, "AutoModelForSequenceClassification")
    return tiny_bert(folder / f"{task}-model", head=head)


def _export(task: str, folder: Path) -> Path:
    from edgekit import export

    # One bundle with both artifacts is enough; lowering to a .pte is what takes long.
    runtimes = None if task == "sentence-similarity" else ["onnx"]
    made = model(task, folder)
    return export(made, out=folder / task, task=task, quantize="none", runtimes=runtimes).path


@cache
def _home() -> Path:
    """Where bundles of these very sources are kept; those of older ones are removed."""
    versions = [f"{name} {metadata.version(name)}" for name in _PACKAGES]
    digest = hashlib.sha256("\n".join([sys.version, *versions]).encode())
    for place in _SOURCES:
        for path in sorted((ROOT / place).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(f"{path.relative_to(ROOT)}\0".encode())
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    home = Path(root) / "edgekit" / "test-bundles"
    mine = home / digest.hexdigest()[:16]
    mine.mkdir(parents=True, exist_ok=True)
    others = sorted(home.iterdir(), key=lambda path: path.stat().st_mtime)
    for old in others[:-_KEPT]:
        if old != mine:
            shutil.rmtree(old, ignore_errors=True)
    return mine

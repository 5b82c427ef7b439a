"""The files that make a Hugging Face folder, for stages that read one and write another."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from edgekit.bundle.paths import safe_join
from edgekit_converters.folder import INDEX, ModelFolder, read_json

# Data that transformers, sentence-transformers or edgekit read; never pickles, code or checkpoints.
_CARRIED = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "chat_template.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "*.model",
    "modules.json",
    "config_sentence_transformers.json",
    "sentence_*_config.json",
    "README.md",
    "LICENSE*",
)


def copy(model: ModelFolder, to: Path) -> None:
    """Copy a checked folder, weights unchanged, into an existing one; links become files.

    Raises:
        OSError: a file cannot be read or written.
        UnsafeInput: modules.json names a place outside the folder.
    """
    for source in _files(model):
        _copied(source, to / source.relative_to(model.folder))


def copy_settings(model: ModelFolder, to: Path) -> None:
    """As ``copy``, without the weights: for a stage that writes weights of its own.

    Raises:
        OSError: a file cannot be read or written.
        UnsafeInput: modules.json names a place outside the folder.
    """
    weights = {*model.weight_files, model.folder / INDEX}
    for source in _files(model):
        if source not in weights:
            _copied(source, to / source.relative_to(model.folder))


def size(model: ModelFolder) -> int:
    """Bytes that a copy takes."""
    return sum(path.stat().st_size for path in _files(model))


def _copied(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _files(model: ModelFolder) -> Iterator[Path]:
    yield from model.weight_files
    if model.weight_files and (model.folder / INDEX).is_file() and len(model.weight_files) > 1:
        yield model.folder / INDEX
    for pattern in _CARRIED:
        yield from sorted(path for path in model.folder.glob(pattern) if path.is_file())
    for place in _module_folders(model.folder):
        yield from sorted(path for path in place.glob("*.json") if path.is_file())


def _module_folders(folder: Path) -> list[Path]:
    """Where sentence-transformers keeps the settings of each module."""
    listed = read_json(folder / "modules.json") if (folder / "modules.json").is_file() else []
    names = [entry["path"].rstrip("/") for entry in listed if entry.get("path")]
    return [safe_join(folder, name) for name in dict.fromkeys(names)]

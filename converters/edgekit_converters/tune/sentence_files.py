"""The files of sentence-transformers: kept and completed for embedders, removed for other tasks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

_FILES = ("modules.json", "config_sentence_transformers.json", "sentence_*_config.json")
_SIMILARITY = "sentence-similarity"
_MODULES = (("", "Transformer"), ("1_Pooling", "Pooling"))


def settle(folder: Path, config: Any, task: str, max_length: int) -> None:
    """Make the folder say what its vectors are, or that it gives none.

    A folder without these files was tuned with the mean over tokens; it says so afterwards.

    Args:
        folder: the tuned model's.
        config: the model's.
        task: what it was tuned for.
        max_length: most tokens of a text.
    """
    if task != _SIMILARITY:
        for pattern in _FILES:
            for path in folder.glob(pattern):
                path.unlink()
        for path in folder.glob("[0-9]_*"):
            shutil.rmtree(path)
        return
    if (folder / "modules.json").is_file():
        return
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(_MODULES)
    ]
    _json(folder / "modules.json", modules)
    limit = {"max_seq_length": max_length, "do_lower_case": False}
    _json(folder / "sentence_bert_config.json", limit)
    (folder / "1_Pooling").mkdir()
    pooling = {"word_embedding_dimension": config.hidden_size, "pooling_mode_mean_tokens": True}
    _json(folder / "1_Pooling" / "config.json", pooling)


def _json(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data, indent=2), encoding="utf-8")

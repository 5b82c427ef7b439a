"""The files of a tokenizer with only some of its tokens, and config entries that name tokens."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgekit_converters.folder import read_json, read_object
from edgekit_converters.prune import vocabulary

_LIMIT = 128 * 1024 * 1024
_LISTS = ("suppress_tokens", "begin_suppress_tokens")
_SETTINGS = ("config.json", "generation_config.json")


def read(folder: Path) -> dict[str, Any]:
    """``tokenizer.json``, parsed."""
    data: dict[str, Any] = read_json(folder / "tokenizer.json", limit=_LIMIT)
    return data


def tokens(data: Mapping[str, Any]) -> dict[int, str]:
    """Id -> token, added ones included."""
    own = vocabulary.kind(data).tokens(data["model"])
    return own | {entry["id"]: entry["content"] for entry in data.get("added_tokens") or []}


def named(folder: Path, data: Mapping[str, Any]) -> set[int]:
    """Ids that must stay whatever a corpus says: added tokens, and what a config names."""
    found = {entry["id"] for entry in data.get("added_tokens") or []}
    for name in _SETTINGS:
        for key, value in read_object(folder / name).items():
            found |= set(_ids(key, value))
    return found | vocabulary.kind(data).basic(data["model"])


def rewritten(data: Mapping[str, Any], places: Mapping[int, int]) -> dict[str, Any]:
    """``tokenizer.json`` with only the ids of ``places``, under their new numbers."""
    made = copy.deepcopy(dict(data))
    made["model"] = vocabulary.kind(data).rewritten(data["model"], places)
    made["added_tokens"] = [
        {**entry, "id": places[entry["id"]]} for entry in data.get("added_tokens") or []
    ]
    _renumber_template(made.get("post_processor"), places)
    if isinstance(made.get("padding"), dict):
        made["padding"]["pad_id"] = places.get(made["padding"]["pad_id"], 0)
    return made


def write(folder: Path, data: Mapping[str, Any], places: Mapping[int, int]) -> None:
    """Bring every tokenizer file of a folder in line with a rewritten ``tokenizer.json``."""
    _dump(folder / "tokenizer.json", data)
    own = vocabulary.kind(data).tokens(data["model"])
    ordered = [own[i] for i in sorted(own)]
    if (folder / "vocab.txt").is_file():
        (folder / "vocab.txt").write_text("\n".join(ordered) + "\n", encoding="utf-8")
    if (folder / "vocab.json").is_file():
        _dump(folder / "vocab.json", {token: i for i, token in own.items()})
    if (folder / "merges.txt").is_file():
        lines = [" ".join(merge) for merge in data["model"]["merges"]]
        (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *lines, ""]), "utf-8")
    # A sentencepiece model cannot be cut by us, and nothing here reads it.
    for path in folder.glob("*.model"):
        path.unlink()
    _renumber_file(folder / "added_tokens.json", lambda old: _moved(old, places))
    settings = read_object(folder / "tokenizer_config.json")
    if isinstance(settings.get("added_tokens_decoder"), dict):
        settings["added_tokens_decoder"] = {
            str(places[int(old)]): value
            for old, value in settings["added_tokens_decoder"].items()
            if int(old) in places
        }
        _dump(folder / "tokenizer_config.json", settings)


def renumber_config(config: Any, places: Mapping[int, int]) -> None:
    """Entries of a config object that name tokens, in place; what no token has becomes None."""
    for key, value in list(vars(config).items()):
        if value is not None and list(_ids(key, value)):
            setattr(config, key, _moved(value, places))


def _ids(key: str, value: Any) -> list[int]:
    if not (key.endswith("_token_id") or key in _LISTS):
        return []
    values = value if isinstance(value, list) else [value]
    return [
        one for one in values if isinstance(one, int) and not isinstance(one, bool) and one >= 0
    ]


def _moved(value: Any, places: Mapping[int, int]) -> Any:
    if isinstance(value, list):
        return [places[one] for one in value if one in places]
    return places.get(value)


def _renumber_template(part: Any, places: Mapping[int, int]) -> None:
    """Special tokens that a post-processor puts around texts, wherever it names their ids."""
    if not isinstance(part, dict):
        return
    for inner in part.get("processors") or []:
        _renumber_template(inner, places)
    for entry in (part.get("special_tokens") or {}).values():
        entry["ids"] = [places[old] for old in entry["ids"]]
    for key in ("cls", "sep"):
        if isinstance(part.get(key), list):
            part[key] = [part[key][0], places[part[key][1]]]


def _renumber_file(path: Path, moved: Any) -> None:
    if path.is_file():
        found = {token: moved(old) for token, old in read_object(path).items()}
        _dump(path, {token: new for token, new in found.items() if new is not None})


def _dump(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data, ensure_ascii=False, indent=1), encoding="utf-8")

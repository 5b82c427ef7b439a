"""A Hugging Face folder, checked before anything heavy is opened: data only, whole, and sane."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.bundle.paths import safe_join, safe_name
from edgekit.errors import InputMissing, InputRefused, UnsafeInput, Unsupported, WeightsCorrupt
from edgekit_converters.weights import CONVERT_HINT, TensorInfo, check_weights

_JSON_LIMIT = 10 * 1024 * 1024
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
# fmt: off
_PICKLES = frozenset((
    ".bin", ".pt", ".pt2", ".pth", ".pkl", ".pickle", ".joblib", ".h5", ".msgpack", ".ckpt",
    ".npz", ".npy",
))
# Keys of config.json that become a tensor's dimension, in the spellings of the common families.
_WIDTHS = frozenset((
    "hidden_size", "embedding_size", "intermediate_size", "vocab_size", "dim", "hidden_dim",
    "d_model", "d_ff", "d_kv", "n_embd", "n_inner", "num_attention_heads", "n_heads", "n_head",
    "num_labels", "_num_labels",
))
_DEPTHS = frozenset((
    "num_hidden_layers", "num_layers", "n_layers", "n_layer", "num_hidden_groups",
))
# fmt: on
_MOST_LAYERS = 256
_SETTINGS = (
    "config.json",
    "tokenizer_config.json",
    "generation_config.json",
    "processor_config.json",
    "config_sentence_transformers.json",
    "sentence_bert_config.json",
)
_CODE_KEYS = frozenset({"auto_map", "custom_pipelines", "custom_pipeline", "trust_remote_code"})

TOKENIZER_HINT = (
    "Write one with the model's fast tokenizer:\n"
    'python -c "from transformers import AutoTokenizer; import sys; '
    'AutoTokenizer.from_pretrained(sys.argv[1], use_fast=True).save_pretrained(sys.argv[1])" FOLDER'
)


@dataclass(frozen=True)
class ModelFolder:
    """A folder that passed every check.

    Attributes:
        folder: where it is.
        config: what config.json holds.
        weight_files: the safetensors files, in order of their names.
        model_type: transformers' name of the architecture.
        tensors: what the weight files hold, by tensor name.
    """

    folder: Path
    config: dict[str, Any]
    weight_files: tuple[Path, ...]
    model_type: str
    tensors: dict[str, TensorInfo]


def check(folder: Path) -> ModelFolder:
    """Refuse a folder that is unsafe, damaged or not whole; reads JSON and headers only.

    Raises:
        InputMissing: no folder, no config.json, no weights.
        InputRefused: a file is malformed or a needed one is missing.
        UnsafeInput: custom code, pickle weights, or a name or link that leads out of the folder.
        Unsupported: the weights are already quantized.
        WeightsCorrupt: a weights file is damaged, or config.json cannot belong to it.
    """
    if not folder.is_dir():
        kind = "is not a folder" if folder.exists() else "does not exist"
        raise InputMissing(f"{folder} {kind}", hint="Give a folder with config.json in it.")
    _refuse_links_and_code(folder)
    config = _config(folder)
    for name in _SETTINGS:
        if (folder / name).is_file():
            _refuse_code_keys(name, read_json(folder / name))
    _refuse_indirections(folder, config)
    files = _weight_files(folder)
    if not (folder / "tokenizer.json").is_file():
        raise InputRefused(f"{folder.name} has no tokenizer.json", hint=TOKENIZER_HINT)
    tensors = check_weights(files)
    _check_sizes(config, tensors)
    return ModelFolder(folder, config, files, config["model_type"], tensors)


def read_json(path: Path, *, limit: int = _JSON_LIMIT) -> Any:
    """The content of a JSON file of at most ``limit`` bytes.

    Raises:
        InputRefused: it is too large, not UTF-8, not JSON, or nested beyond reason.
    """
    try:
        size = path.stat().st_size
        if size > limit:
            raise InputRefused(
                f"{path.name} is too large: {size} bytes; at most {limit} are read",
                hint="Fetch a clean copy of the model.",
            )
        return json.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise InputRefused(
            f"{path.name} cannot be read: {error.strerror}", hint="Check the file's permissions."
        ) from error
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InputRefused(
            f"{path.name} is not valid JSON: {reason[:200]}",
            hint="Fetch a clean copy of the model.",
            file=path.name,
        ) from error


def read_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file; empty when there is no such file.

    Raises:
        InputRefused: the file is malformed or holds something else.
    """
    if not path.is_file():
        return {}
    data = read_json(path)
    if not isinstance(data, dict):
        raise InputRefused(
            f"{path.name} must hold a JSON object, not {type(data).__name__}",
            hint="Fetch a clean copy of the model.",
        )
    return data


def _config(folder: Path) -> dict[str, Any]:
    if not (folder / "config.json").is_file():
        raise InputMissing(
            f"{folder} has no config.json: it is not a Hugging Face model folder",
            hint="Give the folder that save_pretrained wrote, or a hub id.",
        )
    config = read_object(folder / "config.json")
    if not isinstance(config.get("model_type"), str):
        raise InputRefused(
            "config.json does not name its model_type",
            hint='Add it, for example "model_type": "bert".',
        )
    return config


def _refuse_links_and_code(folder: Path) -> None:
    for path in _listing(folder):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            _inside(folder, name)
        if path.suffix.lower() == ".py":
            raise UnsafeInput(
                f"{name} is Python code; edgekit runs no code from a model",
                hint="If the model does not need it, remove the file and try again.",
                file=name,
            )


def _listing(folder: Path) -> Iterator[Path]:
    """Files of the folder and of its subfolders, one level down: all that a loader ever reads."""
    for path in sorted(folder.iterdir()):
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from sorted(path.iterdir())


def _inside(folder: Path, name: str) -> Path:
    """``folder / name``, allowing links only where the hub's cache makes them."""
    where = folder.absolute()
    repository = where.parent.parent
    if where.parent.name != "snapshots" or not repository.name.startswith("models--"):
        return safe_join(folder, name)
    try:
        return safe_join(folder, name, within=repository / "blobs")
    except UnsafeInput:
        if not (folder / safe_name(name)).is_symlink():
            return safe_join(folder, name)
        # A repository's blob can itself be a link into the store that all repositories share.
        return safe_join(folder, name, within=repository.parent / "blobs")


def _refuse_code_keys(file: str, data: Any) -> None:
    stack = [data]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            for key in sorted(_CODE_KEYS & item.keys()):
                if item[key]:
                    raise UnsafeInput(
                        f"{file} asks for custom code ({key}); edgekit runs no code from a model",
                        hint="Use a model of an architecture that transformers itself has.",
                        file=file,
                        key=key,
                    )
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)


def _refuse_indirections(folder: Path, config: dict[str, Any]) -> None:
    """What would make transformers read other files than those checked here, or other numbers."""
    for key in ("transformers_weights", "configuration_files"):
        if config.get(key):
            raise InputRefused(
                f"config.json sends the loader to other files ({key})",
                hint="Save the model again with save_pretrained.",
            )
    if (folder / "adapter_config.json").exists():
        raise InputRefused(
            f"{folder.name} is an adapter, not a whole model",
            hint="Merge it first (peft: model.merge_and_unload()) and save the result.",
        )
    if config.get("quantization_config"):
        raise Unsupported(
            "the weights are already quantized (quantization_config in config.json)",
            hint="Give the original float checkpoint; edgekit quantizes it itself.",
        )


def _weight_files(folder: Path) -> tuple[Path, ...]:
    # In the order in which transformers looks for them.
    if (folder / WEIGHTS).is_file():
        return (folder / WEIGHTS,)
    if (folder / INDEX).is_file():
        return _shards(folder)
    unsafe = [path.name for path in sorted(folder.iterdir()) if path.suffix.lower() in _PICKLES]
    if unsafe:
        raise UnsafeInput(
            f"only pickle weights here ({', '.join(unsafe[:3])}); opening them could run code",
            hint=CONVERT_HINT,
            files=unsafe,
        )
    others = [path.name for path in sorted(folder.glob("*.safetensors"))]
    raise InputMissing(
        f"{folder} has neither {WEIGHTS} nor {INDEX}"
        + (f", only {', '.join(others[:3])}" if others else ""),
        hint="Give the folder that save_pretrained wrote.",
    )


def _shards(folder: Path) -> tuple[Path, ...]:
    names = read_object(folder / INDEX).get("weight_map")
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise InputRefused(f"{INDEX} has no weight_map of file names", hint="Fetch a clean copy.")
    files = []
    for name in sorted(set(names.values())):
        file = _inside(folder, name)
        if file.parent != folder or file.suffix != ".safetensors":
            raise UnsafeInput(
                f"{INDEX} names {name!r}, which is not a safetensors file of this folder",
                hint=CONVERT_HINT,
            )
        if not file.is_file():
            raise InputMissing(
                f"shard {name!r} is missing from {folder}",
                hint="Fetch the model again; the copy is not complete.",
            )
        files.append(file)
    if not files:
        raise InputRefused(f"{INDEX} names no file", hint="Fetch a clean copy of the model.")
    return tuple(files)


def _check_sizes(config: dict[str, Any], tensors: dict[str, TensorInfo]) -> None:
    """A config that asks for far more than the files hold is refused before it is believed."""
    widest = max((size for info in tensors.values() for size in info.shape), default=0)
    bounds = dict.fromkeys(_WIDTHS, 2 * widest)
    bounds |= dict.fromkeys(_DEPTHS, max(_MOST_LAYERS, len(tensors)))
    stack = [config]
    while stack:
        part = stack.pop()
        stack.extend(value for value in part.values() if isinstance(value, dict))
        for key in sorted(bounds.keys() & part.keys()):
            value = part[key]
            if not isinstance(value, int) or isinstance(value, bool):
                continue  # transformers' own validation knows the type that this family wants
            if not 0 <= value <= bounds[key]:
                raise WeightsCorrupt(
                    f"config.json says {key} = {value}, which the stored tensors rule out"
                    f" ({len(tensors)} tensors, largest dimension {widest})",
                    hint="config.json and weights are not of the same model: fetch both again.",
                    key=key,
                )

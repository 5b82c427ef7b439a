"""Weight files from strangers: damaged, lying or not of this model, refused by name and reason."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from edgekit.errors import InputRefused, Unsupported, WeightsCorrupt
from edgekit_converters.folder import INDEX, WEIGHTS
from tests.support.models import edit_json, tiny_bert, write_json
from tests.support.refusals import loaded, refused, refused_at_once


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("original") / "tiny-bert")


@pytest.fixture
def model(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "tiny-bert"))


def header(spec: Any, data: bytes = b"", length: int | None = None) -> bytes:
    text = spec if isinstance(spec, bytes) else json.dumps(spec).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(start: int, end: int, shape: tuple[int, ...] = (2,), dtype: str = "F32") -> Any:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}


GOOD = {"a": entry(0, 8)}
TWICE = b'{"a": %b, "a": %b}' % ((json.dumps(entry(0, 8)).encode(),) * 2)
FILES = {
    "header-too-long": (header(GOOD, bytes(8), 2**63), "header too large"),
    "header-beyond-file": (header(GOOD, bytes(8), 5000), "header length"),
    "nested-header": (header(b'{"a":' * (1 << 20)), "recursion"),
    "overlap": (header({"a": entry(0, 8), "b": entry(4, 12)}, bytes(12)), "offset"),
    "hole": (header({"a": entry(0, 8), "b": entry(12, 20)}, bytes(20)), "offset"),
    "negative-offset": (header({"a": entry(-8, 0)}, bytes(8)), "-8"),
    "wrong-shape": (header({"a": entry(0, 8, (3,))}, bytes(8)), "shape"),
    "wrong-dtype": (header({"a": entry(0, 8, (2,), "F64")}, bytes(8)), "data type"),
    "unknown-dtype": (header({"a": entry(0, 8, (2,), "Q9")}, bytes(8)), "Q9"),
    "overflowing-shape": (header({"a": entry(0, 8, (2**40, 2**40))}, bytes(8)), "overflow"),
    "same-name-twice": (header(TWICE, bytes(8)), "twice"),
    "truncated": (header(GOOD, bytes(5)), "cut short"),
    "bytes-at-the-end": (header(GOOD, bytes(99)), "bytes at its end"),
    "garbage": (bytes(range(7, 256)), "header"),
    "three-bytes": (b"abc", "header too small"),
    "empty": (b"", "header too small"),
}


@pytest.mark.parametrize(("content", "word"), FILES.values(), ids=FILES.keys())
def test_damaged_safetensors(model: Path, content: bytes, word: str) -> None:
    (model / WEIGHTS).write_bytes(content)
    refused_at_once(WeightsCorrupt, 65, word, model)
    refused_at_once(WeightsCorrupt, 65, WEIGHTS, model)


def test_real_file_cut_anywhere(model: Path) -> None:
    whole = (model / WEIGHTS).read_bytes()
    for keep in (4, 8, 100, len(whole) // 2, len(whole) - 1):
        (model / WEIGHTS).write_bytes(whole[:keep])
        refused_at_once(WeightsCorrupt, 65, WEIGHTS, model)


def test_same_tensor_in_two_shards(model: Path) -> None:
    tensors = load_file(model / WEIGHTS)
    (model / WEIGHTS).unlink()
    names = ["model-1.safetensors", "model-2.safetensors"]
    for name in names:
        save_file(tensors, model / name, metadata={"format": "pt"})
    places = dict(zip(tensors, names + names[:1] * len(tensors), strict=False))
    write_json(model / INDEX, {"metadata": {}, "weight_map": places})
    refused_at_once(WeightsCorrupt, 65, "again in model-2.safetensors", model)


# Weights that do not fit


def change_tensor(model: Path, name: str, change: Callable[[Any], Any]) -> None:
    tensors = load_file(model / WEIGHTS)
    tensors[name] = np.ascontiguousarray(change(tensors[name]))
    save_file(tensors, model / WEIGHTS, metadata={"format": "pt"})


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_numbers(model: Path, value: float) -> None:
    def poison(tensor: Any) -> Any:
        tensor[3, 5] = value
        return tensor

    name = "bert.encoder.layer.1.output.dense.weight"
    change_tensor(model, name, poison)
    refused(WeightsCorrupt, 65, name, lambda: loaded(model))


def test_shape_that_disagrees_with_the_config(model: Path) -> None:
    name = "bert.encoder.layer.0.output.dense.bias"
    change_tensor(model, name, lambda tensor: tensor[:32])
    words = f"{name!r} is (32,) in the file, config.json wants (64,)"
    refused(WeightsCorrupt, 65, words, lambda: loaded(model))


def test_vocabulary_that_disagrees_with_the_table(model: Path) -> None:
    rows = json.loads((model / "config.json").read_text())["vocab_size"]
    edit_json(model / "config.json", vocab_size=rows + 100)
    words = f"({rows}, 64) in the file, config.json wants ({rows + 100}, 64)"
    refused(WeightsCorrupt, 65, words, lambda: loaded(model))


def test_layers_left_out_by_the_config(model: Path) -> None:
    edit_json(model / "config.json", num_hidden_layers=1)
    refused(WeightsCorrupt, 65, "layer.1.", lambda: loaded(model))


def test_head_that_is_not_in_the_file(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path / "headless", head="AutoModel")
    refused(InputRefused, 65, "classifier.weight", lambda: loaded(folder))


def test_random_pooler_only_where_it_does_not_matter(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path / "masked", head="AutoModelForMaskedLM")
    refused(InputRefused, 65, "pooler.dense.weight", lambda: loaded(folder, "AutoModel"))
    assert loaded(folder, "AutoModel", may_miss=("pooler.",)).family == "bert"


def test_architecture_without_such_a_head(model: Path) -> None:
    name = "AutoModelForSeq2SeqLM"
    refused(Unsupported, 78, name, lambda: loaded(model, name))

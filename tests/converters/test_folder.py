"""Folders that are accepted, and the digest of their weights."""

from __future__ import annotations

import hashlib
import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.numpy import load_file, save_file

from edgekit_converters.folder import INDEX, TOKENIZER_HINT, WEIGHTS, check
from edgekit_converters.weights import CONVERT_HINT, check_weights, weights_sha256
from tests.support.models import tiny_bert, tiny_distilbert, tiny_sentence_bert, write_json


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny_bert(tmp_path / "tiny-bert")


def split(folder: Path, names: tuple[str, str]) -> None:
    """Store the weights as two shards."""
    tensors = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    half = len(tensors) // 2
    parts = (list(tensors)[:half], list(tensors)[half:])
    for name, part in zip(names, parts, strict=True):
        save_file({key: tensors[key] for key in part}, folder / name, metadata={"format": "pt"})
    places = {key: name for name, part in zip(names, parts, strict=True) for key in part}
    write_json(folder / INDEX, {"metadata": {}, "weight_map": places})


def test_good_folder(model: Path) -> None:
    found = check(model)
    assert found.folder == model
    assert found.model_type == "bert"
    assert found.config["hidden_size"] == 64
    assert found.weight_files == (model / WEIGHTS,)
    table = found.tensors["bert.embeddings.word_embeddings.weight"]
    assert table.shape == (found.config["vocab_size"], 64)
    assert (table.dtype, table.elements) == ("F32", found.config["vocab_size"] * 64)


@pytest.mark.parametrize("maker", [tiny_distilbert, tiny_sentence_bert])
def test_other_good_folders(tmp_path: Path, maker: object) -> None:
    assert callable(maker)
    assert check(maker(tmp_path / "model")).tensors


def test_shards_hold_what_the_whole_file_held(model: Path) -> None:
    whole = check(model).tensors
    split(model, ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"))
    found = check(model)
    assert len(found.weight_files) == 2
    assert {name: info.shape for name, info in found.tensors.items()} == {
        name: info.shape for name, info in whole.items()
    }


def test_other_files_beside_the_weights_do_no_harm(model: Path) -> None:
    (model / "pytorch_model.bin").write_bytes(pickle.dumps({"a": 1}))
    (model / "onnx").mkdir()
    (model / "onnx" / "model.onnx").write_bytes(b"onnx")
    assert check(model).weight_files == (model / WEIGHTS,)


def test_link_inside_the_folder(model: Path) -> None:
    (model / WEIGHTS).rename(model / "v2.safetensors")
    (model / WEIGHTS).symlink_to("v2.safetensors")
    assert check(model).tensors


def test_byte_order_mark_and_null_auto_map(model: Path) -> None:
    config = json.loads((model / "config.json").read_text()) | {"auto_map": None}
    (model / "config.json").write_text("\ufeff" + json.dumps(config), encoding="utf-8")
    assert check(model).model_type == "bert"


def test_digest_of_one_file_is_its_own(model: Path) -> None:
    content = (model / WEIGHTS).read_bytes()
    assert weights_sha256([model / WEIGHTS]) == hashlib.sha256(content).hexdigest()


def test_digest_goes_by_name_and_sees_every_byte(model: Path) -> None:
    split(model, ("model-1.safetensors", "model-2.safetensors"))
    files = check(model).weight_files
    digest = weights_sha256(files)
    assert weights_sha256(reversed(files)) == digest
    content = bytearray(files[1].read_bytes())
    content[-1] ^= 1
    files[1].write_bytes(content)
    assert check_weights(files), "a flipped weight bit is still a valid file"
    assert weights_sha256(files) != digest


@pytest.mark.slow
def test_hints_do_what_they_say(model: Path, tmp_path: Path) -> None:
    """A pickle checkpoint becomes a good folder by the command in the hint."""
    import torch
    from safetensors.torch import load_file as load_torch

    torch.save(load_torch(model / WEIGHTS), model / "pytorch_model.bin")
    (model / WEIGHTS).unlink()
    new = tmp_path / "converted"
    _run_hint(CONVERT_HINT, {"OLD_FOLDER": str(model), "NEW_FOLDER": str(new)})
    assert check(new).model_type == "bert"

    (new / "tokenizer.json").unlink()
    vocabulary = json.loads((model / "tokenizer.json").read_text())["model"]["vocab"]
    (new / "vocab.txt").write_text("\n".join(sorted(vocabulary, key=vocabulary.get)) + "\n")
    _run_hint(TOKENIZER_HINT, {"FOLDER": str(new)})
    assert check(new).model_type == "bert"


def _run_hint(hint: str, names: dict[str, str]) -> None:
    import shlex

    words = shlex.split(hint.split("\n", 1)[1])
    assert words[0] == "python"
    subprocess.run(
        [sys.executable, *(names.get(word, word) for word in words[1:])],
        check=True,
        capture_output=True,
        timeout=300,
    )

"""Models from strangers: each case is a real damaged or malicious folder, refused before harm."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from edgekit.errors import (
    InputMissing,
    InputRefused,
    SpecError,
    UnsafeInput,
    Unsupported,
    WeightsCorrupt,
)
from edgekit_converters.folder import INDEX, WEIGHTS, check
from tests.support.models import edit_json, tiny_bert, write_json
from tests.support.refusals import loaded, refused, refused_at_once


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("original") / "tiny-bert")


@pytest.fixture
def model(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "tiny-bert"))


class Bomb:
    """Unpickling it creates a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.marker), "w"))


# Pickles


@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", "model.pt", "model.pth", "tf_model.h5", "flax_model.msgpack"]
)
def test_pickle_weights(model: Path, tmp_path: Path, name: str) -> None:
    marker = tmp_path / "ran"
    (model / WEIGHTS).unlink()
    (model / name).write_bytes(pickle.dumps(Bomb(marker)))
    refused_at_once(UnsafeInput, 65, name, model)
    assert not marker.exists()


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickle_renamed_to_safetensors(model: Path, tmp_path: Path, protocol: int) -> None:
    marker = tmp_path / "ran"
    (model / WEIGHTS).write_bytes(pickle.dumps(Bomb(marker), protocol=protocol))
    refused_at_once(UnsafeInput, 65, "pickle", model)
    assert not marker.exists()


def test_torch_archive_renamed_to_safetensors(model: Path, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    torch.save({"a": Bomb(marker)}, model / WEIGHTS)
    refused_at_once(UnsafeInput, 65, "torch.save", model)
    assert not marker.exists()


def test_oldest_pickle_renamed_to_safetensors(model: Path, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    (model / WEIGHTS).write_bytes(pickle.dumps(Bomb(marker), protocol=0))
    refused_at_once(WeightsCorrupt, 65, "header", model)
    assert not marker.exists()


def test_no_pickle_beside_good_weights_is_opened(model: Path, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    bomb = pickle.dumps(Bomb(marker))
    pickle.loads(bomb).close()
    assert marker.exists(), "the bomb must work, or this test proves nothing"
    marker.unlink()
    names = ["pytorch_model.bin", "training_args.bin", "optimizer.pt", "scheduler.pt", "x.pkl"]
    for name in [*names, "tf_model.h5", "tokenizer.pickle", "model.ckpt", "arrays.npz"]:
        (model / name).write_bytes(bomb)
    assert loaded(model).family == "bert"
    assert not marker.exists()


def test_conversion_hint_is_for_the_user_to_run(model: Path) -> None:
    (model / WEIGHTS).rename(model / "pytorch_model.bin")
    error = refused(UnsafeInput, 65, "pickle", lambda: check(model))
    assert "save_pretrained" in error.hint


# Code


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_auto_map(model: Path, file: str) -> None:
    edit_json(model / file, auto_map={"AutoModel": "modeling_evil.EvilModel"})
    refused_at_once(UnsafeInput, 65, "auto_map", model)


def test_auto_map_deep_inside(model: Path) -> None:
    edit_json(model / "config.json", text_config={"parts": [{"auto_map": {"AutoConfig": "x.Y"}}]})
    refused_at_once(UnsafeInput, 65, "auto_map", model)


def test_custom_pipelines(model: Path) -> None:
    edit_json(model / "config.json", custom_pipelines={"mine": {"impl": "pipe.Mine"}})
    refused_at_once(UnsafeInput, 65, "custom_pipelines", model)


@pytest.mark.parametrize("name", ["modeling_evil.py", "sub/Modeling.PY"])
def test_python_file(model: Path, tmp_path: Path, name: str) -> None:
    marker = tmp_path / "ran"
    (model / name).parent.mkdir(exist_ok=True)
    (model / name).write_text(f"open({str(marker)!r}, 'w')")
    refused_at_once(UnsafeInput, 65, Path(name).name, model)
    assert not marker.exists()


# config.json and tokenizer.json


def test_folder_does_not_exist(tmp_path: Path) -> None:
    refused_at_once(InputMissing, 66, "does not exist", tmp_path / "nowhere")


def test_no_config(model: Path) -> None:
    (model / "config.json").unlink()
    refused_at_once(InputMissing, 66, "config.json", model)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b'{"model_type": "bert"', "JSON"),
        (b"\xff\xfe\x00", "JSON"),
        (b"[" * 200_000, "nested"),
        (b'["bert"]', "object"),
        (b'{"hidden_size": ' + b"9" * 10_000 + b"}", "JSON"),
        (b"{}", "model_type"),
        (b'{"x": "' + b"x" * (11 << 20) + b'"}', "too large"),
    ],
    ids=["cut", "not-utf8", "deep", "list", "long-number", "no-type", "huge"],
)
def test_malformed_config(model: Path, content: bytes, word: str) -> None:
    (model / "config.json").write_bytes(content)
    refused_at_once(InputRefused, 65, word, model)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("hidden_size", 2**31),
        ("intermediate_size", 2**31),
        ("vocab_size", 2**40),
        ("num_hidden_layers", 10**9),
        ("num_attention_heads", 2**31),
        ("num_labels", 2**31),
        ("hidden_size", -64),
    ],
)
def test_impossible_size(model: Path, key: str, value: int) -> None:
    edit_json(model / "config.json", **{key: value})
    refused_at_once(WeightsCorrupt, 65, key, model)


def test_positions_far_beyond_the_table(model: Path) -> None:
    # No bound on the key alone: families without a table may have any number.
    edit_json(model / "config.json", max_position_embeddings=2**33)
    refused(WeightsCorrupt, 65, "parameters", lambda: loaded(model))


def test_unknown_model_type(model: Path) -> None:
    edit_json(model / "config.json", model_type="brt")
    error = refused(SpecError, 64, "brt", lambda: loaded(model))
    assert "bert" in error.hint


@pytest.mark.parametrize(
    ("key", "value", "word"),
    [
        ("hidden_size", "wide", "'wide'"),
        ("hidden_act", "explode", "'explode'"),
        ("num_attention_heads", 0, "ZeroDivisionError"),
        ("num_attention_heads", 3, "not a multiple"),
        ("dtype", "float99", "float99"),
        ("id2label", 3, "config.json"),
    ],
)
def test_nonsense_in_config(model: Path, key: str, value: object, word: str) -> None:
    edit_json(model / "config.json", **{key: value})
    refused(InputRefused, 65, word, lambda: loaded(model))


def test_config_that_sends_the_loader_elsewhere(model: Path) -> None:
    shutil.copy(model / WEIGHTS, model / "other.safetensors")
    edit_json(model / "config.json", transformers_weights="other.safetensors")
    refused_at_once(InputRefused, 65, "transformers_weights", model)


def test_quantized_already(model: Path) -> None:
    edit_json(model / "config.json", quantization_config={"quant_method": "gptq", "bits": 4})
    refused_at_once(Unsupported, 78, "quantized", model)


def test_adapter(model: Path) -> None:
    write_json(model / "adapter_config.json", {"base_model_name_or_path": "someone/base"})
    refused_at_once(InputRefused, 65, "adapter", model)


def test_no_tokenizer(model: Path) -> None:
    (model / "tokenizer.json").unlink()
    refused_at_once(InputRefused, 65, "tokenizer.json", model)


@pytest.mark.parametrize("content", ["{", "[]", '{"model": {"type": "Nonsense"}}', ""])
def test_malformed_tokenizer(model: Path, content: str) -> None:
    (model / "tokenizer.json").write_text(content)
    refused(InputRefused, 65, "tokenizer.json is malformed", lambda: loaded(model))


def test_tokenizer_with_more_ids_than_rows(model: Path) -> None:
    data = json.loads((model / "tokenizer.json").read_text())
    rows = len(data["model"]["vocab"])
    data["model"]["vocab"]["zzzz"] = rows + 7
    write_json(model / "tokenizer.json", data)
    words = f"up to {rows + 7}, the embedding table has {rows}"
    refused(InputRefused, 65, words, lambda: loaded(model))


# Names and links


def shard(model: Path, name: str) -> None:
    write_json(model / INDEX, {"metadata": {}, "weight_map": {"a": name}})


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("../x.safetensors", "'..'"),
        ("../../x.safetensors", "'..'"),
        ("sub/../../x.safetensors", "'..'"),
        ("C:\\x.safetensors", "backslash"),
        ("pytorch_model-00001.bin", "not a safetensors file"),
        ("sub/x.safetensors", "not a safetensors file"),
    ],
)
def test_index_that_names_something_else(model: Path, name: str, word: str) -> None:
    (model / WEIGHTS).rename(model.parent / "x.safetensors")
    shard(model, name)
    refused_at_once(UnsafeInput, 65, word, model)


def test_index_with_an_absolute_path(model: Path, tmp_path: Path) -> None:
    (model / WEIGHTS).rename(tmp_path / "x.safetensors")
    shard(model, str(tmp_path / "x.safetensors"))
    refused_at_once(UnsafeInput, 65, "absolute", model)


def test_index_that_lacks_a_shard(model: Path) -> None:
    (model / WEIGHTS).unlink()
    shard(model, "model-00001-of-00001.safetensors")
    refused_at_once(InputMissing, 66, "model-00001-of-00001", model)


@pytest.mark.parametrize("content", [[], {}, {"weight_map": {"a": 3}}, {"weight_map": {}}])
def test_malformed_index(model: Path, content: Any) -> None:
    (model / WEIGHTS).unlink()
    write_json(model / INDEX, content)
    refused_at_once(InputRefused, 65, INDEX, model)


@pytest.mark.parametrize("name", [WEIGHTS, "tokenizer.json", "config.json", "README.md"])
def test_link_out_of_the_folder(model: Path, tmp_path: Path, name: str) -> None:
    outside = tmp_path / "outside"
    (model / name).touch()
    (model / name).rename(outside)
    (model / name).symlink_to(outside)
    refused_at_once(UnsafeInput, 65, "link", model)


def test_shard_that_links_out(model: Path, tmp_path: Path) -> None:
    (model / WEIGHTS).rename(tmp_path / "outside")
    (model / "model-00001-of-00001.safetensors").symlink_to(tmp_path / "outside")
    shard(model, "model-00001-of-00001.safetensors")
    refused_at_once(UnsafeInput, 65, "link", model)


def test_link_in_a_cache_that_leads_out_of_it(model: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "hub" / "models--org--name" / "snapshots" / ("a" * 40)
    (tmp_path / "hub" / "models--org--name" / "blobs").mkdir(parents=True)
    shutil.copytree(model, snapshot)
    (snapshot / WEIGHTS).rename(tmp_path / "outside")
    (snapshot / WEIGHTS).symlink_to(tmp_path / "outside")
    refused_at_once(UnsafeInput, 65, "link", snapshot)

"""Tasks and pooling, read from real folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgekit import tasks
from edgekit.errors import InputRefused, SpecError, UnsafeInput, Unsupported
from edgekit_converters.detect import Pooling, sentence_pooling, task_of
from tests.support.models import (
    edit_json,
    tiny_bert,
    tiny_distilbert,
    tiny_sentence_bert,
    write_json,
)
from tests.support.refusals import refused


def config_of(folder: Path) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return config


def test_task_of_a_sentence_transformer(tmp_path: Path) -> None:
    for layout in ("old", "new"):
        folder = tiny_sentence_bert(tmp_path / layout, layout=layout)
        assert task_of(folder, config_of(folder)) == "sentence-similarity"


@pytest.mark.parametrize("maker", [tiny_bert, tiny_distilbert])
@pytest.mark.parametrize(
    ("head", "task"),
    [
        ("AutoModel", "feature-extraction"),
        ("AutoModelForMaskedLM", "fill-mask"),
        ("AutoModelForSequenceClassification", "text-classification"),
        ("AutoModelForTokenClassification", "token-classification"),
        ("AutoModelForQuestionAnswering", "question-answering"),
        ("AutoModelForMultipleChoice", "multiple-choice"),
    ],
)
def test_task_of_a_head(tmp_path: Path, maker: Any, head: str, task: str) -> None:
    folder = maker(tmp_path / "model", head=head)
    assert task_of(folder, config_of(folder)) == task
    assert task in tasks.names()


def test_known_task_that_has_no_module(tmp_path: Path) -> None:
    error = refused(
        Unsupported,
        78,
        "automatic-speech-recognition",
        lambda: task_of(tmp_path, {"architectures": ["Wav2Vec2ForCTC"]}),
    )
    assert all(name in error.hint for name in tasks.names())


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"architectures": []},
        {"architectures": "BertModel"},
        {"architectures": [3]},
        {"architectures": ["BertForPreTraining"]},
        {"architectures": ["MyOwnModel"]},
        {"architectures": ["AutoTokenizer"]},
        {"architectures": ["os.system"]},
    ],
    ids=str,
)
def test_task_that_cannot_be_told(tmp_path: Path, config: dict[str, Any]) -> None:
    error = refused(SpecError, 64, "task", lambda: task_of(tmp_path, config))
    assert "--task" in error.hint


@pytest.mark.parametrize("layout", ["old", "new"])
@pytest.mark.parametrize(
    ("pooling", "mode"),
    [("mean", "mean"), ("cls", "cls"), ("max", "max"), ("mean_sqrt_len_tokens", "mean_sqrt_len")],
)
def test_pooling(tmp_path: Path, layout: str, pooling: str, mode: str) -> None:
    folder = tiny_sentence_bert(
        tmp_path / "model", layout=layout, pooling=pooling, normalize=pooling == "cls"
    )
    # The new layout keeps its limit in tokenizer_config.json.
    limit = 64 if layout == "old" else None
    assert sentence_pooling(folder) == Pooling(mode, pooling == "cls", limit)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny_sentence_bert(tmp_path / "model", layout="old")


def test_pooling_without_any_flag_is_the_mean(model: Path) -> None:
    write_json(model / "1_Pooling" / "config.json", {"word_embedding_dimension": 64})
    assert sentence_pooling(model).mode == "mean"


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": True}, "max + mean"),
        ({"pooling_mode": ["cls", "mean"]}, "cls + mean"),
        ({"pooling_mode": "lasttoken"}, "lasttoken"),
        ({"pooling_mode_weightedmean_tokens": True}, "weightedmean"),
    ],
)
def test_pooling_that_is_not_exported(model: Path, settings: dict[str, Any], word: str) -> None:
    write_json(model / "1_Pooling" / "config.json", settings)
    refused(Unsupported, 78, word, lambda: sentence_pooling(model))


def test_pooling_that_is_malformed(model: Path) -> None:
    write_json(model / "1_Pooling" / "config.json", {"pooling_mode": {"a": 1}})
    refused(InputRefused, 65, "Pooling", lambda: sentence_pooling(model))


def modules(folder: Path, *types: str) -> None:
    paths = ["", "1_Pooling", "2_X", "3_X"]
    write_json(
        folder / "modules.json",
        [{"idx": i, "path": paths[i], "type": name} for i, name in enumerate(types)],
    )


OLD = "sentence_transformers.models."


@pytest.mark.parametrize(
    ("types", "word"),
    [
        (("Transformer", "Pooling", "Dense"), "Dense"),
        (("Transformer", "Pooling", "LayerNorm", "Normalize"), "LayerNorm"),
        (("Transformer", "WordWeights", "Pooling"), "WordWeights"),
        (("Transformer", "Normalize", "Pooling"), "Normalize -> Pooling"),
        (("Transformer",), "Transformer"),
    ],
)
def test_module_that_is_not_exported(model: Path, types: tuple[str, ...], word: str) -> None:
    modules(model, *(OLD + name for name in types))
    refused(Unsupported, 78, word, lambda: sentence_pooling(model))


def test_module_of_somebody_elses_code(model: Path) -> None:
    modules(model, OLD + "Transformer", "custom_st.Pooling")
    refused(UnsafeInput, 65, "custom_st.Pooling", lambda: sentence_pooling(model))
    refused(UnsafeInput, 65, "custom_st.Pooling", lambda: task_of(model, config_of(model)))


@pytest.mark.parametrize("path", ["../outside", "/etc"])
def test_module_that_leaves_the_folder(model: Path, path: str) -> None:
    entries = json.loads((model / "modules.json").read_text())
    entries[1]["path"] = path
    write_json(model / "modules.json", entries)
    (model.parent / "outside").mkdir()
    write_json(model.parent / "outside" / "config.json", {"pooling_mode": "cls"})
    with pytest.raises(UnsafeInput):
        sentence_pooling(model)


def test_pooling_without_its_settings(model: Path) -> None:
    (model / "1_Pooling" / "config.json").unlink()
    refused(InputRefused, 65, "1_Pooling/config.json", lambda: sentence_pooling(model))


@pytest.mark.parametrize("content", [{}, [3], [{"path": "x"}], [{"type": OLD + "X", "path": 3}]])
def test_malformed_modules(model: Path, content: Any) -> None:
    write_json(model / "modules.json", content)
    refused(InputRefused, 65, "modules.json", lambda: sentence_pooling(model))


def test_transformer_in_a_subfolder(model: Path) -> None:
    entries = json.loads((model / "modules.json").read_text())
    entries[0]["path"] = "0_Transformer"
    write_json(model / "modules.json", entries)
    refused(Unsupported, 78, "0_Transformer", lambda: sentence_pooling(model))


def test_default_prompt(model: Path) -> None:
    file = model / "config_sentence_transformers.json"
    write_json(file, {"default_prompt_name": "query", "prompts": {"query": "query: "}})
    refused(Unsupported, 78, "query: ", lambda: sentence_pooling(model))
    write_json(file, {"default_prompt_name": None, "prompts": {"query": "query: "}})
    assert sentence_pooling(model).mode == "mean"


def test_lower_casing_outside_the_tokenizer(model: Path) -> None:
    edit_json(model / "sentence_bert_config.json", do_lower_case=True)
    assert sentence_pooling(model).mode == "mean", "this tokenizer lower-cases by itself"
    data = json.loads((model / "tokenizer.json").read_text())
    data["normalizer"]["lowercase"] = False
    write_json(model / "tokenizer.json", data)
    refused(Unsupported, 78, "lower-cases", lambda: sentence_pooling(model))


def test_other_transformer_task(model: Path) -> None:
    edit_json(model / "sentence_bert_config.json", transformer_task="text-generation")
    refused(Unsupported, 78, "text-generation", lambda: sentence_pooling(model))


def test_folder_without_sentence_transformers_files(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path / "plain")
    refused(SpecError, 64, "sentence-transformers", lambda: sentence_pooling(folder))

"""What is read from a decoder's folder, and what is refused before anything is traced."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from edgekit import export, quantize
from edgekit.errors import InputRefused, SpecError, Unsupported, WeightsCorrupt
from edgekit_converters.generation.facts import (
    DEFAULT_CONTEXT,
    sampling,
    special_tokens,
    template,
    with_context,
)
from edgekit_converters.generation.texts import greedy
from edgekit_converters.load import load
from edgekit_converters.source import resolve
from tests.converters.generation.decoders import texts, tiny
from tests.support.decoders import TEMPLATE, decoder, edit
from tests.support.models import tiny_bert
from tests.support.refusals import refused


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return decoder(tmp_path_factory.mktemp("model") / "stranger")


@pytest.fixture
def folder(stored: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(stored, tmp_path / "model"))


def test_the_context_is_the_models_at_most_a_default(stored: Path) -> None:
    loaded = load(resolve(stored), "AutoModelForCausalLM")
    assert with_context(loaded, None).max_length == 256
    assert with_context(loaded, 64).max_length == 64
    for wrong in (257, 7):
        refused(SpecError, 64, f"{wrong} tokens", partial(with_context, loaded, wrong))
    loaded.config.max_position_embeddings = 8192
    assert with_context(loaded, 5000).max_length == 5000
    assert with_context(replace(loaded, max_length=8192), None).max_length == DEFAULT_CONTEXT
    assert DEFAULT_CONTEXT == 1024


def test_sampling_is_greedy_unless_the_makers_sample() -> None:
    assert sampling({"temperature": 0.6, "top_k": 20}, 512).temperature == 0
    known = sampling({"do_sample": True, "temperature": 0.6, "top_p": 0.9}, 512)
    assert (known.temperature, known.top_k, known.top_p) == (0.6, 50, 0.9)
    assert known.max_new_tokens == 256
    assert sampling({"max_new_tokens": 4096}, 512).max_new_tokens == 512


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"do_sample": True, "temperature": -1}, "temperature"),
        ({"do_sample": True, "top_p": 0}, "top_p"),
        ({"do_sample": True, "top_k": "many"}, "top_k"),
        ({"repetition_penalty": 1e9}, "repetition_penalty"),
        ({"max_new_tokens": -3}, "max_new_tokens"),
        ({"max_new_tokens": "all"}, "max_new_tokens"),
    ],
)
def test_settings_that_no_sampler_can_use(settings: dict[str, Any], word: str) -> None:
    refused(InputRefused, 65, word, lambda: sampling(settings, 512))


def test_templates_lie_in_three_places(folder: Path) -> None:
    special = special_tokens(folder)
    assert special == {"bos_token": "<s>", "eos_token": "</s>"}
    assert template(folder, special) == TEMPLATE
    named = [{"name": "tool_use", "template": "tools"}, {"name": "default", "template": "plain"}]
    edit(folder, "tokenizer_config.json", chat_template=named)
    assert template(folder, special) == "plain"
    edit(folder, "chat_template.json", chat_template="older")
    assert template(folder, special) == "older"
    (folder / "chat_template.jinja").write_text("{{ bos_token }}newest")
    assert template(folder, special) == "{{ bos_token }}newest"
    (folder / "chat_template.jinja").write_text(" ")
    assert template(folder, special) is None
    (folder / "chat_template.jinja").write_text("{% if %}")
    refused(InputRefused, 65, "chat template", lambda: template(folder, special))
    (folder / "chat_template.jinja").write_bytes(b"\xff\xfe")
    refused(InputRefused, 65, "chat_template.jinja", lambda: template(folder, special))


def test_greedy_with_a_cache_is_greedy_without() -> None:
    from edgekit_converters.generation import parity

    for family in ("llama", "gemma2", "gptj"):
        model = tiny(family)
        (ids,) = texts(1, 12)
        assert greedy(model, ids, 12) == parity.greedy(model, ids, 12)
    first = greedy(model, ids, 5)
    assert greedy(model, ids, 5, ends=[first[1]]) == first[:2]


def _foreign_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_tokens([f"<more{n}>" for n in range(40)])
    tokenizer.save(str(folder / "tokenizer.json"))


def _end_beyond(folder: Path) -> None:
    edit(folder, "generation_config.json", eos_token_id=[1, 320])


def _bad_template(folder: Path) -> None:
    edit(folder, "tokenizer_config.json", chat_template="{{ 1 / 0 }}")


def _bad_sampling(folder: Path) -> None:
    edit(folder, "generation_config.json", do_sample=True, top_p=7.0)


@pytest.mark.parametrize(
    ("change", "error", "word"),
    [
        (_foreign_tokenizer, InputRefused, "embedding table has 320 rows"),
        (_end_beyond, InputRefused, "eos_token_id is 320"),
        (_bad_template, InputRefused, "chat template"),
        (_bad_sampling, InputRefused, "top_p"),
        (
            lambda folder: edit(folder, "config.json", hidden_size=1 << 24),
            WeightsCorrupt,
            "hidden_size",
        ),
    ],
)
def test_an_export_refuses_and_leaves_nothing(
    folder: Path, tmp_path: Path, change: Callable[[Path], None], error: Any, word: str
) -> None:
    change(folder)
    refused(error, 65, word, lambda: export(folder, out=tmp_path / "made", quantize="none"))
    assert not (tmp_path / "made").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_options_that_do_not_go_together(stored: Path, tmp_path: Path) -> None:
    out = tmp_path / "made"
    cases: list[tuple[type[Any], int, str, dict[str, Any]]] = [
        (SpecError, 64, "300 tokens", {"max_context": 300}),
        (SpecError, 64, "--max-length", {"max_length": 32}),
        (Unsupported, 78, "NNAPI", {"delegate": "nnapi"}),
    ]
    for error, status, word, options in cases:
        refused(error, status, word, partial(export, stored, out=out, **options))
    encoder = tiny_bert(tmp_path / "encoder")
    refused(SpecError, 64, "--max-context", lambda: export(encoder, out=out, max_context=64))
    refused(Unsupported, 78, "mixed plan", lambda: quantize(stored, out=out, max_size="30%"))
    refused(Unsupported, 78, "int8-static", lambda: quantize(stored, out=out, scheme="int8-static"))
    assert not out.exists()


def test_attention_that_has_no_kernel_is_named(tmp_path: Path) -> None:
    alibi = decoder(tmp_path / "bloom", "bloom", n_head=4, n_layer=2)
    refused(Unsupported, 78, "bloom", lambda: export(alibi, out=tmp_path / "made"))
    assert not (tmp_path / "made").exists()

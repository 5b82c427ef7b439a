"""What is no encoder-decoder here is refused by name, and a model is left as it was."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from edgekit.errors import InputRefused, InternalError, SpecError, Unsupported
from edgekit_converters.generation.seq2seq import attention
from edgekit_converters.generation.seq2seq.biases import Biases, by_distance, hidden
from edgekit_converters.generation.seq2seq.capture import prepared
from edgekit_converters.generation.seq2seq.rules import beams_of, rules_of
from edgekit_converters.quiet import quiet
from tests.converters.generation.seq2seq.models import BEGIN, END, START, VOCABULARY, tiny


@pytest.mark.parametrize("name", ["led", "prophetnet"])
def test_attention_that_no_interface_reaches_is_refused(name: str) -> None:
    model = tiny(name)
    before = model.config._attn_implementation
    with (
        quiet(),
        pytest.raises(Unsupported, match=f"{name} models compute attention") as caught,
        prepared(model, name, 32, 32),
    ):
        pass
    assert "T5" in caught.value.hint
    assert model.config._attn_implementation == before


@pytest.mark.parametrize(
    ("source", "target", "said"), [(97, 32, "97 tokens of text"), (32, 4, "4 tokens of answer")]
)
def test_lengths_that_the_model_lacks_are_refused(source: int, target: int, said: str) -> None:
    with (
        pytest.raises(SpecError, match=said) as caught,
        prepared(tiny("bart"), "bart", source, target),
    ):
        pass
    assert "8 to 96" in caught.value.hint


def test_attention_outside_a_capture_is_our_fault() -> None:
    states = torch.zeros(1, 2, 3, 4)
    with pytest.raises(InternalError):
        attention.attention(torch.nn.Identity(), states, states, states, None)
    with pytest.raises(InternalError):
        attention.mask()


class Nobody:
    """Serves, and is never asked."""

    def attend(self, call: Any) -> Any:
        raise AssertionError

    def mask(self, mask_function: Any) -> None:
        raise AssertionError


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"softcap": 3.0}, "softcap"),
        ({"attention_mask": torch.zeros(1, 1, 3, 3)}, "a mask of its own"),
        ({"key": torch.zeros(1, 1, 3, 4)}, "2 heads of 4 features"),
    ],
)
def test_attention_of_another_kind_is_refused(changes: dict[str, Any], said: str) -> None:
    states = torch.zeros(1, 2, 3, 4)
    given: dict[str, Any] = {"key": states, "value": states, "attention_mask": None}
    with attention.serving(Nobody()), pytest.raises(Unsupported, match=said):
        attention.attention(torch.nn.Identity(), states, **{**given, **changes})


@pytest.mark.parametrize("causal", [True, False])
def test_a_bias_of_distance_alone_becomes_a_table(causal: bool) -> None:
    length = 9
    made = torch.Generator().manual_seed(0)
    values = torch.randn(2, 2 * length - 1, generator=made)
    places = torch.arange(length)
    back = places[:, None] - places[None, :]
    bias = values[:, back + length - 1][None]
    table = by_distance(bias, causal)
    assert table is not None
    wanted = bias + hidden(places, places) if causal else bias
    found = Biases([table], places, places, causal)(bias)
    assert torch.equal(found.clamp(min=-1e20), wanted.clamp(min=-1e20))
    # A part of it, as a decoder reads on.
    rows, columns = torch.arange(4, 6), torch.arange(6)
    if causal:
        part = Biases([table], rows, columns, causal)(bias)
        assert torch.equal(part.clamp(min=-1e20), wanted[:, :, 4:6, :6].clamp(min=-1e20))
    # Anything else stays the model's own.
    bias[0, 1, 5, 2] += 1.0
    assert by_distance(bias, causal) is None
    assert torch.equal(Biases([None], places, places, causal=False)(bias), bias)


def test_rules_are_read_from_the_model() -> None:
    model = tiny("bart", forced_eos_token_id=END)
    said = model.generation_config
    said.forced_bos_token_id = BEGIN
    said.no_repeat_ngram_size, said.min_length = 3, 5
    said.bad_words_ids = [[7], [8, 9], [END]]
    said.suppress_tokens, said.begin_suppress_tokens = [11], [12]
    said.num_beams, said.length_penalty, said.early_stopping = 4, 2.0, True
    rules, beams = rules_of(model), beams_of(model)
    assert (rules.start, rules.eos, rules.first, rules.last) == ((START,), (END,), BEGIN, END)
    assert (rules.no_repeat, rules.least) == (3, 5)
    # transformers lets an answer end, whatever is banned.
    assert rules.banned == ((7,), (8, 9))
    assert (rules.suppressed, rules.suppressed_first) == ((11,), (12,))
    assert (beams.count, beams.length_penalty, beams.early_stopping) == (4, 2.0, True)


def test_rules_that_name_no_token_are_refused() -> None:
    model = tiny("t5")
    model.generation_config.suppress_tokens = [VOCABULARY]
    with pytest.raises(InputRefused, match=f"token {VOCABULARY}"):
        rules_of(model)
    model = tiny("t5", decoder_start_token_id=None, bos_token_id=None)
    model.generation_config.decoder_start_token_id = None
    with pytest.raises(InputRefused, match="begins with"):
        rules_of(model)

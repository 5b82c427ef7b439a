"""Text from tokens: whole characters only, and never a part of a stop text."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from edgekit.runtime.generation.stream import TextStream

TEXT = "Grüße aus Łódź, 東京 and 🙂🙂! One two three END four."


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    """Bytes, nearly: hardly anything is merged, so characters come in parts."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=270,
        special_tokens=["<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator([TEXT], trainer)
    return made


def pieces(tokenizer: Tokenizer, text: str, *stop: str) -> tuple[list[str], TextStream]:
    stream = TextStream(tokenizer, stop)
    return [stream.add(token) for token in tokenizer.encode(text).ids], stream


def test_pieces_are_whole_characters(tokenizer: Tokenizer) -> None:
    found, stream = pieces(tokenizer, TEXT)
    assert "".join(found) + stream.rest() == TEXT
    assert not any("\ufffd" in piece for piece in found)
    assert "" in found  # something was waited for
    assert sum(map(bool, found)) > len(TEXT) / 3  # and not all of it


def test_special_tokens_are_no_text(tokenizer: Tokenizer) -> None:
    found, stream = pieces(tokenizer, "one<|end|>two")
    assert "".join(found) + stream.rest() == "onetwo"


@pytest.mark.parametrize(
    ("stop", "wanted"),
    [
        (("END",), TEXT[: TEXT.index("END")]),
        (("three", "two"), TEXT[: TEXT.index("two")]),
        (("🙂🙂!",), TEXT[: TEXT.index("🙂")]),
        (("G",), ""),
    ],
)
def test_a_stop_text_ends_the_answer(
    tokenizer: Tokenizer, stop: tuple[str, ...], wanted: str
) -> None:
    found, stream = pieces(tokenizer, TEXT, *stop)
    assert "".join(found) == wanted
    assert stream.stopped
    assert stream.rest() == ""


def test_the_beginning_of_a_stop_text_is_held_back(tokenizer: Tokenizer) -> None:
    stream = TextStream(tokenizer, ("END of all",))
    shown = "".join(stream.add(token) for token in tokenizer.encode("the END").ids)
    assert shown == "the "
    assert not stream.stopped
    more = "".join(stream.add(token) for token in tokenizer.encode(" of it").ids)
    assert shown + more + stream.rest() == "the END of it"

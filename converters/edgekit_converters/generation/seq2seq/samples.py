"""What an encoder-decoder is measured and calibrated on: texts, and the eager model's answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from tokenizers import Tokenizer

from edgekit.errors import InputRefused
from edgekit.runtime.generation.replay import Passage
from edgekit_converters.generation.seq2seq.parity import Pair
from edgekit_converters.generation.texts import GREEDY_PROMPTS, GREEDY_TOKENS

_MOST_ROWS = 16
# Bytes of float32 logits that a child process hands back.
_MOST_BYTES = 128 * 1024 * 1024


@dataclass(frozen=True)
class Sample:
    """One text to measure with.

    Attributes:
        text: in words.
        passage: the eager model's answer, over the text's ids.
    """

    text: str
    passage: Passage


@dataclass(frozen=True)
class Asking:
    """How texts become answers.

    Attributes:
        model: eager, fp32.
        tokenizer: without truncation and padding.
        source: the most tokens of a text.
        target: the most tokens of an answer.
        start: what every answer begins with.
        eos: ids that end one.
    """

    model: Any
    tokenizer: Tokenizer
    source: int
    target: int
    start: tuple[int, ...]
    eos: tuple[int, ...]

    def ids(self, text: str) -> list[int]:
        """A text's ids; a long one keeps its last token, which for most models ends it."""
        ids: list[int] = self.tokenizer.encode(text).ids
        return ids if len(ids) <= self.source else [*ids[: self.source - 1], ids[-1]]

    def answer(self, ids: Sequence[int], count: int, *, past_end: bool = False) -> list[int]:
        """The eager model's greedy answer, what it begins with left out.

        Args:
            ids: the text.
            count: the most tokens.
            past_end: whether to go on where the model would end.
        """
        found: list[int] = []
        with torch.no_grad():
            read = self.model.get_encoder()(input_ids=torch.tensor([list(ids)]))
            given, past = torch.tensor([list(self.start)]), None
            while len(found) < count:
                out = self.model(
                    encoder_outputs=read,
                    decoder_input_ids=given,
                    past_key_values=past,
                    use_cache=True,
                )
                past = out.past_key_values
                found.append(int(out.logits[0, -1].argmax()))
                if found[-1] in self.eos and not past_end:
                    break
                given = torch.tensor([[found[-1]]])
        return found


def samples(asking: Asking, texts: Sequence[str], vocabulary: int) -> list[Sample]:
    """Texts with the eager model's answers, up to a few tokens of each.

    Raises:
        InputRefused: no text has a token.
    """
    most = max(8, _MOST_BYTES // (4 * vocabulary * _MOST_ROWS))
    found = []
    for text in texts[:: max(1, -(-len(texts) // most))]:
        ids = asking.ids(text)
        if not ids:
            continue
        room = min(_MOST_ROWS, asking.target) - len(asking.start)
        answer = (*asking.start, *asking.answer(ids, room))
        found.append(Sample(text, Passage(answer, len(asking.start), text=tuple(ids))))
    if not found:
        raise InputRefused(
            "none of the sample texts has a token", hint="Give longer texts with --samples."
        )
    return found


def prompts(asking: Asking, found: Sequence[Sample]) -> list[Passage]:
    """A few of the samples' texts, to be answered as long as can be."""
    more = min(GREEDY_TOKENS, asking.target - len(asking.start))
    step = max(1, len(found) // GREEDY_PROMPTS)
    chosen = [sample.passage for sample in found[::step]][:GREEDY_PROMPTS]
    return [Passage(asking.start, len(asking.start), more, one.text) for one in chosen]


def pairs(asking: Asking, texts: Sequence[str], count: int) -> list[Pair]:
    """Texts and answers to calibrate with: ``count`` spread over all."""
    chosen = texts[:: max(1, len(texts) // count)][:count]
    every = [ids for text in chosen if (ids := asking.ids(text))]
    room = min(2 * _MOST_ROWS, asking.target) - len(asking.start)
    return [(ids, [*asking.start, *asking.answer(ids, room)]) for ids in every]

"""What a decoder is measured and calibrated on: texts to read, and chats in its own form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from edgekit.bundle.manifest import Generation
from edgekit.errors import InputRefused, TextRefused
from edgekit.runtime.generation.prompt import Prompts
from edgekit.runtime.generation.replay import Passage
from edgekit_converters.load import Loaded

# A text longer than this says little more about a step.
_LONGEST_PROMPT = 32
_MOST_ROWS = 16
# Bytes of float32 logits that a child process hands back.
_MOST_BYTES = 128 * 1024 * 1024
GREEDY_PROMPTS = 5
GREEDY_TOKENS = 64


@dataclass(frozen=True)
class Sample:
    """One text to measure with.

    Attributes:
        text: in words.
        passage: as it is read.
    """

    text: str
    passage: Passage


def samples(
    loaded: Loaded, generation: Generation, texts: Sequence[str], vocabulary: int
) -> list[Sample]:
    """Texts as passages; every second one as a chat, where the model knows chats.

    A chat is a question with the answer that the eager model itself gives: that is what a decoder
    reads for most of its life.

    Raises:
        InputRefused: no text has two tokens.
    """
    prompts = Prompts(loaded.tokenizer, generation)
    most = max(8, _MOST_BYTES // (4 * vocabulary * _MOST_ROWS))
    texts = texts[:: max(1, -(-len(texts) // most))]
    found = []
    for number, text in enumerate(texts):
        if number % 2 and (asked := question(prompts, text)) is not None:
            room = min(_MOST_ROWS - 1, generation.context - len(asked))
            ids = asked + greedy(loaded.model, asked, room, generation.eos_token_ids)
            start = len(asked)
        else:
            ids = prompts.plain(text)
            start = max(1, min(len(ids) // 2, _LONGEST_PROMPT))
            ids = ids[: min(start + _MOST_ROWS - 1, generation.context)]
        if len(ids) > start:
            found.append(Sample(text, Passage(tuple(ids), start)))
    if not found:
        raise InputRefused(
            "none of the sample texts has two tokens", hint="Give longer texts with --samples."
        )
    return found


def greedy_prompts(found: Sequence[Sample], context: int) -> list[Passage]:
    """A few of the samples' prompts, to be continued."""
    step = max(1, len(found) // GREEDY_PROMPTS)
    chosen = [sample.passage for sample in found[::step]][:GREEDY_PROMPTS]
    return [
        Passage(one.ids[: one.prompt], one.prompt, min(GREEDY_TOKENS, context - one.prompt))
        for one in chosen
    ]


def calibration(
    loaded: Loaded, generation: Generation, texts: Sequence[str], count: int
) -> list[list[int]]:
    """Token ids to calibrate with: ``count`` texts spread over all, half of them as chats."""
    prompts = Prompts(loaded.tokenizer, generation)
    chosen = texts[:: max(1, len(texts) // count)][:count]
    found = []
    for number, text in enumerate(chosen):
        asked = question(prompts, text) if number % 2 else None
        if asked is not None:
            room = min(_MOST_ROWS, generation.context - len(asked))
            ids = asked + greedy(loaded.model, asked, room, generation.eos_token_ids)
        else:
            ids = prompts.plain(text)
        found.append(ids[: generation.context])
    return found


def question(prompts: Prompts, text: str) -> list[int] | None:
    """A text as a user's message; None where that is too long or unknown to the model."""
    if not prompts.has_template:
        return None
    try:
        ids = prompts.one(text)
    except TextRefused:
        return None
    return ids if len(ids) <= prompts.context // 2 else None


def greedy(model: Any, ids: Sequence[int], count: int, ends: Sequence[int] = ()) -> list[int]:
    """The eager model's greedy continuation with transformers' own cache, up to an end token.

    Args:
        model: eager, fp32.
        ids: the prompt.
        count: the most tokens.
        ends: ids that end it; the one that does is part of it.
    """
    found: list[int] = []
    given, past = torch.tensor([list(ids)]), None
    with torch.no_grad():
        while len(found) < count:
            out = model(input_ids=given, past_key_values=past, use_cache=True)
            past = out.past_key_values
            found.append(int(out.logits[0, -1].argmax()))
            if found[-1] in ends:
                break
            given = torch.tensor([[found[-1]]])
    return found

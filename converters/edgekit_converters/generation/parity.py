"""The eager model's side of a decoder's parity: its logits, and its greedy text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from edgekit.errors import SpecError
from edgekit.runtime.generation import Generator, Sampling
from edgekit.runtime.generation.loop import Steps
from edgekit.verify.tokens import Parity, Rows, compare

__all__ = ["Parity", "compare", "greedy", "reference_logits", "same_greedy", "stepped_logits"]
__all__ += ["teacher_forced"]


def reference_logits(model: Any, ids: Sequence[int]) -> Rows:
    """The eager model's logits after every token, ``(tokens, vocabulary)``; no cache involved."""
    with torch.no_grad():
        row = model(input_ids=torch.tensor([list(ids)]), use_cache=False).logits[0]
    found: Rows = row.double().numpy()
    return found


def stepped_logits(steps: Steps, ids: Sequence[int], prompt: int) -> Rows:
    """An artifact's logits after token ``prompt`` and every later one.

    Args:
        steps: the decoder.
        ids: the whole text.
        prompt: tokens that are read in one pass; the rest one by one.

    Returns:
        ``(len(ids) - prompt + 1, vocabulary)``.
    """
    rows = [steps.feed(ids[:prompt], 0)]
    rows += [steps.feed([ids[at]], at) for at in range(prompt, len(ids))]
    return np.stack(rows).astype(np.float64)


def teacher_forced(
    model: Any, steps: Steps, texts: Sequence[Sequence[int]], prompt: int = 8
) -> Parity:
    """Compare a decoder with the eager model on texts.

    Args:
        model: eager, fp32.
        steps: the artifact.
        texts: token ids, each longer than ``prompt`` and within the context.
        prompt: see ``stepped_logits``.

    Raises:
        SpecError: a text that is too short or too long.
    """
    wanted, found, followed = [], [], []
    for ids in texts:
        if not prompt < len(ids) <= steps.context:
            raise SpecError(
                f"a text of {len(ids)} tokens cannot be measured with",
                hint=f"From {prompt + 1} to {steps.context} tokens.",
            )
        wanted.append(reference_logits(model, ids)[prompt - 1 :])
        found.append(stepped_logits(steps, ids, prompt))
        followed.append([*ids[prompt:], -1])
    return compare(np.concatenate(wanted), np.concatenate(found), np.concatenate(followed))


def greedy(model: Any, ids: Sequence[int], count: int) -> list[int]:
    """The eager model's greedy continuation, the whole text computed anew for each token."""
    text = list(ids)
    for _ in range(count):
        text.append(int(reference_logits(model, text)[-1].argmax()))
    return text[len(ids) :]


def same_greedy(model: Any, generator: Generator, ids: Sequence[int], count: int) -> int:
    """How many tokens of the greedy continuation are the eager model's, up to the first other.

    Args:
        model: eager, fp32.
        generator: around the artifact, without end tokens.
        ids: the prompt.
        count: tokens to generate; prompt and answer must fit the context.
    """
    wanted = greedy(model, ids, count)
    made = [token.id for token in generator.generate(ids, Sampling(max_tokens=count))]
    pairs = enumerate(zip(wanted, made, strict=False))
    return next((at for at, (one, other) in pairs if one != other), min(len(wanted), len(made)))

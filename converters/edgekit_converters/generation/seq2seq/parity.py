"""How near an artifact's answers are to the eager model's, token by token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from edgekit.errors import SpecError
from edgekit.runtime.generation.seq2seq import TextSteps
from edgekit.verify.tokens import Parity, Rows, compare
from edgekit_converters.generation.parity import stepped_logits

# A text and an answer to it, the tokens that every answer begins with included.
Pair = tuple[Sequence[int], Sequence[int]]


def reference_logits(model: Any, text: Sequence[int], answer: Sequence[int]) -> Rows:
    """The eager model's logits after every token of an answer, ``(tokens, vocabulary)``."""
    with torch.no_grad():
        row = model(
            input_ids=torch.tensor([list(text)]),
            decoder_input_ids=torch.tensor([list(answer)]),
            use_cache=False,
        ).logits[0]
    found: Rows = row.double().numpy()
    return found


def teacher_forced(model: Any, steps: TextSteps, pairs: Sequence[Pair], prompt: int = 1) -> Parity:
    """Compare an encoder-decoder with the eager model on texts and answers.

    Args:
        model: eager, fp32.
        steps: the artifact.
        pairs: see ``Pair``; each answer longer than ``prompt`` and within the context.
        prompt: tokens of an answer that are read in one pass; the rest one by one.

    Raises:
        SpecError: an answer that is too short or too long.
    """
    wanted, found, followed = [], [], []
    for text, answer in pairs:
        if not prompt < len(answer) <= steps.context:
            raise SpecError(
                f"an answer of {len(answer)} tokens cannot be measured with",
                hint=f"From {prompt + 1} to {steps.context} tokens.",
            )
        wanted.append(reference_logits(model, text, answer)[prompt - 1 :])
        steps.read(text)
        found.append(stepped_logits(steps, answer, prompt))
        followed.append([*answer[prompt:], -1])
    return compare(np.concatenate(wanted), np.concatenate(found), np.concatenate(followed))

"""Plain texts for a masked model: how surprised it is by each token when that one is hidden.

Pseudo-perplexity (Salazar et al. 2020). It compares forms of one model; between models with other
tokenizers it says nothing.
"""

from __future__ import annotations

import numpy as np

from edgekit.columns import Row
from edgekit.errors import SpecError
from edgekit.runtime.encode import unpad
from edgekit.scoring.kinds import Asked, Mark, Scoring
from edgekit.scoring.metrics import Metric, perplexity, ratio_of
from edgekit.tasks import Context

TASKS = ("fill-mask",)
COLUMNS = {"text": "a text without masks"}
OPTIONAL: dict[str, str] = {}
PERTURBED: tuple[str, ...] = ()


def fields(context: Context) -> tuple[str, ...]:
    """Sum of surprises in nats, tokens, and those whose likeliest token is the hidden one."""
    return ("nats", "tokens", "guessed")


def texts(row: Row) -> str:
    """The text."""
    return row.text("text")


def score(row: Row, asked: Asked) -> Scoring:
    """Every token hidden in its turn."""
    mask = asked.context.mask_token_id
    if mask is None:
        raise SpecError("the tokenizer has no mask token", hint="Score another model.")
    (encoded,) = asked.encoder.passes(row.text("text"))
    nats, guessed, places = 0.0, 0, [i for i, word in enumerate(encoded.words) if word is not None]
    for place in places:
        ids = encoded.inputs["input_ids"].copy()
        hidden, ids[0, place] = int(ids[0, place]), mask
        output = yield {**encoded.inputs, "input_ids": ids}
        logits = unpad(output, encoded.inputs)[0][0, place].astype(np.float64)
        top = logits.max()
        nats -= float(logits[hidden] - top - np.log(np.exp(logits - top).sum()))
        guessed += int(logits.argmax() == hidden)
    each = perplexity(nats / len(places)) if places else 1.0
    return Mark((nats, float(len(places)), float(guessed)), f"{each:.1f}", "")


def metrics(context: Context) -> tuple[Metric, ...]:
    """Pseudo-perplexity, and the share of hidden tokens that are guessed."""
    surprise = ratio_of("pseudo-perplexity", [(1.0, 0)], [(1.0, 1)], then=perplexity, better=-1)
    return (surprise, ratio_of("guessed", [(1.0, 2)], [(1.0, 1)]))

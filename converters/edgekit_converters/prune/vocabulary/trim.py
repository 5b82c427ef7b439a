"""Which tokens stay, the model and tokenizer without the others, and what texts notice of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor

from edgekit.errors import SpecError
from edgekit_converters.prune import architecture, plan, surgeon, vocabulary
from edgekit_converters.prune.subject import Subject
from edgekit_converters.prune.vocabulary import tokenizer_files

_TOGETHER = 1000
_KEY = "vocab_size"


@dataclass(frozen=True)
class Trimmed:
    """A model with a smaller vocabulary.

    Attributes:
        subject: model and tokenizer.
        data: the new ``tokenizer.json``.
        places: old id -> new id of what stayed.
    """

    subject: Subject
    data: dict[str, Any]
    places: dict[int, int]


def counts(tokenizer: Tokenizer, texts: Sequence[str], size: int) -> Tensor:
    """How often each token occurs in texts, float64 ``(size,)``."""
    found = torch.zeros(size, dtype=torch.float64)
    for start in range(0, len(texts), _TOGETHER):
        for one in tokenizer.encode_batch(list(texts[start : start + _TOGETHER])):
            found += torch.bincount(torch.tensor(one.ids, dtype=torch.int64), minlength=size)
    return found


def chosen(folder: Path, data: Mapping[str, Any], scores: Tensor, amount: float) -> list[int]:
    """Ids that stay, ascending: what must, then the best with all that they are made of.

    Args:
        folder: of the model, whose configs name tokens.
        data: ``tokenizer.json``.
        scores: a number for each token.
        amount: share of the tokens to remove.

    Raises:
        SpecError: what must stay alone is more than the amount leaves.
    """
    known = tokenizer_files.tokens(data)
    keep = plan.kept(len(known), amount, "tokens")
    stay = tokenizer_files.named(folder, data) & known.keys()
    parts = vocabulary.kind(data).parts(data["model"])
    for place in list(stay):
        stay |= parts.get(place, set())
    if len(stay) > keep:
        most = 1 - len(stay) / len(known)
        raise SpecError(
            f"{keep} tokens are too few: {len(stay)} must stay (special, single characters, bytes)",
            hint=f"At most --amount {int(most * 1000) / 1000:g}.",
        )
    order = [int(i) for i in scores.argsort(descending=True, stable=True)]
    for place in order:
        if place not in known or place in stay:
            continue
        more = {place, *parts.get(place, set())} - stay
        if len(stay) + len(more) <= keep:
            stay |= more
        if len(stay) == keep:
            break
    return sorted(stay)


def trimmed(subject: Subject, kept: Sequence[int]) -> Trimmed:
    """The model and its tokenizer with only some tokens.

    Args:
        subject: the original.
        kept: ids that stay, ascending.
    """
    places = {old: new for new, old in enumerate(kept)}
    data = tokenizer_files.rewritten(tokenizer_files.read(subject.loaded.source.folder), places)
    now = architecture.of(subject.model)
    group = now.throughout(_KEY, "vocabulary")
    tokenizer_files.renumber_config(now.config, places)
    model: Any = surgeon.cut(now, [group], {group.name: kept}, {_KEY: len(kept)})
    generation = getattr(subject.model, "generation_config", None)
    if generation is not None and hasattr(model, "generation_config"):
        model.generation_config = type(generation).from_dict(generation.to_dict())
        tokenizer_files.renumber_config(model.generation_config, places)
    tokenizer = Tokenizer.from_str(json.dumps(data))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    loaded = replace(subject.loaded, model=model, config=model.config, tokenizer=tokenizer)
    return Trimmed(replace(subject, loaded=loaded), data, places)


def coverage(
    before: Tokenizer, after: Tokenizer, places: Mapping[int, int], texts: Sequence[str]
) -> dict[str, float]:
    """What held-out texts notice: shares of tokens kept, unknown, and of texts cut differently.

    Args:
        before: the original tokenizer.
        after: the trimmed one.
        places: old id -> new id.
        texts: not those that were counted.

    Returns:
        ``coverage`` (share of the original's tokens that are kept), ``unknown before`` and
        ``unknown after`` (shares of tokens), ``longer`` (tokens now for one before), ``unchanged``
        (share of texts that are cut into the same tokens).
    """
    old = before.encode_batch(list(texts), add_special_tokens=False)
    new = after.encode_batch(list(texts), add_special_tokens=False)
    olds, news = sum(len(e.ids) for e in old), sum(len(e.ids) for e in new)
    inside = sum(i in places for e in old for i in e.ids)
    same = sum(a.tokens == b.tokens for a, b in zip(old, new, strict=True))
    return {
        "coverage": inside / max(olds, 1),
        "unknown before": _unknown(before, old) / max(olds, 1),
        "unknown after": _unknown(after, new) / max(news, 1),
        "longer": news / max(olds, 1),
        "unchanged": same / max(len(texts), 1),
    }


def _unknown(tokenizer: Tokenizer, encoded: Sequence[Any]) -> int:
    model = json.loads(tokenizer.to_str())["model"]
    place = model.get("unk_id")
    if place is None and model.get("unk_token") is not None:
        place = tokenizer.token_to_id(model["unk_token"])
    return 0 if place is None else sum(i == place for e in encoded for i in e.ids)

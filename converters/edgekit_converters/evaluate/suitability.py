"""Does a text file fit a model? Counted in its own tokens before minutes are spent on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from edgekit.errors import InputRefused
from edgekit_converters.folder import read_object

# Above the first share the texts are refused, above the second the reader is told.
REFUSED_UNKNOWN = 0.5
TOLD_UNKNOWN = 0.1
FEW = 32


@dataclass(frozen=True)
class Fit:
    """What texts are to a model.

    Attributes:
        texts: how many.
        tokens: of all texts, cut at the limit, special ones included.
        cut: texts longer than the limit.
        unknown: share of the tokens, special ones not counted, that stand for anything unknown.
    """

    texts: int
    tokens: int
    cut: int
    unknown: float

    def notes(self, limit: int) -> list[str]:
        """What a user should know of them; empty when all is well."""
        found = []
        if self.texts < FEW:
            found.append(f"only {self.texts} calibration texts: {FEW} or more are truer")
        if self.unknown > TOLD_UNKNOWN:
            found.append(f"{self.unknown:.0%} of the calibration tokens are unknown to the model")
        if self.cut:
            found.append(f"{self.cut} of {self.texts} calibration texts were cut at {limit} tokens")
        return found


def fit(texts: Sequence[str], tokenizer: Tokenizer, folder: Path, limit: int) -> Fit:
    """Count texts in a model's tokens.

    Args:
        texts: one or more.
        tokenizer: without truncation and padding.
        folder: of the model; its settings name the unknown token.
        limit: most tokens of one text.

    Raises:
        InputRefused: over half of the tokens are unknown: the texts are of another language than
            the model, or of none.
    """
    unknown_id = _unknown_id(folder, tokenizer)
    tokens = cut = plain = unknown = 0
    for text in texts:
        encoding = tokenizer.encode(text)
        tokens += min(len(encoding.ids), limit)
        cut += len(encoding.ids) > limit
        pairs = zip(encoding.ids, encoding.special_tokens_mask, strict=True)
        own = [token for token, special in pairs if not special]
        plain += len(own)
        unknown += own.count(unknown_id) if unknown_id is not None else 0
    share = unknown / plain if plain else 0.0
    if share > REFUSED_UNKNOWN:
        raise InputRefused(
            f"{share:.0%} of the calibration tokens are unknown to the model's tokenizer",
            hint="Calibrate with text of the kind and language that the model was trained on.",
            unknown=share,
        )
    return Fit(len(texts), tokens, cut, round(share, 4))


def _unknown_id(folder: Path, tokenizer: Tokenizer) -> int | None:
    """The id that stands for anything unknown; None where the files name none."""
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        token = read_object(folder / name).get("unk_token")
        text = token.get("content") if isinstance(token, dict) else token
        if isinstance(text, str) and (found := tokenizer.token_to_id(text)) is not None:
            return int(found)
    return None

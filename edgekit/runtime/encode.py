"""Text to a bundle's inputs, with the bundle's own tokenizer and nothing cut in silence."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from edgekit.bundle.manifest import Manifest, Signature
from edgekit.errors import BundleCorrupt, TextRefused
from edgekit.tasks import Context

Inputs = dict[str, NDArray[np.int64]]
MASK = "attention_mask"

# Windows over a long second text share this many tokens, as in transformers.
_OVERLAP = 128
_LEAST_ROOM = 8


@dataclass(frozen=True, eq=False)
class Encoded:
    """One text or pair as inputs, and where its tokens are in it; see ``edgekit.tasks.Run``."""

    inputs: Inputs
    offsets: tuple[tuple[int, int], ...]
    words: tuple[int | None, ...]
    sequences: tuple[int | None, ...]


class Encoder:
    """A tokenizer bound to a signature."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        """Read the tokenizer of a bundle.

        Raises:
            BundleCorrupt: the tokenizer cannot be read.
        """
        try:
            self._tokenizer = Tokenizer.from_file(str(folder / manifest.tokenizer.file))
        except Exception as error:
            raise BundleCorrupt(f"{manifest.tokenizer.file}: {error}") from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._manifest = manifest
        self._context: Context | None = None

    def encode(self, text: str, *, pair: str | None = None, truncate: bool = False) -> Inputs:
        """Named int64 inputs ``(1, tokens)`` of one text, or of a pair.

        Args:
            text: what to encode.
            pair: a second text.
            truncate: cut at the model's limit, keeping the closing special token.

        Raises:
            TextRefused: a text is empty, not Unicode, too short for the signature, or longer than
                the limit and not to be cut.
        """
        limit = self._manifest.limits.max_length
        return encode(
            self._tokenizer,
            self._manifest.signature,
            text,
            limit,
            pair=pair,
            pad_id=self._manifest.tokenizer.filler,
            truncate=truncate,
        )

    def passes(self, text: str, pair: str | None = None, *, windows: bool = False) -> list[Encoded]:
        """One encoded text or pair; several windows over a second text that is too long.

        Raises:
            TextRefused: see ``encode``; with windows, when the first text leaves no room.
        """
        limit, signature = self._manifest.limits.max_length, self._manifest.signature
        pad_id = self._manifest.tokenizer.filler
        found = [_tokens(self._tokenizer, text, pair)]
        if windows and pair is not None and len(found[0].ids) > limit:
            found = _windows(self._tokenizer, text, pair, limit)
        return [_encoded(signature, encoding, text, limit, pad_id) for encoding in found]

    @property
    def context(self) -> Context:
        """What the task needs to turn outputs into answers."""
        if self._context is None:
            self._context = Context(
                labels=self._manifest.labels or (),
                problem=self._manifest.problem,
                mask_token_id=self._manifest.tokenizer.mask_token_id,
                tokens=token_texts(self._tokenizer),
            )
        return self._context


def token_texts(tokenizer: Tokenizer) -> list[str]:
    """Every token's text, at the place of its id."""
    size = tokenizer.get_vocab_size()
    return [tokenizer.id_to_token(index) or "" for index in range(size)]


def unpad(output: NDArray[Any], inputs: Inputs) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The first text's output and token ids, without the rows that padding added."""
    ids, output = inputs["input_ids"][:1], output[:1]
    mask = inputs.get(MASK)
    if mask is None:
        return output, ids
    length = int(mask[0].sum())
    return (output[:, :length] if output.ndim == 3 else output), ids[:, :length]


def encode(
    tokenizer: Tokenizer,
    signature: Signature,
    text: str,
    limit: int,
    *,
    pair: str | None = None,
    pad_id: int = 0,
    truncate: bool = False,
) -> Inputs:
    """Inputs of one text, or of a pair, for ``signature``; padded when its length is fixed.

    Raises:
        TextRefused: see ``Encoder.encode``.
    """
    encoding = _tokens(tokenizer, text, pair)
    if truncate and len(encoding.ids) > limit:
        tokenizer.enable_truncation(limit)
        encoding = tokenizer.encode(text, pair)
        tokenizer.no_truncation()
    return _encoded(signature, encoding, text, limit, pad_id).inputs


def _encoded(signature: Signature, encoding: Any, text: str, limit: int, pad_id: int) -> Encoded:
    length, least = len(encoding.ids), signature.inputs[0].dims[1].minimum
    if length > limit:
        raise TextRefused(
            f"the text has {length} tokens, the model takes {limit}: {text[:40]!r}…",
            hint="Shorten or split the text; edgekit never cuts it in silence.",
            tokens=length,
            limit=limit,
        )
    # Padding without a mask would change the answer in silence.
    if length < least and all(spec.name != MASK for spec in signature.inputs):
        raise TextRefused(
            f"the text has {length} tokens, the model takes {least} at least: {text[:40]!r}",
            hint="Give a longer text.",
            tokens=length,
            minimum=least,
        )
    columns = {
        "input_ids": (encoding.ids, pad_id),
        "token_type_ids": (encoding.type_ids, 0),
        MASK: (encoding.attention_mask, 0),
    }
    inputs: Inputs = {}
    for spec in signature.inputs:
        values, filler = columns[spec.name]
        row = np.full((1, max(length, least)), filler, dtype=np.int64)
        row[0, : len(values)] = values
        inputs[spec.name] = row
    return Encoded(
        inputs, tuple(encoding.offsets), tuple(encoding.word_ids), tuple(encoding.sequence_ids)
    )


def _windows(tokenizer: Tokenizer, text: str, pair: str, limit: int) -> list[Any]:
    """The first text with each part of the second; the parts overlap by up to a half."""
    room = limit - len(tokenizer.encode(text, "").ids)
    if room < _LEAST_ROOM:
        raise TextRefused(
            f"the text leaves no room for its context: the model takes {limit} tokens: "
            f"{text[:40]!r}…",
            hint="Shorten the question.",
            limit=limit,
        )
    tokenizer.enable_truncation(limit, stride=min(_OVERLAP, room // 2), strategy="only_second")
    first = tokenizer.encode(text, pair)
    tokenizer.no_truncation()
    return [first, *first.overflowing]


def _tokens(tokenizer: Tokenizer, text: str, pair: str | None) -> Any:
    for given in (text,) if pair is None else (text, pair):
        if not given.strip():
            raise TextRefused("the text is empty", hint="Give at least one word.")
        try:
            given.encode("utf-8")
        except UnicodeEncodeError as error:
            raise TextRefused(
                f"the text is not valid Unicode: a lone surrogate at character {error.start}",
                hint="It was most likely decoded from bytes that are not UTF-8.",
            ) from None
    return tokenizer.encode(text, pair)

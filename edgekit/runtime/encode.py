"""Text to a bundle's inputs, with the bundle's own tokenizer and nothing cut in silence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from edgekit.bundle.manifest import Manifest, Signature
from edgekit.errors import BundleCorrupt, TextRefused
from edgekit.tasks import Context

Inputs = dict[str, NDArray[np.int64]]


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

    def encode(self, text: str, *, truncate: bool = False) -> Inputs:
        """Named int64 inputs ``(1, tokens)`` of one text.

        Args:
            text: what to encode.
            truncate: cut at the model's limit, keeping the closing special token.

        Raises:
            TextRefused: the text is empty, not Unicode, too short for the signature, or longer than
                the limit and not to be cut.
        """
        limit = self._manifest.limits.max_length
        return encode(
            self._tokenizer,
            self._manifest.signature,
            text,
            limit,
            pad_id=self._manifest.tokenizer.pad_token_id or 0,
            truncate=truncate,
        )

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
    """An output and its token ids without the rows that padding added."""
    ids = inputs["input_ids"]
    mask = inputs.get("attention_mask")
    if mask is None:
        return output, ids
    length = int(mask.sum())
    return (output[:, :length] if output.ndim == 3 else output), ids[:, :length]


def encode(
    tokenizer: Tokenizer,
    signature: Signature,
    text: str,
    limit: int,
    *,
    pad_id: int = 0,
    truncate: bool = False,
) -> Inputs:
    """Inputs of one text for ``signature``; padded when its length is fixed.

    Raises:
        TextRefused: see ``Encoder.encode``.
    """
    if not text.strip():
        raise TextRefused("the text is empty", hint="Give at least one word.")
    encoding = _tokens(tokenizer, text)
    length = len(encoding.ids)
    if length > limit:
        if not truncate:
            raise TextRefused(
                f"the text has {length} tokens, the model takes {limit}: {text[:40]!r}…",
                hint="Shorten or split the text; edgekit never cuts it in silence.",
                tokens=length,
                limit=limit,
            )
        tokenizer.enable_truncation(limit)
        encoding = tokenizer.encode(text)
        tokenizer.no_truncation()
    least = signature.inputs[0].dims[1].minimum
    # Padding without a mask would change the answer in silence.
    if length < least and all(spec.name != "attention_mask" for spec in signature.inputs):
        raise TextRefused(
            f"the text has {length} tokens, the model takes {least} at least: {text[:40]!r}",
            hint="Give a longer text.",
            tokens=length,
            minimum=least,
        )
    width = max(len(encoding.ids), least)
    columns = {
        "input_ids": (encoding.ids, pad_id),
        "token_type_ids": (encoding.type_ids, 0),
        "attention_mask": (encoding.attention_mask, 0),
    }
    inputs: Inputs = {}
    for spec in signature.inputs:
        values, filler = columns[spec.name]
        row = np.full((1, width), filler, dtype=np.int64)
        row[0, : len(values)] = values
        inputs[spec.name] = row
    return inputs


def _tokens(tokenizer: Tokenizer, text: str) -> Any:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise TextRefused(
            f"the text is not valid Unicode: a lone surrogate at character {error.start}",
            hint="It was most likely decoded from bytes that are not UTF-8.",
        ) from None
    return tokenizer.encode(text)

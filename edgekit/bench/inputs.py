"""Inputs of a wanted length, made of the token ids that a bundle's goldens hold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.bench.candidates import Entry
from edgekit.bundle.manifest import Manifest, TensorSpec
from edgekit.device import stream
from edgekit.device.job import MOST_TOKENS
from edgekit.errors import SpecError

IDS = "input_ids"
_LEAVE = "Leave it out."
USUAL = (16, 64, 128)
USUAL_TOKENS = 64
LEAST_TOKENS = 2  # one that follows the prompt and one that follows a token


def bounds(manifest: Manifest) -> tuple[int, int]:
    """Shortest and longest input in tokens that every artifact of the bundle takes."""
    dim = _length_dim(manifest)
    limits = manifest.limits
    return max(dim.minimum, limits.min_length), min(dim.maximum, limits.max_length)


def tokens(entries: Sequence[Entry], asked: int | None) -> int | None:
    """How long the answers of decoders are; None when there are no decoders.

    Args:
        entries: the artifacts under test.
        asked: what the user named; the usual number, or half of a small context, unless given.

    Raises:
        SpecError: a number for models that answer in one pass, one that a context has no room for,
            or decoders beside other models.
    """
    contexts = [entry.candidate.context for entry in entries]
    known = [context for context in contexts if context is not None]
    if not known:
        if asked is not None:
            raise SpecError("--tokens is about decoders, and the bundle has none", hint=_LEAVE)
        return None
    if len(known) < len(contexts):
        raise SpecError(
            "a decoder and a model that answers in one pass have no time in common",
            hint="Measure them one by one.",
        )
    most = min(known) - 1
    wanted = asked if asked is not None else max(LEAST_TOKENS, min(USUAL_TOKENS, (most + 1) // 2))
    if not LEAST_TOKENS <= wanted <= min(most, MOST_TOKENS):
        raise SpecError(
            f"answers of {wanted} tokens do not fit a context of {most + 1}",
            hint=f"Name {LEAST_TOKENS} to {min(most, MOST_TOKENS)} with --tokens.",
        )
    return wanted


def lengths(
    entries: Sequence[Entry], asked: Sequence[int] | None, tokens: int | None = None
) -> tuple[int, ...]:
    """The lengths to measure, shortest first.

    Args:
        entries: the artifacts under test.
        asked: lengths that the user named; the usual ones that fit unless given.
        tokens: of the answers that must fit behind a prompt.

    Raises:
        SpecError: a bundle does not take a length that was asked for, or they share none.
    """
    room = [_room(entry, tokens) for entry in entries]
    least, most = max(low for low, _ in room), min(high for _, high in room)
    if asked is None:
        if least > most:
            raise SpecError(
                "the bundles share no input length",
                hint="Measure them one by one.",
            )
        return tuple(n for n in USUAL if least <= n <= most) or (most,)
    for entry, (low, high) in zip(entries, room, strict=True):
        for length in asked:
            if not low <= length <= high:
                raise SpecError(
                    f"{entry.candidate.bundle} does not take {length} tokens: "
                    f"it takes {low} to {high}" + (f" with {tokens} behind" if tokens else ""),
                    hint=f"Name lengths of {least} to {most} with --lengths."
                    if least <= most
                    else "Measure the bundles one by one.",
                    length=length,
                    limit=high,
                )
    return tuple(sorted(set(asked)))


def sample(entry: Entry, length: int) -> list[NDArray[Any]]:
    """An input of ``length`` tokens, in call order: the longest golden, repeated or cut.

    A decoder's is its prompt alone. The first and the last token stay where they are: they are
    special in most tokenizers.
    """
    if entry.candidate.context is not None:
        found = max((golden.inputs[IDS] for golden in entry.goldens), key=np.size)
        return [np.ascontiguousarray(_resized(found, 1, length, mask=False))]
    signature = entry.manifest.signature
    first = signature.inputs[0].name
    golden = max(entry.goldens, key=lambda found: found.inputs[first].shape[1])
    dim = _length_dim(entry.manifest).name
    made = []
    for spec in signature.inputs:
        values = golden.inputs[spec.name]
        for axis in _axes(spec, dim):
            values = _resized(values, axis, length, spec.name == "attention_mask")
        made.append(np.ascontiguousarray(values))
    return made


def write(path: Path, entry: Entry, length: int) -> None:
    """Write the input of one artifact and length as a tensor stream of one sample.

    Raises:
        OSError: the file cannot be written.
    """
    stream.write(path, [sample(entry, length)])


def _room(entry: Entry, tokens: int | None) -> tuple[int, int]:
    """Shortest and longest input, of a decoder with room for its answer behind."""
    least, most = bounds(entry.manifest)
    context = entry.candidate.context
    if context is None or tokens is None:
        return least, most
    # The last token of an answer is never read.
    return 1, context - tokens


def _length_dim(manifest: Manifest) -> Any:
    return manifest.signature.inputs[0].dims[1]


def _axes(spec: TensorSpec, dim: str) -> list[int]:
    return [axis for axis, found in enumerate(spec.dims) if found.name == dim]


def _resized(values: NDArray[np.int64], axis: int, length: int, mask: bool) -> NDArray[np.int64]:
    """``values`` with ``length`` places along ``axis``."""
    if mask:  # no padding: the time of every token is wanted
        shape = list(values.shape)
        shape[axis] = length
        return np.ones(shape, dtype=np.int64)
    have = values.shape[axis]
    places = np.arange(length)
    if have > 2 and length > 2:
        places = np.concatenate([[0], 1 + np.arange(length - 2) % (have - 2), [have - 1]])
    taken: NDArray[np.int64] = np.take(values, places % have, axis=axis)
    return taken

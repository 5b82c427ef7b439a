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
from edgekit.errors import SpecError

USUAL = (16, 64, 128)


def bounds(manifest: Manifest) -> tuple[int, int]:
    """Shortest and longest input in tokens that every artifact of the bundle takes."""
    dim = _length_dim(manifest)
    limits = manifest.limits
    return max(dim.minimum, limits.min_length), min(dim.maximum, limits.max_length)


def lengths(entries: Sequence[Entry], asked: Sequence[int] | None) -> tuple[int, ...]:
    """The lengths to measure, shortest first.

    Args:
        entries: the artifacts under test.
        asked: lengths that the user named; the usual ones that fit unless given.

    Raises:
        SpecError: a bundle does not take a length that was asked for, or they share none.
    """
    most = min(bounds(entry.manifest)[1] for entry in entries)
    least = max(bounds(entry.manifest)[0] for entry in entries)
    if asked is None:
        if least > most:
            raise SpecError(
                "the bundles share no input length",
                hint="Measure them one by one.",
            )
        return tuple(n for n in USUAL if least <= n <= most) or (most,)
    for entry in entries:
        low, high = bounds(entry.manifest)
        for length in asked:
            if not low <= length <= high:
                raise SpecError(
                    f"{entry.candidate.bundle} does not take {length} tokens: "
                    f"it takes {low} to {high}",
                    hint=f"Name lengths of {least} to {most} with --lengths."
                    if least <= most
                    else "Measure the bundles one by one.",
                    length=length,
                    limit=high,
                )
    return tuple(sorted(set(asked)))


def sample(entry: Entry, length: int) -> list[NDArray[Any]]:
    """An input of ``length`` tokens, in call order: the longest golden, repeated or cut.

    Its first and its last token stay where they are: they are special in most tokenizers.
    """
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

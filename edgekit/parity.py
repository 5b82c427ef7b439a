"""Parity: how near an output is to the eager model's, as cosine, signal-to-noise and answers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgekit.bundle.manifest import HopQuality, Tolerance
from edgekit.tasks import Task

Floats = NDArray[np.float32]


# Outputs with fewer features than this are scores, not directions.
_NARROW = 16
# Nothing averages over few features: in sound models the worst of some dozen texts is 4 to 6 times
# as far off as the mean, in wide outputs 2 at most. The mean's floor is the same for both.
_NARROW_ROOM = 2.0


def cosines(reference: Sequence[Floats], other: Sequence[Floats]) -> NDArray[np.float64]:
    """Cosine of each sample's flattened rows; -1 where shapes differ or a value is not finite.

    A narrow output (a classifier's logits) has no direction to speak of when it comes near zero,
    where a tiny error turns it round. There the cosine is taken with one more coordinate: the root
    mean square of the reference rows' lengths over all samples. An error then counts by its size
    against a usual output, wherever it falls.
    """
    scale = _narrow_scale(reference)
    pairs = zip(reference, other, strict=True)
    return np.array([_cosine(a, b, scale) for a, b in pairs])


def snr_db(reference: Sequence[Floats], other: Sequence[Floats]) -> float | None:
    """Signal-to-noise ratio over all samples in dB; None when nothing differs, -inf for NaN."""
    signal = noise = 0.0
    for a, b in zip(reference, other, strict=True):
        if not _comparable(a, b):
            return -np.inf
        signal += float(np.square(a, dtype=np.float64).sum())
        noise += float(np.square(a.astype(np.float64) - b).sum())
    return None if noise == 0.0 else float(10 * np.log10(max(signal, 1e-300) / noise))


def measure(
    hop: str,
    artifact: str,
    task: Task,
    texts: Sequence[str],
    reference: Sequence[Floats],
    other: Sequence[Floats],
    floor: Tolerance | None = None,
    expected: Sequence[Floats] | None = None,
) -> HopQuality:
    """One rung of the ladder.

    Args:
        hop: name of the place that gave ``other``.
        artifact: file name, or empty for a graph.
        task: says when two answers are the same.
        texts: one a sample; the worst is named.
        reference: the eager model's compared rows, one ``(rows, dim)`` array a sample.
        other: the same from this hop.
        floor: what must hold; None measures only.
        expected: what this artifact gave where it was made, if known.
    """
    near = cosines(reference, other)
    worst, mean = float(near.min()), float(near.mean())
    same = None if expected is None else float(cosines(expected, other).min())
    sound = [_comparable(a, b) for a, b in zip(reference, other, strict=True)]
    passed = all(sound)
    if floor is not None:
        passed = passed and worst >= least_worst(floor, reference) and mean >= floor.mean_cosine
        passed = passed and (same is None or same >= floor.same_artifact)
    return HopQuality(
        hop=hop,
        artifact=artifact,
        samples=len(near),
        worst_cosine=_figure(worst),
        mean_cosine=_figure(mean),
        snr_db=_snr_figure(reference, other),
        agreement=task.agreement(list(reference), list(other)) if all(sound) else 0.0,
        agreement_kind=task.AGREEMENT,
        worst_sample=texts[int(near.argmin())],
        floor_worst=None if floor is None else least_worst(floor, reference),
        floor_mean=None if floor is None else floor.mean_cosine,
        same_artifact=None if same is None else _figure(same),
        passed=passed,
    )


def least_worst(floor: Tolerance, reference: Sequence[Floats]) -> float:
    """The least cosine that the worst sample may have: a scheme's floor, lower for few features."""
    if reference[0].shape[-1] >= _NARROW:
        return floor.worst_cosine
    return _figure(1 - _NARROW_ROOM * (1 - floor.worst_cosine))


def _comparable(a: Floats, b: Floats) -> bool:
    return a.shape == b.shape and bool(np.isfinite(a).all() and np.isfinite(b).all())


def _narrow_scale(reference: Sequence[Floats]) -> float:
    if reference[0].shape[-1] >= _NARROW:
        return 0.0
    rows = np.concatenate([rows.astype(np.float64) for rows in reference])
    mean = float(np.square(rows).sum(axis=1).mean())
    return float(np.sqrt(mean)) if np.isfinite(mean) else 0.0


def _cosine(a: Floats, b: Floats, scale: float) -> float:
    if not _comparable(a, b):
        return -1.0
    x = np.append(a.astype(np.float64), scale)
    y = np.append(b.astype(np.float64), scale)
    lengths = float(np.linalg.norm(x) * np.linalg.norm(y))
    if lengths == 0.0:
        return 1.0 if not x.any() and not y.any() else 0.0
    return float(np.clip(x @ y / lengths, -1.0, 1.0))


def _snr_figure(reference: Sequence[Floats], other: Sequence[Floats]) -> float | None:
    ratio = snr_db(reference, other)
    if ratio is None:
        return None
    return round(max(ratio, -999.0), 2)


def _figure(value: float) -> float:
    """Seven decimals: enough for every floor, and the same text on every run."""
    return round(value, 7)

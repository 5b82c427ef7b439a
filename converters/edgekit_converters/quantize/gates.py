"""Gates: below a floor of coverage or quality, or above the forecast size, there is no bundle."""

from __future__ import annotations

from collections.abc import Sequence

from edgekit.bundle.manifest import HopQuality
from edgekit.errors import CoverageFailed, ParityFailed, SizeFailed
from edgekit.verify import refuse_failed
from edgekit_converters.quantize.ledger import Row, coverage, saved
from edgekit_converters.quantize.plan import FP32, NOT_ASKED
from edgekit_converters.quantize.schemes import SCHEMES

COVERAGE = 0.98
SIZE_MARGIN = 0.02

# Operators, names and alignment of a file, whatever its weights.
_GRAPH_BYTES = 256 * 1024
_NAMED = 3


def check_coverage(rows: Sequence[Row], floor: float = COVERAGE) -> None:
    """Refuse a ledger in which too many bytes were left alone without anybody asking for it.

    Raises:
        CoverageFailed: the tensors are named.
    """
    asked = [row for row in rows if row.bits != FP32 or row.reason != NOT_ASKED]
    found = coverage(asked)
    if found >= floor:
        return
    left = sorted((row for row in asked if row.bits == FP32), key=lambda row: -row.bytes_before)
    named = "; ".join(
        f"{row.tensor} ({row.bytes_before} bytes: {row.reason})" for row in left[:_NAMED]
    )
    raise CoverageFailed(
        f"{found:.1%} of the quantizable bytes were quantized, the floor is {floor:.0%}. "
        f"Left alone: {named}",
        hint="Give those tensors bits of their own in a recipe, or use --quantize none.",
        coverage=found,
        left=[row.record() for row in left],
    )


def forecast(untied_bytes: int, rows: Sequence[Row]) -> int:
    """Bytes of an artifact's weights by the ledger.

    Args:
        untied_bytes: of the calibrated graph in fp32, where a table and a linear that shared a
            weight have one each.
        rows: the ledger.
    """
    return untied_bytes - saved(rows)


def check_size(file: str, size: int, expected: int) -> None:
    """Refuse an artifact that is larger than its ledger says: something was stored otherwise.

    Raises:
        SizeFailed: with both figures.
    """
    most = int(expected * (1 + SIZE_MARGIN)) + _GRAPH_BYTES
    if size > most:
        raise SizeFailed(
            f"{file} has {size} bytes, its ledger accounts for {expected}",
            hint="A weight was stored twice or not as planned; edgekit inspect --ledger shows "
            "the plan. Please report this with the model's config.json.",
            bytes=size,
            forecast=expected,
        )


def check_quality(hops: Sequence[HopQuality], rows: Sequence[Row], label: str) -> None:
    """Refuse what fell below its floor, naming the tensors that lose most and what is better.

    Args:
        hops: measured so far.
        rows: the ledger; empty before anything was quantized.
        label: the scheme, as artifacts call it.

    Raises:
        ParityFailed: for the first hop below its floor.
    """
    try:
        refuse_failed(hops)
    except ParityFailed as error:
        measured = [row for row in rows if row.output_db is not None]
        worst = sorted(measured, key=lambda row: row.output_db or 0.0)[:_NAMED]
        named = ", ".join(f"{row.tensor} ({row.scheme}, {row.output_db} dB)" for row in worst)
        better = SCHEMES[label].better if label in SCHEMES else ""
        hints = ["Nothing was written."]
        if better and rows:
            hints.append(f"Next better: --quantize {better}.")
        hints.append("--keep-failed keeps such a bundle, marked as not certified.")
        raise ParityFailed(
            error.message + (f"; tensors that lose most: {named}" if named else ""),
            hint=" ".join(hints),
            **error.details,
            tensors=[row.record() for row in worst],
        ) from None

"""Budgets of a mixed plan: what ``--max-size``, ``--min-quality`` and ``--max-latency`` say."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from edgekit.errors import SpecError

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMG]?B|%)?", re.IGNORECASE)
_LATENCY = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|x)(?:@(\d+))?")

# The length in tokens that a limit on time is for, where none is said.
TOKENS = 64


@dataclass(frozen=True)
class Budget:
    """What a mixed plan must hold; None where nothing was said.

    Attributes:
        bytes: most bytes of an artifact's weights.
        share: the same as a share of their fp32 bytes.
        worst_cosine: least cosine of the worst text.
        latency: longest time of one run, as a share of the fp32 artifact's.
        milliseconds: longest time of one run; of one thread of this machine's processor.
        tokens: the length of the text that a limit on time is for.
    """

    bytes: int | None = None
    share: float | None = None
    worst_cosine: float | None = None
    latency: float | None = None
    milliseconds: float | None = None
    tokens: int = TOKENS

    @property
    def timed(self) -> bool:
        """Whether there is a limit on time."""
        return self.latency is not None or self.milliseconds is not None

    def most_bytes(self, fp32_bytes: int) -> int | None:
        """The size limit for weights of so many bytes in fp32."""
        return int(self.share * fp32_bytes) if self.share is not None else self.bytes

    def most_milliseconds(self, fp32_milliseconds: float) -> float | None:
        """The limit on time where fp32 takes so long."""
        return self.milliseconds if self.latency is None else self.latency * fp32_milliseconds


def budget(
    max_size: str | None = None, min_quality: float | None = None, max_latency: str | None = None
) -> Budget | None:
    """Read the three options; None when none is given.

    Args:
        max_size: bytes, ``20MB`` (powers of ten), or ``17%`` of fp32.
        min_quality: a cosine.
        max_latency: ``4ms``, or ``0.5x`` of fp32; ``4ms@128`` for texts of 128 tokens.

    Raises:
        SpecError: one of them is not of its form, or out of range.
    """
    if max_size is None and min_quality is None and max_latency is None:
        return None
    if min_quality is not None and not 0 < min_quality < 1:
        raise SpecError(
            f"a quality of {min_quality} cannot be asked for",
            hint="It is the cosine of the worst text: between 0 and 1, such as 0.98.",
        )
    size, share = (None, None) if max_size is None else _size(max_size)
    latency = {} if max_latency is None else _latency(max_latency)
    return Budget(size, share, min_quality, **latency)


def _size(text: str) -> tuple[int | None, float | None]:
    match = _SIZE.fullmatch(text.strip())
    number = float(match[1]) if match else 0.0
    unit = (match[2] or "").upper() if match else ""
    if not number or (unit == "%" and number > 100):
        raise SpecError(
            f"{text!r} is no size", hint="Give bytes, 20MB, or 17% of the fp32 weights."
        )
    return (None, number / 100) if unit == "%" else (int(number * _UNITS[unit]), None)


def _latency(text: str) -> dict[str, Any]:
    match = _LATENCY.fullmatch(text.strip())
    if not match or not float(match[1]) or match[3] == "0":
        raise SpecError(
            f"{text!r} is no latency",
            hint="Give milliseconds or a share of fp32's time, such as 4ms or 0.5x; 4ms@128 is "
            "for texts of 128 tokens.",
        )
    name = "milliseconds" if match[2] == "ms" else "latency"
    return {name: float(match[1]), "tokens": int(match[3] or TOKENS)}

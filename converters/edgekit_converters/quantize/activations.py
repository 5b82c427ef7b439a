"""Activations as int8: what the kernels do at run time.

Dynamic: one scale and zero point a token, over its own range. Static: one of each for every text
there will ever be, over a range that calibration text had.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

_LOW, _HIGH = -128, 127
_SMALLEST = 1e-12


def per_token(activation: Tensor) -> Tensor:
    """Quantize each row over its own range, which always includes zero, and dequantize.

    Args:
        activation: ``(..., columns)`` float32.
    """
    low = activation.amin(dim=-1, keepdim=True).clamp(max=0)
    high = activation.amax(dim=-1, keepdim=True).clamp(min=0)
    scale = ((high - low) / (_HIGH - _LOW)).clamp(min=_SMALLEST)
    zero = torch.round(_LOW - low / scale).clamp(_LOW, _HIGH)
    return (torch.clamp(torch.round(activation / scale) + zero, _LOW, _HIGH) - zero) * scale


def affine(low: float, high: float) -> tuple[float, int]:
    """Scale and zero point of int8 over a range, which is widened to include zero."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = max((high - low) / (_HIGH - _LOW), _SMALLEST)
    return scale, min(_HIGH, max(_LOW, round(_LOW - low / scale)))


def per_tensor(low: float, high: float) -> Callable[[Tensor], Tensor]:
    """Quantizes over one range and dequantizes; what lies outside it is cut."""
    return partial(_per_tensor, *affine(low, high))


def _per_tensor(scale: float, zero: int, activation: Tensor) -> Tensor:
    integers = torch.clamp(torch.round(activation / scale) + zero, _LOW, _HIGH)
    return (integers - zero) * scale

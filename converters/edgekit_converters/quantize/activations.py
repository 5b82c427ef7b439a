"""Activations as int8, one scale and zero point a token: what the kernels do at run time."""

from __future__ import annotations

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

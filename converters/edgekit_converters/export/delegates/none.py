"""No delegate: ExecuTorch's own portable and optimized kernels, fp32 only."""

from __future__ import annotations

from typing import Any


def lowering() -> dict[str, Any]:
    """Arguments of ``to_edge_transform_and_lower``."""
    return {}

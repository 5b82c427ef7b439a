"""XNNPACK: the CPU kernels of ExecuTorch on Android; takes fp32 and dynamic int8."""

from __future__ import annotations

from typing import Any


def lowering() -> dict[str, Any]:
    """Arguments of ``to_edge_transform_and_lower``."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.backends.xnnpack.utils.configs import (
        get_transform_passes,
        get_xnnpack_edge_compile_config,
    )

    return {
        "partitioner": [XnnpackPartitioner()],
        "compile_config": get_xnnpack_edge_compile_config(),
        "transform_passes": get_transform_passes(),
    }

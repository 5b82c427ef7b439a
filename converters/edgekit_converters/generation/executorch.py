"""Lower a decoder with its cache inside to a ``.pte``."""

from __future__ import annotations

from collections.abc import Mapping

from torch.fx import GraphModule

from edgekit_converters.export import Lowered, executorch
from edgekit_converters.export.capture import Captured
from edgekit_converters.generation import rewrites
from edgekit_converters.quantize.grid import Grid


def rewritten(captured: Captured) -> Captured:
    """The edge graph that is quantized and lowered; exact in fp32."""
    module = captured.module()
    rewrites.apply_all(module)
    return captured.again(module)


def lower(captured: Captured, grids: Mapping[str, Grid], delegate: str = "xnnpack") -> Lowered:
    """Write the integers, delegate and serialize; the cache is part of the planned memory.

    Args:
        captured: the edge graph; its quantized constants hold what their integers stand for.
        grids: integers by the graph's name of the tensor; empty for fp32.
        delegate: ``xnnpack`` or ``none``; attention is ExecuTorch's own operator in both.
    """
    rewrite = None if delegate == "none" else _for_delegate
    return executorch.lower(captured, grids, delegate, rewrite)


def _for_delegate(module: GraphModule) -> None:
    rewrites.apply_all(module, executorch.RUNTIME)

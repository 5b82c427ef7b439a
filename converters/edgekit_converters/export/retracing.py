"""Lower with fewer traces of the same graph: the bytes are the same, the wait is shorter.

A lowering traces the whole graph again for each of its passes. Two costs can be spared:

- Each trace copies every node's whole history, which grows with each trace (``NodeSource`` in
  ``torch.fx.traceback``). Histories are never changed, so sharing them is enough.
- XNNPACK's delegate runs passes for operators that a graph does not have: convolutions, batch
  norms, upsampling. A pass that can find nothing is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch.fx import traceback

# Passes by the operators that they look for; without one of these in the graph they change nothing.
_LOOKS_FOR = {
    "ConvertToUpsampleBilinear2d": ("upsample", "index"),
    "FuseBatchNormPass": ("batch_norm",),
    "DecomposeBatchNorm": ("batch_norm",),
    "DecomposeConcatenate": ("cat",),
    "InsertPadQDQPass": ("pad",),
    "Conv1dUnsqueezePass": ("conv",),
    "PReLUReshapePass": ("prelu",),
    "ConvertToSDPAPass": ("scaled_dot_product", "sdpa"),
}


@contextmanager
def spared() -> Iterator[None]:
    """Spare both while the block runs; a version that lacks either is left as it is."""
    from executorch.backends.xnnpack import _passes

    manager: Any = _passes.XNNPACKPassManager
    source: Any = traceback.NodeSource
    transform, had = manager.transform, source.__dict__.get("__deepcopy__")

    def lean(self: Any) -> Any:
        names = _operators(self.exported_program)
        self.passes = [found for found in self.passes if _concerns(found.__name__, names)]
        return transform(self)

    manager.transform = lean
    if had is None:
        source.__deepcopy__ = lambda self, memo: self
    try:
        yield
    finally:
        manager.transform = transform
        if had is None:
            del source.__deepcopy__


def _operators(program: Any) -> str:
    return " ".join(
        str(node.target)
        for module in program.graph_module.modules()
        if hasattr(module, "graph")
        for node in module.graph.nodes
        if node.op == "call_function"
    )


def _concerns(name: str, operators: str) -> bool:
    wanted = _LOOKS_FOR.get(name)
    return wanted is None or any(word in operators for word in wanted)

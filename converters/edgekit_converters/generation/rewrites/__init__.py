"""Rewrites that decoders need besides those of ``edgekit_converters.graph``, in the same form.

Each file has ``apply(graph_module) -> int`` (places changed) and says in ``RUNTIMES`` for which
runtimes it is; what is for every runtime comes before quantization and changes names of weights.
"""

from __future__ import annotations

from torch.fx import GraphModule

from edgekit_converters import graph
from edgekit_converters.generation.rewrites import (
    empties,
    heads,
    powers,
    products,
    selections,
    splits,
)

# In this order.
_ALL = (products, splits, empties, heads, powers, selections)
_EVERY = {"executorch", "onnx"}


def apply_all(graph_module: GraphModule, runtime: str | None = None) -> dict[str, int]:
    """Apply those for every runtime, or with a name those that only this runtime wants.

    Returns:
        Places changed, by name.
    """
    chosen = [
        rewrite
        for rewrite in _ALL
        if (set(rewrite.RUNTIMES) == _EVERY if runtime is None else (runtime,) == rewrite.RUNTIMES)
    ]
    if runtime is None:
        graph.apply_all(graph_module)
    done = {rewrite.__name__.rpartition(".")[2]: rewrite.apply(graph_module) for rewrite in chosen}
    if runtime is None:
        # Again: what has moved together can now be joined.
        graph.apply_all(graph_module)
    return done

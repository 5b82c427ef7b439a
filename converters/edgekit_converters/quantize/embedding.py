"""Embedding tables as int8 with one scale a row, looked up by ExecuTorch's own operator.

The lookup is written as ``quantized_decomposed::embedding_byte`` straight away. Leaving it to be
found later by pattern matching fails on a table with a padding index, and then the whole table
stays fp32 without a word.
"""

from __future__ import annotations

import torch
from torch.fx import GraphModule

from edgekit_converters.graph.parameters import add_constant, call, constant
from edgekit_converters.quantize.rounding import per_row

# Below this a table is not worth an operator of its own (position and type tables, mostly).
SMALLEST_TABLE = 1 << 16

_aten = torch.ops.aten


def apply(graph_module: GraphModule) -> list[tuple[int, int]]:
    """Quantize every constant table of at least ``SMALLEST_TABLE`` bytes.

    Returns:
        Bytes before and after, one pair a table.
    """
    # Importing registers the quantized_decomposed operators.
    import executorch.exir.passes._quant_patterns_and_replacements  # noqa: F401

    lookup = torch.ops.quantized_decomposed.embedding_byte.default
    sizes: list[tuple[int, int]] = []
    for node in list(graph_module.graph.nodes):
        if node.target is not _aten.embedding.default:
            continue
        table = constant(graph_module, node.args[0])
        if table is None or table.nbytes < SMALLEST_TABLE:
            continue
        values, scales = per_row(table)
        name = f"table_{len(sizes)}"
        with graph_module.graph.inserting_before(node):
            rows = add_constant(graph_module, f"{name}_int8", values, node)
            scale = add_constant(graph_module, f"{name}_scale", scales, node)
            found = call(graph_module, lookup, rows, scale, None, -128, 127, node.args[1])
        node.replace_all_uses_with(found)
        graph_module.graph.erase_node(node)
        sizes.append((table.nbytes, values.nbytes + scales.nbytes))
    graph_module.graph.eliminate_dead_code()
    graph_module.recompile()
    return sizes

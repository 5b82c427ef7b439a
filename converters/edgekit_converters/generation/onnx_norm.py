"""Root mean square norms in the form that ONNX Runtime has one kernel for.

An exporter writes ``x * (1 / sqrt(mean(x ** 2) + e))``. ONNX Runtime knows the same with a division
and makes one operator of its seven when it loads the file, which stays plain ONNX.
"""

from __future__ import annotations

import onnx

from edgekit_converters.quantize.onnx_graph import Draft


def apply(model: onnx.ModelProto) -> int:
    """Divide by square roots instead of multiplying by their inverses, in place; how many."""
    draft, count = Draft(model), 0
    for node in draft.nodes:
        roots = [_root(draft, name) for name in node.input] if node.op_type == "Mul" else []
        place = next((at for at, root in enumerate(roots) if root), None)
        if place is None:
            draft.keep(node)
        else:
            draft.add("Div", [node.input[1 - place], roots[place]], node.output[0])
            count += 1
    draft.finish()
    return count


def _root(draft: Draft, name: str) -> str:
    """What a value is the inverse of, if that is a square root; empty for anything else."""
    inverse = draft.producers.get(name)
    if inverse is None or inverse.op_type != "Reciprocal":
        return ""
    root = draft.producers.get(inverse.input[0])
    return root.output[0] if root is not None and root.op_type == "Sqrt" else ""

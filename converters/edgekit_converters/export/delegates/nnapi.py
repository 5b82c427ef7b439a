"""NNAPI, for ONNX Runtime on Android: static shapes, fp32, and a plain word on whether it pays.

The partitions come from ONNX Runtime's own mobile checker: its tables say which operators the
provider takes. They say nothing about speed, and only a phone can.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import onnx

from edgekit.runtime.onnx import library

VERDICTS = {
    "YES": "may help: most of the graph is one partition",
    "MAYBE": "unclear: measure it on the phone against the CPU",
    "NO": "do not: the CPU will most likely be faster",
}
DEPRECATED = "Android deprecates NNAPI since version 15; the CPU artifact is the one to keep."


def partitions(model: onnx.ModelProto) -> tuple[tuple[str, ...], dict[str, Any]]:
    """What NNAPI would take of a model with static shapes.

    Returns:
        Lines for the reader, and the same as JSON-able data.
    """
    library()
    from onnxruntime.tools.mobile_helpers.usability_checker import check_nnapi_partitions

    shaped = onnx.shape_inference.infer_shapes(model)
    found = check_nnapi_partitions(shaped, require_fixed_input_sizes=True)
    counts = Counter(f"{n.domain or 'ai.onnx'}:{n.op_type}" for n in shaped.graph.node)
    unsupported = {name: counts[name] for name in sorted(found.unsupported_ops)}
    verdict = VERDICTS[found.suitability().name]
    share = found.num_supported_nodes / max(found.num_nodes, 1)
    report: dict[str, Any] = {
        "nodes": found.num_nodes,
        "supported_nodes": found.num_supported_nodes,
        "share": round(share, 4),
        "partitions": found.num_partitions,
        "partition_sizes": [len(group) for group in found.supported_groups],
        "unsupported_operators": unsupported,
        "dynamic_inputs": found.nodes_unsupported_due_to_dynamic_input,
        "unsupported_rank": found.num_unsupported_nodes_due_to_rank,
        "verdict": verdict,
        "deprecation": DEPRECATED,
    }
    names = ", ".join(f"{name} x{count}" for name, count in unsupported.items()) or "none"
    notes = (
        f"NNAPI takes {found.num_supported_nodes} of {found.num_nodes} nodes in "
        f"{found.num_partitions} partitions; it lacks: {names}.",
        f"Verdict: {verdict}. {DEPRECATED}",
    )
    return notes, {"nnapi": report}

"""What a delegate took of a program, and why it left the rest."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import GraphModule, Node

from edgekit.bundle.manifest import Delegation

_CALL = torch.ops.higher_order.executorch_call_delegate
_PARTITIONER = "executorch.backends.xnnpack.partition"
_LOOKUPS = ("embedding", "embedding_byte", "embedding_4bit", "embedding_2bit")


@contextmanager
def refusals() -> Iterator[dict[str, str]]:
    """What XNNPACK's partitioner says of the operators that it refuses while it works inside.

    Yields:
        Node name -> reason, filled while the lowering runs.
    """
    found: dict[str, str] = {}
    logger = logging.getLogger(_PARTITIONER)
    level, propagate = logger.level, logger.propagate
    handler = _Refusals(found)
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    # Only here: the root's handlers would print every one of them.
    logger.propagate = False
    try:
        yield found
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


class _Refusals(logging.Handler):
    def __init__(self, found: dict[str, str]) -> None:
        super().__init__()
        self._found = found

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the first reason for each node; the message is an object with both."""
        node, reason = getattr(record.msg, "node", None), getattr(record.msg, "reason", "")
        if node is not None and reason:
            self._found.setdefault(str(node), str(reason))


def report(program: ExportedProgram, refused: Mapping[str, str], delegate: str) -> Delegation:
    """Count operators inside and outside delegates; tuple access is no operator.

    Args:
        program: the edge program after partition, before it is made an ExecuTorch program.
        refused: what ``refusals`` collected.
        delegate: a file name of ``export.delegates``.
    """
    calls = inside = 0
    left: Counter[str] = Counter()
    reasons: dict[str, set[str]] = defaultdict(set)
    for node in _operators(program.graph_module):
        if node.target is _CALL:
            calls += 1
            part: Any = getattr(program.graph_module, str(node.all_input_nodes[0].target))
            inside += len(_operators(part.original_module.graph_module))
        else:
            name = _name(node)
            left[name] += 1
            reasons[name].add(_reason(node, refused, delegate))
    total = inside + sum(left.values())
    return Delegation(
        calls=calls,
        nodes=total,
        share=round(inside / total, 4) if total else 0.0,
        left=dict(sorted(left.items())),
        reasons={name: "; ".join(sorted(reasons[name])) for name in sorted(reasons)},
    )


def _operators(graph_module: GraphModule) -> list[Node]:
    return [
        node
        for node in graph_module.graph.nodes
        if node.op == "call_function" and "getitem" not in str(node.target)
    ]


def _name(node: Node) -> str:
    """The operator's own name; one that writes into its argument is called through another."""
    name = getattr(node.target, "__name__", str(node.target))
    return str(node.args[0]) if name.startswith("auto_functionalized") else name


def _reason(node: Node, refused: Mapping[str, str], delegate: str) -> str:
    """Why one operator stayed outside; the plain causes before the partitioner's own words."""
    if delegate == "none":
        return "no delegate was asked for"
    value: Any = node.meta.get("val")
    value = value[0] if isinstance(value, list | tuple) else value
    name = _name(node)
    if name.startswith("llama."):
        return "ExecuTorch's own operator over the cache: no delegate has one"
    kind = name.removeprefix("aten.").removeprefix("quantized_decomposed.").partition(".")[0]
    if kind in _LOOKUPS:
        return "a table lookup: XNNPACK has no kernel for it"
    if not isinstance(value, torch.Tensor):
        return "reads or computes a size at run time"
    if not value.dtype.is_floating_point:
        return "works on integers or truth values, XNNPACK on floats"
    if not any(name.endswith(known) for known in _kernels()):
        return f"XNNPACK has no kernel for {kind}"
    if any(not isinstance(source.meta.get("val"), torch.Tensor) for source in node.all_input_nodes):
        return "takes a size that is known at run time only"
    sources = [source.meta["val"] for source in node.all_input_nodes]
    if any(not source.dtype.is_floating_point for source in sources):
        return "turns integers or truth values into floats"
    return refused.get(node.name, "the partitioner gave no reason")


def _kernels() -> tuple[str, ...]:
    """Names of the operators that XNNPACK's partitioner knows."""
    from executorch.backends.xnnpack.partition.config import ALL_PARTITIONER_CONFIGS

    names = (getattr(config, "target_name", None) for config in ALL_PARTITIONER_CONFIGS)
    return tuple(name for name in names if isinstance(name, str))

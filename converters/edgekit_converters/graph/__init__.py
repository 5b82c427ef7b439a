"""Rewrites of a captured graph, one a file, each ``apply(graph_module) -> int`` (places changed).

A rewrite keeps the function: in fp32 its output equals the captured graph's within rounding. It
works on operators, never on a model's name, so every family that has the pattern gets it. Applied
again, it changes nothing. Each says in ``RUNTIMES`` which runtimes it makes faster, and in
``AFTER`` which others it wants to come first, if they are applied at all.

``benchmarks/rewrites.py`` measures each of them, alone and left out.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from graphlib import TopologicalSorter
from types import ModuleType

from torch.fx import GraphModule

from edgekit.errors import SpecError

# They move numbers into other tensors: once integers are chosen for these they would be lost.
BEFORE_INTEGERS = frozenset({"positions", "scaling"})


def apply_all(
    graph_module: GraphModule, runtime: str | None = None, skip: frozenset[str] = frozenset()
) -> dict[str, int]:
    """Apply rewrites in place, each after those that it wants to come first.

    Args:
        graph_module: the captured graph.
        runtime: a runtime's name, for all that make it faster; None for those that are for every
            runtime, which later calls with a runtime add to.
        skip: names of rewrites to leave out.

    Returns:
        Places changed, by name, in the order of application.

    Raises:
        SpecError: a name in ``skip`` that no rewrite has.
    """
    known = rewrites()
    unknown = sorted(skip - known.keys())
    if unknown:
        raise SpecError(f"unknown rewrite {unknown[0]!r}", hint=f"Rewrites: {', '.join(known)}.")
    every = {name for rewrite in known.values() for name in rewrite.RUNTIMES}
    wanted = every if runtime is None else {runtime}
    return {
        name: rewrite.apply(graph_module)
        for name, rewrite in known.items()
        if wanted <= set(rewrite.RUNTIMES) and name not in skip
    }


@cache
def rewrites() -> dict[str, ModuleType]:
    """The rewrites of this folder by name, in order: each file that has ``RUNTIMES``."""
    names = sorted(found.name for found in pkgutil.iter_modules(__path__))
    modules = {name: importlib.import_module(f"{__name__}.{name}") for name in names}
    known = {name: module for name, module in modules.items() if hasattr(module, "RUNTIMES")}
    order = TopologicalSorter({name: module.AFTER for name, module in known.items()})
    return {name: known[name] for name in order.static_order()}

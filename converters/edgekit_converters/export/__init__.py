"""Export: one captured graph, lowered to each runtime's file. One runtime a file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch.fx import GraphModule

from edgekit.bundle.manifest import Delegation


@dataclass(frozen=True)
class Lowered:
    """One artifact in memory, and what its own file says of it.

    Attributes:
        runtime: what runs it.
        file: its name in a bundle.
        data: the file's bytes.
        delegate: what it was lowered for.
        methods: entry points.
        operators: names that the runtime must have.
        backends: delegates or execution providers that it names.
        planned_memory: bytes of activation arena; None where the runtime allocates as it goes.
        shared_bytes: of what two parts of the file use and that it holds once.
        delegation: how much a delegate took; None where there is none to ask.
        graph: the graph as handed to the lowering, runnable in eager mode, for the ladder; None
            when the artifact's own graph was quantized instead.
        notes: lines for the reader of the export's output.
        report: what goes into the bundle's report besides.
    """

    runtime: str
    file: str
    data: bytes
    delegate: str
    methods: tuple[str, ...]
    operators: tuple[str, ...]
    backends: tuple[str, ...]
    planned_memory: int | None = None
    shared_bytes: int = 0
    delegation: Delegation | None = None
    graph: GraphModule | None = None
    notes: tuple[str, ...] = ()
    report: dict[str, Any] = field(default_factory=dict)

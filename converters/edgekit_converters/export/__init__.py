"""Export: one captured graph, lowered to each runtime's file. One runtime a file."""

from __future__ import annotations

from dataclasses import dataclass

from torch.fx import GraphModule

from edgekit.bundle.manifest import ArtifactInfo


@dataclass(frozen=True)
class Lowered:
    """One artifact in memory.

    Attributes:
        info: what the manifest says of it.
        data: the file's bytes.
        graph: the graph as handed to the lowering, runnable in eager mode, for the ladder; None
            when the artifact's own graph was quantized instead.
        notes: lines for the reader of the export's output.
        report: what goes into the bundle's report besides ``info``.
    """

    info: ArtifactInfo
    data: bytes
    graph: GraphModule | None = None
    notes: tuple[str, ...] = ()
    report: dict[str, object] | None = None

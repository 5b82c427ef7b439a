"""The memory that a runner should take at its peak, told from a bundle alone."""

from __future__ import annotations

from dataclasses import dataclass

from edgekit.bundle.manifest import ArtifactInfo, Manifest

_MB = 1 << 20
# The runner itself with its runtime's libraries and an empty model.
_PROGRAM = {"executorch": 10 * _MB, "onnx": 30 * _MB}


@dataclass(frozen=True)
class Forecast:
    """Bytes by what they are for.

    Attributes:
        program: the runner and its libraries.
        weights: the artifact's; XNNPACK has its own copy and gives the file's pages back.
        planned: what the program plans ahead, a decoder's cache included.
        cache: keys and values that the runner keeps.
        workspace: what the delegated parts of a decoder need between their inputs and outputs,
            where a prompt fills the context: about twice what lies between the parts, as measured.
    """

    program: int
    weights: int
    planned: int
    cache: int
    workspace: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.program + self.weights + self.planned + self.cache + self.workspace


def forecast(manifest: Manifest, artifact: ArtifactInfo) -> Forecast:
    """What the peak of resident memory should be; a decoder's with a full context.

    Args:
        manifest: of the bundle.
        artifact: which of its artifacts.
    """
    planned, cache, workspace = artifact.planned_memory or 0, 0, 0
    if manifest.generation is not None:
        full = manifest.generation.cache.bytes
        if artifact.planned_memory is None:
            cache = full
        else:
            workspace = 2 * max(0, planned - full)
    return Forecast(_PROGRAM.get(artifact.runtime, 0), artifact.bytes, planned, cache, workspace)

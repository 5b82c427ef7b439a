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
        weights: the artifact's; XNNPACK has its own copy and gives the file's pages back, but for
            those that something else reads as well: they count twice.
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
    full = None if manifest.generation is None else manifest.generation.cache.bytes
    weights = artifact.bytes + (artifact.shared_bytes or 0)
    return of_sizes(artifact.runtime, weights, artifact.planned_memory, full)


def of_sizes(runtime: str, weights: int, planned: int | None, full: int | None) -> Forecast:
    """The same, told by sizes.

    Args:
        runtime: of the runner.
        weights: bytes of the artifact, what it holds once for two counted twice.
        planned: bytes that the program plans; None where it allocates as it goes.
        full: bytes of a decoder's full cache; None for an encoder.
    """
    cache = full or 0 if planned is None else 0
    workspace = 0 if planned is None or full is None else 2 * max(0, planned - full)
    return Forecast(_PROGRAM.get(runtime, 0), weights, planned or 0, cache, workspace)

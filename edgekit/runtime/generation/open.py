"""Load a bundle's decoder with the loop around it."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from edgekit.bundle.manifest import ArtifactInfo, Manifest
from edgekit.errors import InternalError, SpecError, Unavailable
from edgekit.runtime.generation.loop import Generator, Steps
from edgekit.runtime.generation.prompt import read_prompts
from edgekit.runtime.generation.replay import open_steps
from edgekit.runtime.generation.seq2seq import Answering, TextSteps, open_answering


def open_generator(folder: Path, manifest: Manifest, runtime: str) -> Answering:
    """Load one of a bundle's decoders in this process. Check the bundle's files first.

    Args:
        folder: the bundle.
        manifest: its manifest.
        runtime: which artifact.

    Raises:
        SpecError: the bundle does not generate, or has no artifact for ``runtime``.
        Unavailable: the runtime is not installed.
        InternalError: the runtime refused the file.
    """
    prompts = read_prompts(folder, manifest)
    artifacts = {artifact.runtime: artifact for artifact in manifest.artifacts}
    if runtime not in artifacts:
        raise SpecError(
            f"the bundle has no {runtime} artifact", hint=f"It has: {', '.join(artifacts)}."
        )
    artifact, generation = artifacts[runtime], manifest.generation
    assert generation is not None
    steps = open_artifact(folder, manifest, artifact)
    if steps.context != generation.context:
        steps.close()
        raise InternalError(
            f"{artifact.file} is for {steps.context} tokens, its manifest says {generation.context}"
        )
    if generation.answers is None:
        return Generator(steps, prompts.tokenizer, generation.eos_token_ids)
    return open_answering(cast(TextSteps, steps), generation, prompts.tokenizer)


def open_artifact(folder: Path, manifest: Manifest, artifact: ArtifactInfo) -> Steps:
    """Load one of a bundle's artifacts without the loop.

    Raises:
        Unavailable: its runtime is not installed.
        InternalError: the runtime refused the file.
    """
    runtime = artifact.runtime
    try:
        return open_steps(runtime, folder / artifact.file, manifest.signature_of(artifact))
    except ImportError as error:
        raise Unavailable(
            f"not installed: {runtime} ({error.name or error})",
            hint=f"pip install 'edgekit[{runtime}]'",
        ) from error

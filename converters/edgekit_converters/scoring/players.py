"""Contestants of suites: decoder bundles, and transformers models as lm-eval itself runs them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from edgekit.bundle.hashing import sha256_file
from edgekit.bundle.manifest import ArtifactInfo, Manifest
from edgekit.errors import SpecError, Unsupported
from edgekit.runtime.generation.open import open_artifact
from edgekit_converters.load import Loaded, load
from edgekit_converters.quiet import quiet
from edgekit_converters.scoring.harness import Player
from edgekit_converters.scoring.language_model import ArtifactModel, Told
from edgekit_converters.source import resolve

TASK = "text-generation"
Opened = tuple[Any, Callable[[], None]]


def of_bundle(folder: Path, manifest: Manifest, runtimes: Sequence[str]) -> list[Player]:
    """The decoders of a bundle whose files have been checked.

    Args:
        folder: the bundle.
        manifest: its manifest.
        runtimes: which; all when empty.

    Raises:
        SpecError: it is no decoder, or has no such artifact.
    """
    refuse_other(manifest.task, folder.name)
    return [
        Player(facts_of(folder, manifest, artifact), partial(_artifact, folder, manifest, artifact))
        for artifact in chosen(folder, manifest, runtimes)
    ]


def chosen(folder: Path, manifest: Manifest, runtimes: Sequence[str]) -> list[ArtifactInfo]:
    """A bundle's artifacts for some runtimes; all when none is named.

    Raises:
        SpecError: it has no such artifact.
    """
    have = {artifact.runtime: artifact for artifact in manifest.artifacts}
    for runtime in runtimes:
        if runtime not in have:
            raise SpecError(
                f"{folder.name} has no {runtime} artifact", hint=f"It has: {', '.join(have)}."
            )
    return [have[runtime] for runtime in runtimes or have]


def facts_of(folder: Path, manifest: Manifest, artifact: ArtifactInfo) -> dict[str, Any]:
    """What a standing says of an artifact."""
    label = folder.absolute().name
    return {
        "name": f"{label} {artifact.runtime}",
        "model": label,
        "runtime": artifact.runtime,
        "task": manifest.task,
        "scheme": artifact.scheme,
        "bytes": artifact.bytes,
        "identity": f"{manifest.seal} {artifact.runtime}",
        "tokenizer": sha256_file(folder / manifest.tokenizer.file),
        "details": {"bundle": manifest.name, "file": artifact.file},
    }


def of_model(model: str | Path, *, revision: str | None = None) -> Player:
    """A model of transformers, eager and in fp32, as lm-eval itself runs it.

    Args:
        model: a Hugging Face folder or a hub id.
        revision: branch, tag or commit of a hub model.

    Raises:
        SpecError, InputMissing, InputRefused, Unsupported, Unavailable: as for an export.
    """
    source = resolve(model, revision=revision)
    loaded = load(source, "AutoModelForCausalLM", attention="sdpa")
    return Player(facts_of_eager(loaded, TASK), partial(_eager, loaded.model, source.folder))


def facts_of_eager(loaded: Loaded, task: str) -> dict[str, Any]:
    """What a standing says of a model in PyTorch."""
    source = loaded.source
    name = source.id.rpartition("/")[2]
    return {
        "name": f"{name} eager",
        "model": name,
        "runtime": "eager",
        "task": task,
        "scheme": "fp32",
        "bytes": sum(p.numel() * p.element_size() for p in loaded.model.parameters()),
        "identity": f"eager {loaded.weights_sha256}",
        "tokenizer": sha256_file(source.folder / "tokenizer.json"),
        "details": {"base_model": source.id},
    }


def refuse_other(task: str, name: str) -> None:
    """Suites are for models that continue texts.

    Raises:
        Unsupported: the task is another.
    """
    if task != TASK:
        raise Unsupported(
            f"{name} is for {task}: suites are for {TASK}",
            hint="Score it on labelled rows: edgekit eval BUNDLE --data FILE",
        )


def _artifact(folder: Path, manifest: Manifest, artifact: ArtifactInfo, told: Told) -> Opened:
    steps = open_artifact(folder, manifest, artifact)
    return ArtifactModel(steps, _tokenizer(folder), told), steps.close


def _eager(model: Any, folder: Path, told: Told) -> Opened:
    from lm_eval.models.huggingface import HFLM

    return HFLM(pretrained=model, tokenizer=_tokenizer(folder), batch_size=1), lambda: None


def _tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    with quiet():
        return AutoTokenizer.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False
        )

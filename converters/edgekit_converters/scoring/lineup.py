"""Which contestants a run has, where the models write: decoders, or encoder-decoders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgekit.bundle.manifest import MANIFEST_NAME
from edgekit.bundle.read import check_files, load_manifest
from edgekit.errors import SpecError
from edgekit_converters.scoring import players, writers
from edgekit_converters.scoring.harness import Player
from edgekit_converters.scoring.settling import AUTO, settled_task
from edgekit_converters.source import resolve
from edgekit_converters.tasks import head_module


def lineup(
    models: Sequence[str | Path],
    runtimes: Sequence[str],
    task: str = AUTO,
    *,
    suites: bool = False,
) -> list[Player]:
    """Every contestant, in the order of the models.

    Args:
        models: bundles, and models that are no bundles.
        runtimes: which; a bundle's own, and eager of what is no bundle, when empty.
        task: of models that are no bundles.
        suites: whether it is lm-eval that asks: then all have to be decoders.

    Raises:
        SpecError: a runtime that a model does not have.
        Unsupported: a model that suites cannot ask.
        InputMissing, InputRefused, Unavailable, BundleCorrupt: a model cannot be read.
    """
    if elsewhere := {"arm64", "device"} & set(runtimes):
        raise SpecError(
            "models that write texts are scored here only",
            hint=f"Leave {' and '.join(sorted(elsewhere))} out of --runtime.",
        )
    found: list[Player] = []
    for model in models:
        folder = Path(model)
        if (folder / MANIFEST_NAME).is_file():
            manifest = load_manifest(folder)
            check_files(folder, manifest)
            answers = manifest.generation is not None and manifest.generation.answers is not None
            kind = writers.of_bundle if answers and not suites else players.of_bundle
            found += kind(folder, manifest, [name for name in runtimes if name != "eager"])
        elif not runtimes or "eager" in runtimes:
            found.append(_eager(model, task, suites))
        else:
            raise no_bundle(model)
    return found


def no_bundle(model: str | Path) -> SpecError:
    """The failure of a model that was asked for as an artifact."""
    return SpecError(
        f"{model} is no bundle: it can be scored eager only",
        hint=f"Add eager to --runtime, or make one: edgekit export {model}",
    )


def _eager(model: str | Path, task: str, suites: bool) -> Player:
    if suites:
        return players.of_model(model)
    settled = settled_task(model, task)
    if getattr(head_module(settled), "READS_TEXT", False):
        return writers.of_model(resolve(model), settled)
    return players.of_model(model)

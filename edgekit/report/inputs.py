"""What a report is made of: documents of evaluations, and bundles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.bundle import report
from edgekit.bundle.manifest import MANIFEST_NAME, Manifest
from edgekit.bundle.read import check_files, load_manifest
from edgekit.errors import InputMissing, SpecError
from edgekit.scoring import saved


@dataclass(frozen=True)
class Inputs:
    """What was named.

    Attributes:
        evaluations: documents of ``edgekit eval -o``, with their files' names.
        bundles: manifests with their ledgers.
    """

    evaluations: tuple[tuple[str, dict[str, Any]], ...]
    bundles: tuple[tuple[Manifest, dict[str, Any]], ...]


def read(names: Sequence[Path]) -> Inputs:
    """Read and check everything that a report is asked for.

    Raises:
        SpecError: nothing is named.
        InputMissing: a file or folder does not exist.
        InputRefused, BundleCorrupt: it is no document and no whole bundle.
    """
    evaluations, bundles = [], []
    for path in names:
        if path.is_dir():
            if not (path / MANIFEST_NAME).is_file():
                raise InputMissing(
                    f"{path} is no bundle: it has no {MANIFEST_NAME}",
                    hint="Name bundles, and files that edgekit eval -o wrote.",
                )
            manifest = load_manifest(path)
            check_files(path, manifest)
            bundles.append((manifest, report.ledger(path)))
        else:
            evaluations.append((path.name, saved.read(path)))
    if not evaluations and not bundles:
        raise SpecError(
            "nothing to report on", hint="Name bundles, and files that edgekit eval -o wrote."
        )
    return Inputs(tuple(evaluations), tuple(bundles))

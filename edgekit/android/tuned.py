"""The file that ``edgekit bench --tuning`` wrote, checked before an app brings it along."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.bundle.disk import as_write_errors
from edgekit.bundle.manifest import Manifest
from edgekit.errors import InputMissing, InputRefused

NAME = "tuning.json"
_KIND, _VERSION = "edgekit-tuning", 1
_HINT = "Write it anew: edgekit bench BUNDLE --threads auto --tuning FILE"


@dataclass(frozen=True)
class Tuned:
    """A tuning file that fits a bundle.

    Attributes:
        data: its bytes.
        threads: the best number by runtime.
        place: where it was measured: ``phone``, ``host`` or ``emulated``.
    """

    data: bytes
    threads: dict[str, int]
    place: str

    @property
    def remark(self) -> str:
        """What to know of it before it goes to phones."""
        said = ", ".join(f"{name} {count}" for name, count in sorted(self.threads.items()))
        where = (
            "" if self.place == "phone" else f" WARNING: measured on {self.place}, not on a phone."
        )
        return f"Threads: {said}.{where}"

    def write(self, path: Path) -> None:
        """Write it as ``path``, whole or not at all.

        Raises:
            CannotWrite, StorageFull: it cannot be written.
        """
        partial = path.with_name(f".{path.name}.partial")
        with as_write_errors(path):
            try:
                with partial.open("wb") as file:
                    file.write(self.data)
                    file.flush()
                    os.fsync(file.fileno())
                partial.replace(path)
            finally:
                partial.unlink(missing_ok=True)


def read(path: Path, manifest: Manifest) -> Tuned:
    """Read a tuning file and find the bundle in it.

    Args:
        path: the file.
        manifest: of the bundle that the app brings.

    Raises:
        InputMissing: there is no such file.
        InputRefused: it is none, of another edgekit, or of other bundles.
    """
    if not path.is_file():
        raise InputMissing(f"no such tuning file: {path}", hint=_HINT)
    try:
        data = path.read_bytes()
        said: Any = json.loads(data)
        if said["kind"] != _KIND or said["schema_version"] != _VERSION:
            raise InputRefused(f"{path} is no tuning file of this edgekit", hint=_HINT)
        found = [
            one["threads"] for one in said["bundles"].values() if one["digest"] == manifest.seal
        ]
        place = str(said["conditions"]["place_kind"])
        threads = {name: _count(value) for one in found for name, value in one.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputRefused(f"{path} is no tuning file: {error!r}"[:300], hint=_HINT) from None
    if not threads:
        raise InputRefused(
            f"{path} says nothing of {manifest.name}: it was measured with other bytes", hint=_HINT
        )
    return Tuned(data, threads, place)


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{value!r} is no number of threads")
    return value

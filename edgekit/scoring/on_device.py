"""A bundle's artifacts on a phone over adb: tensors go there, answers come back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from edgekit.bundle.manifest import ArtifactInfo, Manifest
from edgekit.device import adb as adb_program
from edgekit.device import inventory, phone, runner
from edgekit.device.job import as_runtime
from edgekit.device.places.phone import ABI, MACHINE, open_phone
from edgekit.device.protocol import clean
from edgekit.device.shell import Shell
from edgekit.errors import Unsupported
from edgekit.runtime import Floats, batches
from edgekit.runtime.encode import Inputs
from edgekit.scoring.engines import Answers
from edgekit.testing.replay import model_name, replay

# Rows that travel together: neither machine holds more of them at a time.
_TOGETHER = 256
# One batch may take so long; as in edgekit test.
_SECONDS = 900.0


@dataclass(frozen=True)
class Chosen:
    """The phone that will be asked.

    Attributes:
        serial: adb's name for it.
        facts: what it says of itself, JSON-able.
        build: tells it from another phone, and from itself after an update of its system.
    """

    serial: str
    facts: dict[str, Any]
    build: str


class DeviceEngine:
    """One artifact in a session on a phone; ``edgekit bench`` tells how long it takes there."""

    together = _TOGETHER

    def __init__(
        self, folder: Path, manifest: Manifest, artifact: ArtifactInfo, serial: str
    ) -> None:
        """Open the session and copy the artifact.

        Raises:
            EdgekitError: whatever ``open_phone`` and ``PhonePlace.put`` raise.
        """
        path = folder / artifact.file
        self._artifact, self._signature = artifact, manifest.signature
        self._pad_id = manifest.tokenizer.filler
        self._place = open_phone(serial)
        try:
            sizes = {model_name(artifact): path.stat().st_size}
            self._place.require_room(sizes, [as_runtime(artifact.runtime)])
            self._place.put({model_name(artifact): path})
        except BaseException:
            self._place.close()
            raise

    def run(self, batch: Sequence[Inputs]) -> Answers:
        """All of a batch in one job."""
        return batches.answers(self._replayed, batch, self._signature, self._pad_id), None

    def _replayed(self, given: Sequence[Inputs]) -> list[Floats]:
        found = replay(self._place, self._artifact, self._signature, given, timeout=_SECONDS)
        name = self._signature.outputs[0].name
        return [outputs[name] for outputs in found]

    def close(self) -> None:
        """Remove everything from the phone and give its settings back."""
        self._place.close()


def choose(artifacts: Sequence[ArtifactInfo], serial: str | None = None) -> Chosen:
    """The phone that is asked, before anything else is.

    Args:
        artifacts: what it is to run.
        serial: which phone; ANDROID_SERIAL, or the only one, when None.

    Raises:
        AdbMissing, AdbServerFailed: there is no working adb.
        DeviceMissing, DeviceAmbiguous, DeviceUnauthorized, DeviceOffline: which phone is meant, or
            that it cannot be used.
        Unsupported: it runs no 64-bit Arm programs.
        Unavailable: a runner is not built.
    """
    program = adb_program.find()
    found = inventory.choose(program, serial)
    for artifact in artifacts:
        runner.built(MACHINE, artifact.runtime)
    facts = phone.about(Shell(program, found))
    if facts.abis and ABI not in facts.abis:
        raise Unsupported(
            f"{clean(found)} runs {', '.join(facts.abis)} and not {ABI}",
            hint="The runner is made for 64-bit Arm phones.",
        )
    known = facts.as_dict()
    told = {name: known[name] for name in ("manufacturer", "model", "soc", "android", "serial")}
    return Chosen(found, told, f"{found} {facts.fingerprint}")


def opener(
    folder: Path, manifest: Manifest, artifact: ArtifactInfo, chosen: Chosen
) -> partial[DeviceEngine]:
    """Opens an artifact on the phone that was chosen."""
    return partial(DeviceEngine, folder, manifest, artifact, chosen.serial)

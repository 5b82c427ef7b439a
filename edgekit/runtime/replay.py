"""Run many inputs through an artifact in a child process.

A native runtime can crash, hang or take the whole machine's memory; in a child that is a typed
error with the name of the artifact, and the parent goes on.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.bundle.manifest import Signature
from edgekit.errors import InternalError, TemporaryFailure, Unavailable
from edgekit.runtime import Floats, load_runtime

_MISSING = 69


def replay(
    runtime: str,
    path: Path,
    signature: Signature,
    samples: Sequence[Mapping[str, NDArray[Any]]],
    timeout: float = 600.0,
) -> list[dict[str, Floats]]:
    """Outputs of ``samples``, in order.

    Args:
        runtime: a module name of ``edgekit.runtime``.
        path: the artifact.
        signature: its inputs and outputs.
        samples: named inputs, shapes as in the signature.
        timeout: seconds before the child is killed.

    Raises:
        Unavailable: the runtime's package is not installed.
        InternalError: the runtime refused the file or crashed; the signal is named.
        TemporaryFailure: it did not finish in time.
    """
    with tempfile.TemporaryDirectory(prefix="edgekit-replay-") as scratch:
        job = Path(scratch)
        _write(job / "inputs.npz", samples)
        (job / "signature.json").write_text(signature.model_dump_json(), encoding="utf-8")
        command = [sys.executable, "-m", __name__, runtime, str(path.resolve()), str(job)]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=timeout, check=False
            )
        except subprocess.TimeoutExpired:
            raise TemporaryFailure(
                f"{path.name} did not finish {len(samples)} samples in {timeout:.0f} s"
            ) from None
        if done.returncode:
            raise _failure(runtime, path, done)
        return _read(job / "outputs.npz", len(samples))


def _failure(
    runtime: str, path: Path, done: subprocess.CompletedProcess[str]
) -> InternalError | Unavailable:
    last = (done.stderr.strip().splitlines() or ["no message"])[-1]
    if done.returncode == _MISSING:
        return Unavailable(
            f"the {runtime} runtime is not installed ({last})",
            hint=f"pip install 'edgekit[{runtime}]'",
        )
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        return InternalError(f"{runtime} crashed with {name} while running {path.name}")
    return InternalError(f"{runtime} failed on {path.name}: {last}")


def _write(path: Path, samples: Sequence[Mapping[str, NDArray[Any]]]) -> None:
    flat = {f"{i}/{name}": array for i, s in enumerate(samples) for name, array in s.items()}
    np.savez(path, allow_pickle=False, **flat)


def _read(path: Path, count: int) -> list[dict[str, Floats]]:
    found: list[dict[str, Floats]] = [{} for _ in range(count)]
    with np.load(path, allow_pickle=False) as archive:
        for key in archive.files:
            index, name = key.split("/", 1)
            found[int(index)][name] = archive[key]
    return found


def _child(runtime: str, model: str, scratch: str) -> None:
    job = Path(scratch)
    signature = Signature.model_validate(json.loads((job / "signature.json").read_text("utf-8")))
    with np.load(job / "inputs.npz", allow_pickle=False) as archive:
        count = 1 + max(int(key.split("/", 1)[0]) for key in archive.files)
    samples = _read(job / "inputs.npz", count)
    try:
        session = load_runtime(runtime).open_session(Path(model), signature)
    except ImportError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(_MISSING)
    _write(job / "outputs.npz", [session.run(sample) for sample in samples])
    session.close()


if __name__ == "__main__":
    _child(*sys.argv[1:4])

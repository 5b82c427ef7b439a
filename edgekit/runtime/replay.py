"""Run many inputs through an artifact in a child process.

A native runtime can crash, hang or take the whole machine's memory; in a child that is a typed
error with the name of the artifact, and the parent goes on.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

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
    return in_child(__name__, runtime, path, signature, samples, timeout)


def in_child(
    module: str,
    runtime: str,
    path: Path,
    signature: Signature,
    samples: Sequence[Mapping[str, NDArray[Any]]],
    timeout: float = 600.0,
) -> list[dict[str, Any]]:
    """What ``module`` makes of ``samples`` in a process of its own, where it calls ``serve``.

    Arguments and failures as of ``replay``; what is in a sample is between caller and module.
    """
    # Files without a name: whatever kills either process, nothing is left behind.
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as made:
        _write(given, samples)
        files = (given.fileno(), made.fileno())
        # -P: a module that lies in the current folder, perhaps a bundle's, is never imported.
        command = [sys.executable, "-P", "-m", module, runtime, str(path.resolve())]
        try:
            done = subprocess.run(
                [*command, str(len(samples)), *map(str, files)],
                input=signature.model_dump_json(),
                capture_output=True,
                text=True,
                encoding="utf-8",
                errors="replace",
                timeout=timeout,
                check=False,
                pass_fds=files,
            )
        except subprocess.TimeoutExpired:
            raise TemporaryFailure(
                f"{path.name} did not finish {len(samples)} samples in {timeout:.0f} s"
            ) from None
        if done.returncode:
            raise _failure(runtime, path, done)
        return _read(made, len(samples))


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


def _write(file: IO[bytes], samples: Sequence[Mapping[str, NDArray[Any]]]) -> None:
    flat = {f"{i}/{name}": array for i, s in enumerate(samples) for name, array in s.items()}
    np.savez(file, allow_pickle=False, **flat)
    file.flush()


def _read(file: IO[bytes], count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [{} for _ in range(count)]
    file.seek(0)
    with np.load(file, allow_pickle=False) as archive:
        for key in archive.files:
            index, name = key.split("/", 1)
            found[int(index)][name] = archive[key]
    return found


Work = Callable[[str, Path, Signature, list[dict[str, Any]]], Sequence[Mapping[str, NDArray[Any]]]]


def serve(work: Work) -> None:
    """The child's side of ``in_child``: one result a sample.

    Args:
        work: takes the runtime's name, the artifact, its signature and the samples.
    """
    runtime, model, count, given, made = sys.argv[1:6]
    signature = Signature.model_validate_json(sys.stdin.buffer.read())
    with os.fdopen(int(given), "rb") as file:
        samples = _read(file, int(count))
    try:
        results = work(runtime, Path(model), signature, samples)
    except ImportError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(_MISSING)
    with os.fdopen(int(made), "wb") as file:
        _write(file, results)


def _run(
    runtime: str, path: Path, signature: Signature, samples: list[dict[str, Any]]
) -> list[dict[str, Floats]]:
    session = load_runtime(runtime).open_session(path, signature)
    results = [session.run(sample) for sample in samples]
    session.close()
    return results


if __name__ == "__main__":
    serve(_run)

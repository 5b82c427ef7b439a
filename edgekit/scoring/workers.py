"""An artifact in a process of its own, on one thread, so that several rows are asked at a time.

Threads of one process would not do: a runtime may let one call run at a time, and shares its pool
of threads among all of them. Only tensors travel, and a process that crashes is a typed error.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from edgekit.bundle.read import load_manifest
from edgekit.errors import EdgekitError, InternalError, Unavailable
from edgekit.runtime.encode import Inputs
from edgekit.scoring import engines
from edgekit.scoring.engines import Answers

Message = tuple[dict[str, Any], list[dict[str, NDArray[Any]]]]
# Rows for each worker at the least: starting one costs about what some dozen rows do.
_LEAST_ROWS = 64
# What a process takes besides the artifact, and how often it may hold the weights.
_OWN_BYTES, _COPIES = 150 * 2**20, 2


class WorkerEngine:
    """The parent's side: rows go there together, their times are taken where they are answered."""

    def __init__(self, folder: Path, runtime: str) -> None:
        """Start the process and wait until it has loaded the artifact.

        Raises:
            Unavailable: the runtime is not installed.
            InternalError: the runtime refused the file, or crashed.
        """
        # -P: a module that lies in the current folder, perhaps a bundle's, is never imported.
        command = [sys.executable, "-P", "-m", __name__, str(folder.resolve()), runtime]
        self._name = f"{folder.absolute().name} {runtime}"
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  lives as long as the process
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said
        )
        try:
            loaded, _ = self._received()
        except BaseException:
            self.close()
            raise
        if "error" in loaded:
            self.close()
            kind = Unavailable if loaded["kind"] == Unavailable.code else InternalError
            raise kind(loaded["error"], hint=loaded["hint"])
        self.together: int = loaded["together"]

    def run(self, batch: Sequence[Inputs]) -> Answers:
        """One forward pass for each.

        Raises:
            InternalError: the process crashed, or the runtime failed.
        """
        try:
            _send(self._pipe("stdin"), {}, batch)
        except BrokenPipeError:
            raise self._crashed() from None
        facts, rows = self._received()
        if "error" in facts:
            raise InternalError(f"{self._name}: {facts['error']}")
        return [row["output"] for row in rows], facts["seconds"]

    def close(self) -> None:
        """End the process."""
        for name in ("stdin", "stdout"):
            try:
                self._pipe(name).close()
            except BrokenPipeError:
                continue
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._said.close()

    def _received(self) -> Message:
        found = _receive(self._pipe("stdout"))
        if found is None:
            raise self._crashed()
        return found

    def _pipe(self, name: str) -> IO[bytes]:
        pipe = getattr(self._process, name)
        assert pipe is not None
        return pipe  # type: ignore[no-any-return]

    def _crashed(self) -> InternalError:
        status = self._process.wait()
        self._said.seek(0)
        words = self._said.read().decode("utf-8", "replace").strip().splitlines()
        why = signal.Signals(-status).name if status < 0 else (words or ["no message"])[-1][:200]
        return InternalError(f"{self._name}: a worker ended: {why}")


def count(rows: int, size: int | None, asked: int | None = None) -> int:
    """How many workers are worth it.

    Args:
        rows: that they share.
        size: of the artifact, bytes; None where it is not known.
        asked: the number that the user wants; it is taken as it is.

    Returns:
        One a processor, fewer for few rows or little free memory; 1 at least.
    """
    if asked is not None:
        return asked
    each = _OWN_BYTES + _COPIES * (size or 0)
    room = _free_memory() // 2 // each
    return max(1, min(len(os.sched_getaffinity(0)), rows // _LEAST_ROWS, room))


def _free_memory() -> int:
    """Bytes that programs could get now, what the system keeps of files included."""
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _send(
    pipe: IO[bytes], facts: Mapping[str, Any], rows: Sequence[Mapping[str, NDArray[Any]]] = ()
) -> None:
    """A line that says what follows, and the bytes of each row's tensors.

    All of a message is read before anything is answered: two that write would wait for each other.
    """
    shapes = [[(name, str(one.dtype), one.shape) for name, one in row.items()] for row in rows]
    parts = [json.dumps([dict(facts), shapes]).encode() + b"\n"]
    parts += [np.ascontiguousarray(one).tobytes() for row in rows for one in row.values()]
    pipe.write(b"".join(parts))
    pipe.flush()


def _receive(pipe: IO[bytes]) -> Message | None:
    """What ``_send`` sent; None where the other side has ended."""
    line = pipe.readline()
    if not line.endswith(b"\n"):
        return None
    facts, shapes = json.loads(line)
    rows = []
    for row in shapes:
        tensors = {}
        for name, dtype, shape in row:
            kind = np.dtype(dtype)
            size = math.prod(shape) * kind.itemsize
            data = pipe.read(size)
            if len(data) < size:
                return None
            tensors[name] = np.frombuffer(data, kind).reshape(shape)
        rows.append(tensors)
    return facts, rows


def _work(folder: Path, runtime: str) -> None:
    """The child's side: answers until its input ends."""
    # The parent is told of a Ctrl-C as well, and ends its workers itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    given = sys.stdin.buffer
    # What a library prints must not come between the answers.
    made = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        engine = engines.of_artifact(folder, load_manifest(folder), runtime, threads=1)
    except EdgekitError as error:
        _send(made, {"error": error.message, "hint": error.hint, "kind": error.code})
        return
    _send(made, {"together": engine.together})
    while (asked := _receive(given)) is not None:
        try:
            outputs, seconds = engine.run(asked[1])
        except Exception as error:
            # Runtimes fail in many ways; the parent names the artifact.
            _send(made, {"error": f"{type(error).__name__}: {error}"[:500]})
            continue
        _send(made, {"seconds": seconds}, [{"output": output} for output in outputs])


if __name__ == "__main__":
    _work(Path(sys.argv[1]), sys.argv[2])

"""How long programs take here, in turn, in a process of its own: one thread, its processor time.

Wall time and several threads say more of what else a machine is doing than of a program: threads
that wait for each other are slowed by far more than their share. The figure is the fastest tenth of
the calls, since what else runs on a machine only ever adds time.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.bundle.manifest import Signature
from edgekit.runtime import Session, executorch, executorch_native
from edgekit.runtime.replay import in_child, serve

THREADS = 1

_WARM_UPS = 3
_TIMED = 3
_FEWEST_ROUNDS = 3
_TENTH = 0.1
# Besides the timing: loading, and the rounds that there are however slow a program is.
_SLACK = 600.0


@dataclass(frozen=True)
class Program:
    """A ``.pte`` and one real input.

    Attributes:
        path: the file.
        signature: what it takes and gives.
        inputs: named arrays.
    """

    path: Path
    signature: Signature
    inputs: Mapping[str, NDArray[Any]]


def milliseconds(programs: Sequence[Program], seconds: float) -> list[float]:
    """Processor time of one run of each program, measured in rounds through all of them.

    Args:
        programs: at least one.
        seconds: of timing, for all together.

    Raises:
        InternalError: the runtime refused a program or crashed.
        Unavailable: it is not installed.
        TemporaryFailure: the machine was too busy to finish.
    """
    first = programs[0]
    samples = [
        {
            "path": np.array(str(one.path.resolve())),
            "signature": np.array(one.signature.model_dump_json()),
            "seconds": np.array(seconds),
            **{f"input {name}": array for name, array in one.inputs.items()},
        }
        for one in programs
    ]
    timeout = seconds + _SLACK
    found = in_child(__name__, "executorch", first.path, first.signature, samples, timeout)
    return [float(one["milliseconds"]) for one in found]


def _work(
    runtime: str, path: Path, signature: Signature, samples: list[dict[str, Any]]
) -> list[dict[str, NDArray[Any]]]:
    calls = [_call(sample) for sample in samples]
    times = _times(calls, float(samples[0]["seconds"]))
    return [{"milliseconds": np.array(np.quantile(took, _TENTH))} for took in times]


def _call(sample: dict[str, Any]) -> Callable[[], object]:
    signature = Signature.model_validate_json(str(sample["signature"]))
    session = _opened(Path(str(sample["path"])), signature)
    inputs = {spec.name: sample[f"input {spec.name}"] for spec in signature.inputs}
    return lambda: session.run(inputs)


def _opened(path: Path, signature: Signature) -> Session:
    if executorch_native.lack() is None:
        return executorch_native.open_session(path, signature, threads=THREADS)
    session = executorch.open_by_extension(path, signature)
    from executorch.extension.pybindings import portable_lib

    portable_lib._unsafe_reset_threadpool(THREADS)
    return session


def _times(calls: Sequence[Callable[[], object]], seconds: float) -> list[list[float]]:
    """Milliseconds of every timed call, in rounds through all of them in a newly drawn order."""
    order = list(range(len(calls)))
    draw = random.Random(0)
    times: list[list[float]] = [[] for _ in order]
    for call in calls:
        for _ in range(_WARM_UPS):
            call()
    end = time.monotonic() + seconds
    rounds = 0
    while rounds < _FEWEST_ROUNDS or time.monotonic() < end:
        draw.shuffle(order)
        for index in order:
            calls[index]()  # its weights come back into the cache
            for _ in range(_TIMED):
                start = time.thread_time()
                calls[index]()
                times[index].append(1000 * (time.thread_time() - start))
        rounds += 1
    return times


if __name__ == "__main__":
    serve(_work)

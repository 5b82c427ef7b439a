"""How much of a program's time is spent inside delegates, measured on this host.

ExecuTorch's own event trace of some runs, in a child process as every run of an artifact. It is a
share of this host's time: a phone's differs.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from edgekit.errors import InternalError, TemporaryFailure
from edgekit.runtime.encode import Inputs

_RUNS = 20
_WARM_UPS = 5


@dataclass(frozen=True)
class TimeShare:
    """Medians over some runs of one input.

    Attributes:
        milliseconds: of a whole run.
        delegated: of it inside delegates.
        outside: of each operator outside, by its name.
    """

    milliseconds: float
    delegated: float
    outside: dict[str, float]

    @property
    def share(self) -> float:
        """Delegated time over the whole."""
        return self.delegated / self.milliseconds if self.milliseconds else 0.0


def time_share(path: Path, inputs: Inputs, timeout: float = 120.0) -> TimeShare:
    """Trace runs of a ``.pte``.

    Args:
        path: the program.
        inputs: one real input, in the signature's order.
        timeout: seconds before the child is killed.

    Raises:
        InternalError: the runtime failed on it, or the trace could not be read.
        TemporaryFailure: it did not finish in time.
    """
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder) / "inputs.npz", Path(folder) / "times.json"
        np.savez(given, allow_pickle=False, **{str(i): a for i, a in enumerate(inputs.values())})
        command = [
            sys.executable,
            "-m",
            "benchmarks.delegated_time",
            str(path.resolve()),
            str(given),
            str(made),
        ]
        try:
            done = subprocess.run(
                command,
                cwd=Path(__file__).parents[1],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout,
            )
        except subprocess.TimeoutExpired:
            raise TemporaryFailure(
                f"the trace of {path.name} did not finish in {timeout:.0f} s"
            ) from None
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise InternalError(f"ExecuTorch could not be traced on {path.name}: {last}")
        return TimeShare(**json.loads(made.read_text(encoding="utf-8")))


def _child(path: str, given: str, made: str) -> None:
    import executorch.kernels.quantized  # noqa: F401  registers the int8 table lookup
    import torch
    from executorch.devtools import Inspector
    from executorch.extension.pybindings import portable_lib

    with np.load(given, allow_pickle=False) as archive:
        inputs = [torch.from_numpy(archive[str(i)]) for i in range(len(archive.files))]
    module = portable_lib._load_for_executorch(path, enable_etdump=True)
    for _ in range(_WARM_UPS + _RUNS):
        module.forward(inputs)
    folder = os.path.dirname(made)
    trace = os.path.join(folder, "trace.etdp")
    module.write_etdump_result_to_file(trace, os.path.join(folder, "debug.bin"))
    whole = delegated = 0.0
    outside: dict[str, float] = {}
    for block in Inspector(etdump_path=trace).event_blocks:
        for event in block.events:
            if event.perf_data is None or event.is_delegated_op:
                continue
            took = statistics.median(event.perf_data.raw[-_RUNS:])
            if event.name == "Method::execute":
                whole += took
            elif event.name == "DELEGATE_CALL":
                delegated += took
            elif event.name.startswith("native_call_"):
                name = event.name.removeprefix("native_call_")
                outside[name] = outside.get(name, 0.0) + took
    times = TimeShare(whole, delegated, dict(sorted(outside.items())))
    Path(made).write_text(json.dumps(asdict(times)), encoding="utf-8")


if __name__ == "__main__":
    _child(*sys.argv[1:4])

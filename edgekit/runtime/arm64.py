"""Run a bundle's artifacts through the real arm64 kernels without a phone: runner under qemu-user.

An emulated processor gives the numbers that its instruction set gives; it says nothing about
speed, and it is not a phone. The same call with ``machine="x86_64"`` drives a runner built for this
machine, with no emulator.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.bundle.disk import as_write_errors
from edgekit.bundle.manifest import Signature, TensorSpec
from edgekit.device import protocol, readings, stream
from edgekit.device.job import Job, as_runtime
from edgekit.device.places.emulated import DEFAULT_CPU, open_emulated
from edgekit.device.places.host import LocalPlace, open_host
from edgekit.errors import InputMissing, InputRefused, InternalError
from edgekit.runtime.generation.replay import Passage


def ensure_available(
    cpu: str = DEFAULT_CPU, *, machine: str = "aarch64", runtime: str = "executorch"
) -> None:
    """Fail now when a replay could not start: no runner, no emulator, or no such processor.

    Raises:
        Unavailable: the runner is not built or qemu is not installed; the hint has the command.
        SpecError: qemu does not know the processor, or there is no such runtime.
        InternalError: the runner is there and does not start.
    """
    with _open(cpu, machine, runtime) as place:
        spoken = place.hello(as_runtime(runtime)).get("protocol")
    if spoken != protocol.PROTOCOL:
        raise InternalError(
            f"the runner speaks protocol {protocol.clean(str(spoken))}, want {protocol.PROTOCOL}",
            hint="Run: edgekit runner build --force",
        )


def replay(
    model: Path,
    signature: Signature,
    samples: Sequence[Mapping[str, NDArray[Any]]],
    *,
    cpu: str = DEFAULT_CPU,
    timeout: float = 900.0,
    machine: str = "aarch64",
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    runtime: str = "executorch",
) -> list[dict[str, NDArray[np.float32]]]:
    """Run every sample through an artifact on an emulated processor.

    Args:
        model: the artifact; it must have been checked against its bundle before.
        signature: names, types and order of inputs and outputs.
        samples: named inputs, one mapping a sample, shapes as in the signature.
        cpu: qemu's name of the processor; unused when ``machine`` is not ``aarch64``.
        timeout: seconds for the whole run.
        machine: ``aarch64`` (emulated) or ``x86_64`` (this machine).
        threads: of the runner; None for this machine's processors, four at most.
        progress: told (samples done, samples in all).
        runtime: which runner.

    Returns:
        Named outputs, one mapping a sample.

    Raises:
        Unavailable: the runner or qemu is missing; the hint has the command.
        InputMissing: there is no such model file.
        InputRefused: the model is damaged, or the samples do not fit it.
        TemporaryFailure: it took longer than ``timeout``.
        InternalError: the runner crashed or failed inside the runtime.
    """
    if not model.is_file():
        raise InputMissing(f"no model file {model}", path=str(model))
    tensors = [_ordered(signature, sample, index) for index, sample in enumerate(samples)]

    def count(event: protocol.Event) -> None:
        if progress is not None and event["event"] == "sample":
            progress(min(int(event["index"]) + 1, len(samples)), len(samples))

    job = Job(
        mode="goldens",
        runtime=as_runtime(runtime),
        model="model",
        inputs="inputs",
        outputs="outputs",
        threads=threads or min(4, len(os.sched_getaffinity(0))),
    )
    with _open(cpu, machine, runtime) as place, tempfile.TemporaryDirectory() as name:
        given, made = Path(name, "inputs"), Path(name, "outputs")
        with as_write_errors(given):
            stream.write(given, tensors)
        place.put({"model": model, "inputs": given})
        place.run(job, timeout=timeout, on_event=count)
        place.fetch("outputs", made)
        results = _results(made)
    if len(results) != len(samples):
        raise InternalError(f"{len(results)} outputs came back for {len(samples)} samples")
    return [_named(signature, outputs) for outputs in results]


def read(
    model: Path,
    passages: Sequence[Passage],
    *,
    context: int,
    vocabulary: int,
    cpu: str = DEFAULT_CPU,
    timeout: float = 900.0,
    machine: str = "aarch64",
    threads: int | None = None,
    runtime: str = "executorch",
) -> list[NDArray[np.float32]]:
    """Read texts through a decoder on an emulated processor, token by token.

    Arguments and failures as of ``replay``.

    Args:
        passages: ids within the vocabulary, each text within the context.
        context: the most tokens in all.
        vocabulary: number of token ids.

    Returns:
        Logits after each prompt and every later token, ``(passes, vocabulary)`` for each text.
    """
    if not model.is_file():
        raise InputMissing(f"no model file {model}", path=str(model))
    with _open(cpu, machine, runtime) as place:
        place.put({"model": model})
        rows = readings.read(
            place,
            as_runtime(runtime),
            "model",
            [readings.Passage(one.ids, one.prompt) for one in passages],
            context=context,
            vocabulary=vocabulary,
            timeout=timeout,
            threads=threads or min(4, len(os.sched_getaffinity(0))),
        )
        return list(rows)


def _open(cpu: str, machine: str, runtime: str) -> LocalPlace:
    return open_emulated(cpu, [runtime]) if machine == "aarch64" else open_host([runtime])


def _ordered(
    signature: Signature, sample: Mapping[str, NDArray[Any]], index: int
) -> list[NDArray[Any]]:
    """A sample's tensors in call order, each of the type that the signature names."""
    names = {spec.name for spec in signature.inputs}
    if names != set(sample):
        raise InputRefused(
            f"sample {index} has the inputs {', '.join(sorted(sample)) or 'none'}; "
            f"the signature has {', '.join(sorted(names))}"
        )
    return [_checked(spec, sample[spec.name], index) for spec in signature.inputs]


def _checked(spec: TensorSpec, tensor: NDArray[Any], index: int) -> NDArray[Any]:
    if str(tensor.dtype) != spec.dtype:
        raise InputRefused(
            f"input {spec.name!r} of sample {index} is {tensor.dtype}, want {spec.dtype}"
        )
    return tensor


def _results(path: Path) -> list[list[NDArray[Any]]]:
    try:
        return stream.read(path)
    except (OSError, InputRefused) as error:
        raise InternalError(f"the runner's outputs cannot be read: {error}") from error


def _named(signature: Signature, outputs: list[NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
    if len(outputs) != len(signature.outputs):
        raise InputRefused(
            f"the model gave {len(outputs)} outputs, its signature has {len(signature.outputs)}"
        )
    return {
        spec.name: tensor.astype(np.float32, copy=False)
        for spec, tensor in zip(signature.outputs, outputs, strict=True)
    }

"""Answers of one artifact at a place: tensors go there, tensors come back, and are not trusted."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from edgekit.bundle.disk import as_write_errors
from edgekit.bundle.manifest import ArtifactInfo, Dim, Signature
from edgekit.device import stream
from edgekit.device.job import Job, Runtime
from edgekit.device.places import Place
from edgekit.device.protocol import Event
from edgekit.errors import DeviceReplyRefused, InputMissing, InputRefused

Outputs = dict[str, NDArray[np.float32]]

# Enough for a check of answers; a phone stays cool.
THREADS = 2
_HINT = "The runner or the place is broken: build the runner anew with edgekit runner build --force"


def model_name(artifact: ArtifactInfo) -> str:
    """What an artifact is called in a working folder, whatever the bundle calls it."""
    return f"model-{artifact.runtime}"


def replay(
    place: Place,
    artifact: ArtifactInfo,
    signature: Signature,
    samples: Sequence[Mapping[str, NDArray[Any]]],
    *,
    timeout: float,
    on_event: Callable[[Event], None] = lambda event: None,
) -> list[Outputs]:
    """Run samples through an artifact that lies at a place as ``model_name``.

    Args:
        place: where.
        artifact: which.
        signature: inputs and outputs of the bundle.
        samples: named inputs, one mapping a sample.
        timeout: seconds for the job.
        on_event: told of the runner's events.

    Returns:
        Named outputs, one mapping a sample; names, types and shapes are those of the signature.

    Raises:
        DeviceReplyRefused: what came back is not an answer to what was sent.
        EdgekitError: whatever the place raises.
    """
    job = Job(
        mode="goldens",
        runtime=cast(Runtime, artifact.runtime),
        model=model_name(artifact),
        inputs="inputs",
        outputs="outputs",
        threads=THREADS,
    )
    with tempfile.TemporaryDirectory(prefix="edgekit-test-") as name:
        folder = Path(name)
        with as_write_errors(folder):
            tensors = [[sample[spec.name] for spec in signature.inputs] for sample in samples]
            stream.write(folder / "inputs", tensors)
        place.put({"inputs": folder / "inputs"})
        place.run(job, timeout=timeout, on_event=on_event)
        _fetch(place, folder / "outputs")
        try:
            answers = stream.read(folder / "outputs")
        except InputRefused as error:
            raise DeviceReplyRefused(
                f"{place.name}: its outputs: {error.message}", hint=_HINT
            ) from None
    if len(answers) != len(samples):
        raise DeviceReplyRefused(
            f"{place.name}: {len(answers)} outputs came back for {len(samples)} samples", hint=_HINT
        )
    pairs = enumerate(zip(samples, answers, strict=True))
    return [_named(signature, *pair, f"{place.name}, sample {n}") for n, pair in pairs]


def _fetch(place: Place, into: Path) -> None:
    try:
        place.fetch("outputs", into)
    except InputMissing:
        raise DeviceReplyRefused(
            f"{place.name}: the runner says that it is done, and its outputs are missing",
            hint=_HINT,
        ) from None


def _named(
    signature: Signature,
    sample: Mapping[str, NDArray[Any]],
    tensors: Sequence[NDArray[Any]],
    where: str,
) -> Outputs:
    if len(tensors) != len(signature.outputs):
        raise DeviceReplyRefused(
            f"{where}: {len(tensors)} outputs came back, the signature has "
            f"{len(signature.outputs)}",
            hint=_HINT,
        )
    lengths = {
        dim.name: size
        for spec in signature.inputs
        for dim, size in zip(spec.dims, sample[spec.name].shape, strict=True)
    }
    for spec, tensor in zip(signature.outputs, tensors, strict=True):
        wanted = [_size(dim, lengths) for dim in spec.dims]
        if str(tensor.dtype) != spec.dtype or list(tensor.shape) != wanted:
            raise DeviceReplyRefused(
                f"{where}: {spec.name!r} came back as {tensor.dtype} {list(tensor.shape)}, "
                f"not {spec.dtype} {wanted}",
                hint=_HINT,
            )
    return {spec.name: t for spec, t in zip(signature.outputs, tensors, strict=True)}


def _size(dim: Dim, lengths: Mapping[str, int]) -> int:
    """How long a dimension must be: its one size, or that of the input's dimension of its name."""
    return dim.minimum if dim.minimum == dim.maximum else lengths.get(dim.name, dim.maximum)

"""The plan of a quantized folder: written beside the model, and read back for an export.

``quantization.safetensors`` holds every tensor of a ``Decisions`` under the name of what it is:
``values/NAME`` int8, ``scales/NAME`` float32, ``factors/NAME`` float32, ``channels/NAME`` int64,
``ranges/NAME`` float32, ``vectors/NAME`` float32. What shape each must have follows from the ledger
in ``quantization.json``; a vector's from the graph that the plan is carried out on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as dump_tensors
from torch import Tensor

from edgekit.errors import InternalError
from edgekit_converters.quantize.decisions import Decisions
from edgekit_converters.quantize.grid import Grid, highest, lowest
from edgekit_converters.quantize.ledger import Row
from edgekit_converters.quantize.outliers import OUTLIERS, REST
from edgekit_converters.quantize.plan import FP32
from edgekit_converters.quantize.record import (
    FORMAT_VERSION,
    PLAN,
    TENSORS,
    Facts,
    Plan,
    TensorRow,
    read,
    refuse_foreign,
    refused,
    sealed,
)

_DTYPES = {
    "values": "I8",
    "scales": "F32",
    "factors": "F32",
    "channels": "I64",
    "ranges": "F32",
    "vectors": "F32",
}
# Least and greatest of what a linear reads, and of what it gives.
_RANGES = (4,)
_Shapes = dict[str, tuple[str, tuple[int, ...]]]


def save(folder: Path, decisions: Decisions, facts: Facts) -> Plan:
    """Write a plan into a folder; equal decisions and facts give equal bytes.

    Raises:
        InternalError: the ledger and the integers do not speak of the same tensors.
        OSError: the files cannot be written.
    """
    ledger = tuple(TensorRow.model_validate(row.record()) for row in decisions.rows)
    tensors: dict[str, Tensor] = {}
    for name, grid in decisions.grids.items():
        tensors[f"values/{name}"] = grid.values
        tensors[f"scales/{name}"] = grid.scales
        if grid.ranges is not None:
            tensors[f"ranges/{name}"] = grid.ranges
    tensors |= {f"factors/{name}": tensor for name, tensor in decisions.factors.items()}
    tensors |= {f"channels/{name}": tensor for name, tensor in decisions.channels.items()}
    tensors |= {f"vectors/{name}": tensor for name, tensor in decisions.vectors.items()}
    fixed = {name for name, grid in decisions.grids.items() if grid.ranges is not None}
    wanted = _wanted(
        ledger, decisions.factors, fixed, _lengths(decisions.channels), _lengths(decisions.vectors)
    )
    if {name: tuple(tensor.shape) for name, tensor in tensors.items()} != {
        name: shape for name, (_, shape) in wanted.items()
    }:
        raise InternalError("the ledger and the integers of a plan do not match")
    raw = dump_tensors({name: tensors[name].contiguous() for name in sorted(tensors)})
    plan, text = sealed(
        Plan(
            format_version=FORMAT_VERSION,
            facts=facts,
            ledger=ledger,
            tensors_sha256=hashlib.sha256(raw).hexdigest(),
        )
    )
    (folder / TENSORS).write_bytes(raw)
    (folder / PLAN).write_bytes(text)
    return plan


def load(folder: Path, weights_sha256: str) -> tuple[Decisions, Facts] | None:
    """The plan of a folder, ready to be carried out; None when it has none.

    Args:
        folder: a Hugging Face folder.
        weights_sha256: digest of its weight files as they are now.

    Raises:
        InputRefused: the plan is incomplete, changed, cut, malformed, of a newer edgekit, or made
            for other weights.
        PermissionRefused: the system denies reading it.
    """
    plan = read(folder)
    if plan is None:
        return None
    refuse_foreign(plan, folder, weights_sha256)
    return _decisions(folder / TENSORS, plan.ledger), plan.facts


def _decisions(path: Path, ledger: tuple[TensorRow, ...]) -> Decisions:
    tensors = _tensors(path, ledger)
    _check_values(tensors, ledger)
    decisions = Decisions(rows=[_row(row) for row in ledger])
    # In graph order, whatever the order in the file.
    for row in ledger:
        name = row.tensor
        if row.bits != FP32:
            values, scales = tensors[f"values/{name}"], tensors[f"scales/{name}"]
            width = min(row.group or row.columns, row.columns)
            ranges = tensors.get(f"ranges/{name}")
            decisions.grids[name] = Grid(values, scales, row.bits, width, ranges)
        if f"factors/{name}" in tensors:
            decisions.factors[name] = tensors[f"factors/{name}"]
        whole = name.removesuffix(REST)
        if whole != name and f"channels/{whole}" in tensors:
            decisions.channels[whole] = tensors[f"channels/{whole}"]
    decisions.vectors = {
        key.removeprefix("vectors/"): tensor
        for key, tensor in tensors.items()
        if key.startswith("vectors/")
    }
    return decisions


def _tensors(path: Path, ledger: tuple[TensorRow, ...]) -> dict[str, Tensor]:
    """What the file holds, once its header is known to be what the ledger makes it."""
    try:
        with safe_open(str(path), framework="pt") as stored:
            names = list(stored.keys())
            slices = {name: stored.get_slice(name) for name in names}
            found = {n: (s.get_dtype(), tuple(s.get_shape())) for n, s in slices.items()}
            factors = {n.removeprefix("factors/") for n in names if n.startswith("factors/")}
            fixed = {n.removeprefix("ranges/") for n in names if n.startswith("ranges/")}
            channels, vectors = (
                {
                    name.removeprefix(kind): shape[0]
                    for name, (_, shape) in found.items()
                    if name.startswith(kind) and len(shape) == 1
                }
                for kind in ("channels/", "vectors/")
            )
            wanted = _wanted(ledger, factors, fixed, channels, vectors)
            for name in sorted(found.keys() | wanted.keys()):
                if found.get(name) != wanted.get(name):
                    raise refused(
                        f"{TENSORS}: {name!r} is {_words(found.get(name))}, the ledger wants "
                        f"{_words(wanted.get(name))}"
                    )
            return {name: stored.get_tensor(name) for name in names}
    except (SafetensorError, OSError) as error:
        raise refused(f"{TENSORS} is not a valid safetensors file: {str(error)[:200]}") from None


def _wanted(
    ledger: tuple[TensorRow, ...],
    factors: Collection[str],
    fixed: Collection[str],
    channels: Mapping[str, int],
    vectors: Mapping[str, int],
) -> _Shapes:
    """Type and shape of every tensor by the ledger; what the ledger rules out is not in it.

    Args:
        ledger: the rows.
        factors: names of linears whose activation is scaled.
        fixed: names of linears with static activations.
        channels: how many channels of a linear were parted from the rest.
        vectors: lengths of what was trained after rounding.
    """
    found: _Shapes = {}
    by_name = {row.tensor: row for row in ledger}
    for row in ledger:
        if row.bits == FP32:
            continue
        groups = -(-row.columns // row.group) if row.group else 1
        found[f"values/{row.tensor}"] = (_DTYPES["values"], (row.rows, row.columns))
        found[f"scales/{row.tensor}"] = (_DTYPES["scales"], (row.rows, groups))
        if row.kind == "linear" and row.tensor in factors:
            found[f"factors/{row.tensor}"] = (_DTYPES["factors"], (row.columns,))
        if row.kind == "linear" and row.bits == 8 and row.tensor in fixed:
            found[f"ranges/{row.tensor}"] = (_DTYPES["ranges"], _RANGES)
    for name in channels:
        parted = by_name.get(f"{name}{OUTLIERS}")
        if parted is not None and f"{name}{REST}" in by_name:
            found[f"channels/{name}"] = (_DTYPES["channels"], (parted.columns,))
    for name, length in vectors.items():
        found[f"vectors/{name}"] = (_DTYPES["vectors"], (length,))
    return found


def _check_values(tensors: Mapping[str, Tensor], ledger: tuple[TensorRow, ...]) -> None:
    """Refuse numbers that no calibration writes and that a kernel would choke on."""
    columns = {row.tensor: row.columns for row in ledger}
    tables = {row.tensor for row in ledger if row.kind == "table"}
    for row in ledger:
        if row.bits == FP32:
            continue
        values = tensors[f"values/{row.tensor}"]
        if int(values.min()) < lowest(row.bits) or int(values.max()) > highest(row.bits):
            raise refused(f"{TENSORS}: {row.tensor} has integers beyond {row.bits} bits")
    for name, tensor in tensors.items():
        kind, _, unit = name.partition("/")
        if kind in ("scales", "factors"):
            # A lookup's scale may be negative (``nearest.fit_table``).
            sound = tensor != 0 if unit in tables else tensor > 0
            if not bool((torch.isfinite(tensor) & sound).all()):
                raise refused(f"{TENSORS}: {name} has numbers that are not positive and finite")
        elif kind == "vectors":
            if not bool(torch.isfinite(tensor).all()):
                raise refused(f"{TENSORS}: {name} has numbers that are not finite")
        elif kind == "ranges":
            if not bool(torch.isfinite(tensor).all()) or (tensor[::2] > tensor[1::2]).any():
                raise refused(f"{TENSORS}: {name} is no pair of ranges")
        elif kind == "channels":
            every = columns[f"{unit}{OUTLIERS}"] + columns[f"{unit}{REST}"]
            rising = bool((tensor[1:] > tensor[:-1]).all())
            if not rising or int(tensor[0]) < 0 or int(tensor[-1]) >= every:
                raise refused(f"{TENSORS}: {name} does not name channels of 0 to {every - 1}")


def _row(row: TensorRow) -> Row:
    return Row(**row.model_dump(exclude={"scheme"}))


def _lengths(tensors: Mapping[str, Tensor]) -> dict[str, int]:
    return {name: len(tensor) for name, tensor in tensors.items()}


def _words(found: tuple[str, tuple[int, ...]] | None) -> str:
    return "absent" if found is None else f"{found[0]} {list(found[1])}"

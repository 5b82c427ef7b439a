"""``quantization.json``: the plan of a quantized folder as typed data. Read without torch.

Nothing in it depends on when or where it was made: the same inputs give the same bytes. What a plan
with a limit on time was timed at is the exception.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgekit.bundle.canonical import dump_bytes
from edgekit.bundle.hashing import sha256_file
from edgekit.bundle.manifest import MANIFEST_NAME, HopQuality
from edgekit.errors import InputRefused, PermissionRefused
from edgekit_converters.folder import check
from edgekit_converters.weights import weights_sha256

PLAN = "quantization.json"
TENSORS = "quantization.safetensors"
# 2: vectors that were trained after rounding.
FORMAT_VERSION = 2

_LONGEST = 32 * 1024 * 1024
_LARGEST = 1 << 31
_REMOVE = f"remove {PLAN} and {TENSORS} to use the folder without its plan"

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Size = Annotated[int, Field(ge=1, le=_LARGEST)]
Count = Annotated[int, Field(ge=0)]


class _Part(BaseModel):
    """Frozen, closed, finite, as the parts of a manifest are."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class TensorRow(_Part):
    """One row of the ledger; the fields of ``ledger.Row`` and its scheme in words."""

    tensor: str
    kind: Literal["linear", "table"]
    rows: Size
    columns: Size
    scheme: str
    bits: Literal[32, 8, 4, 2]
    group: Count
    bytes_before: Count
    bytes_after: Count
    weight_db: float | None
    output_db: float | None
    reason: str


class OverrideRecord(_Part):
    """A recipe's word on some tensors."""

    match: str
    bits: int
    group: int | None


class Calibration(_Part):
    """What the plan was calibrated with.

    ``unknown`` is the share of tokens that the tokenizer had no piece for, ``cut`` the number of
    texts that were longer than the limit; ``sha256`` is over the texts, one a line.
    """

    count: Count
    tokens: Count
    cut: Count
    unknown: float = Field(ge=0, le=1)
    built_in: bool
    sha256: Sha256


class TimeRecord(_Part):
    """The time of one run: the limit, and what was predicted and measured, in milliseconds.

    Of one text of ``tokens`` tokens, by so many threads of the processor that the plan was made on.
    Of the whole record this alone is not the same when a plan is made again.
    """

    tokens: Size
    threads: Size
    limit: float
    predicted: float
    measured: float
    fp32: float


class SearchRecord(_Part):
    """What a mixed plan had to hold, and what was predicted of it.

    ``latency`` is a share of the fp32 artifact's time; correlations say how well the losses
    of single groups of tensors predicted those of mixes, on the calibration texts.
    """

    bytes: int | None
    worst_cosine: float | None
    latency: float | None
    tries: int
    predicted_worst: float
    predicted_mean: float
    worst_correlation: float
    mean_correlation: float
    time: TimeRecord | None = None


class Facts(_Part):
    """How a plan was made and what was measured.

    ``scheme`` is the name that floors know it by: ``mixed`` where tensors got fewer bits than the
    scheme asks for. ``tweak`` counts the steps in which norms and biases were trained. Bytes are of
    the graph's weights: fp32, and as the ledger forecasts them.
    """

    scheme: str
    task: str
    max_length: Size
    scaling: str
    rounding: str
    split: bool
    tweak: Count = 0
    overrides: tuple[OverrideRecord, ...]
    calibration: Calibration
    fp32_bytes: Count
    forecast_bytes: Count
    coverage: float = Field(ge=0, le=1)
    quality: tuple[HopQuality, ...]
    search: SearchRecord | None
    weights_sha256: Sha256
    toolchain: dict[str, str]


class Plan(_Part):
    """The whole of ``quantization.json``.

    ``tensors_sha256`` is the digest of ``quantization.safetensors``; ``seal`` that of this file's
    own canonical bytes without the ``seal`` key.
    """

    format_version: int
    facts: Facts
    ledger: tuple[TensorRow, ...]
    tensors_sha256: Sha256
    seal: Sha256 | None = None


def present(folder: Path) -> bool:
    """Whether a folder holds a plan, or a part of one."""
    return any((folder / name).exists() for name in (PLAN, TENSORS))


def read(folder: Path) -> Plan | None:
    """The plan of a folder, as it was sealed; None when it has none.

    ``quantization.safetensors`` is compared with its digest; its content is not looked at.

    Raises:
        InputRefused: half of the plan is missing, it was changed or cut, it is not valid, or a
            newer edgekit wrote it.
        PermissionRefused: the system denies reading it.
    """
    if not present(folder):
        return None
    for name in (PLAN, TENSORS):
        if not (folder / name).is_file():
            raise refused(f"{folder.name} has only half of a quantization plan: no {name}")
    try:
        with (folder / PLAN).open("rb") as stream:
            plan = _parsed(stream.read(_LONGEST + 1))
        digest = sha256_file(folder / TENSORS)
    except PermissionError as error:
        raise PermissionRefused(
            f"cannot read {error.filename}: {error.strerror}", hint="Check its permissions."
        ) from error
    except OSError as error:
        raise refused(f"{folder.name}: the plan cannot be read: {error.strerror}") from error
    if digest != plan.tensors_sha256:
        raise refused(f"{TENSORS} was changed or cut after the plan was made")
    return plan


@dataclass(frozen=True)
class QuantizedFolder:
    """A model's folder with a quantization plan.

    Attributes:
        path: the folder.
        plan: how it was made, what was measured, and the ledger.
    """

    path: Path
    plan: Plan


def opened(folder: Path) -> QuantizedFolder | None:
    """The plan of a folder, made for the weights beside it; None where there is no plan.

    A bundle has none, whatever lies in it.

    Raises:
        InputRefused: see ``read``; or the weights are damaged or others.
    """
    plan = None if (folder / MANIFEST_NAME).exists() else read(folder)
    if plan is None:
        return None
    refuse_foreign(plan, folder, weights_sha256(check(folder).weight_files))
    return QuantizedFolder(folder, plan)


def refuse_foreign(plan: Plan, folder: Path, digest: str) -> None:
    """Refuse a plan for other weights than those with this digest.

    Raises:
        InputRefused: it is one.
    """
    if plan.facts.weights_sha256 != digest:
        raise refused(f"the quantization plan in {folder.name} was made for other weights")


def sealed(plan: Plan) -> tuple[Plan, bytes]:
    """A plan with its seal, and the bytes of its file."""
    data = plan.model_dump(mode="json")
    whole = plan.model_copy(update={"seal": _digest(data)})
    return whole, dump_bytes(whole.model_dump(mode="json"))


def refused(what: str, hint: str = "") -> InputRefused:
    """The failure of a plan that cannot be used."""
    return InputRefused(what, hint=hint or f"Run edgekit quantize again, or {_REMOVE}.")


def _parsed(raw: bytes) -> Plan:
    if len(raw) > _LONGEST:
        raise refused(f"{PLAN} is longer than {_LONGEST} bytes")
    try:
        data = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise refused(f"{PLAN} is not valid JSON: {str(error)[:200]}") from None
    if not isinstance(data, dict):
        raise refused(f"{PLAN} does not hold a JSON object")
    version = data.get("format_version")
    if type(version) is not int or version < 1:
        raise refused(f"{PLAN} has no format_version that is a positive whole number")
    if version > FORMAT_VERSION:
        raise refused(
            f"{PLAN} has format version {version}; this edgekit reads up to {FORMAT_VERSION}",
            hint=f"Install a newer edgekit (pip install --upgrade edgekit), or {_REMOVE}.",
        )
    if not _intact(raw, data):
        raise refused(f"{PLAN} was changed after it was written")
    try:
        return Plan.model_validate_json(raw, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise refused(f"{PLAN} is not valid at {place}: {first['msg']}") from None


def _intact(raw: bytes, data: dict[str, Any]) -> bool:
    try:
        return raw == dump_bytes(data) and data.get("seal") == _digest(data)
    except ValueError:  # a number that is not finite, or half a character
        return False


def _digest(data: dict[str, Any]) -> str:
    rest = {key: value for key, value in data.items() if key != "seal"}
    return hashlib.sha256(dump_bytes(rest)).hexdigest()

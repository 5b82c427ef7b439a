"""The record of a bench: typed, versioned, canonical JSON, whole after every block."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgekit.bundle.canonical import dump_bytes
from edgekit.bundle.disk import as_write_errors
from edgekit.errors import InputMissing, InputRefused

SCHEMA_VERSION = 1
MOST_BYTES = 256 * 2**20

Kind = Literal["host", "emulated", "phone"]
SeriesName = Literal["latency", "prefill", "decode", "load"]
# Those that a block has times of: an answer, a prompt's first token, one token to the next.
TIMED: tuple[SeriesName, ...] = ("latency", "prefill", "decode")


class _Part(BaseModel):
    """Frozen, closed, finite: the rules that all parts of a record share."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Plan(_Part):
    """What was asked for. ``runs`` and ``seconds`` are for a setting, over all its blocks.

    ``tokens`` is how long a decoder's answers are; its ``lengths`` are of prompts.
    """

    quick: bool
    lengths: tuple[int, ...]
    threads: tuple[int, ...]
    threads_auto: bool = False
    cores: tuple[int, ...] = ()
    warm_ups: int = Field(ge=1)
    runs: int = Field(ge=1)
    seconds: float = Field(ge=0)
    rounds: int = Field(ge=1)
    loads: int = Field(ge=0)
    seed: int = Field(ge=0)
    cooldown_minutes: float = Field(ge=0)
    tokens: int | None = Field(default=None, ge=2)


class Candidate(_Part):
    """One artifact under test; ``context`` is a decoder's, ``forecast_bytes`` of ``forecast``.

    ``texts`` is how many texts one pass takes: a time is a pass's.
    """

    id: str
    bundle: str
    bundle_digest: str
    ordinal: int
    runtime: Literal["executorch", "onnx"]
    file: str
    sha256: str
    bytes: int
    scheme: str
    delegate: str
    planned_memory: int | None
    forecast_bytes: int
    context: int | None = None
    texts: int = 1


class Setting(_Part):
    """One cell of the experiment. ``threads`` None is the runtime's own choice."""

    id: str
    candidate: str
    series: SeriesName
    length: int
    threads: int | None
    cores: tuple[int, ...] = ()


class Times(_Part):
    """Times of one block in ms: ``points`` are all of them, or even quantiles when ``thinned``."""

    count: int = Field(ge=1)
    points: tuple[float, ...] = Field(min_length=1)
    thinned: bool
    median: float
    minimum: float
    cv: float
    core_cv: float


class Gate(_Part):
    """How the cool-down gate before a block went; ``probe_ratio`` is against the first probe."""

    waited_seconds: float
    thermal_status: int | None
    probe_ms: float | None
    probe_ratio: float | None
    passed: bool
    reason: str = ""


class Block(_Part):
    """Runs of one setting in one round, what surrounded them, and whether they count.

    ``clocks`` are the runner's own readings around the timed part; ``driver_cpu`` is processor
    time of this program per second while the block ran.
    """

    setting: str
    round: int
    started: str
    seconds: float
    gate: Gate
    before: dict[str, Any]
    after: dict[str, Any]
    clocks: tuple[dict[str, Any], ...] = ()
    times: Times | None = None
    cold_loads_ms: tuple[float, ...] = ()
    warm_loads_ms: tuple[float, ...] = ()
    memory_kb: dict[str, int] = Field(default_factory=dict)
    driver_cpu: float
    valid: bool
    reasons: tuple[str, ...] = ()


class Record(_Part):
    """A whole bench. ``stopped`` says why it is not complete."""

    schema_version: int = SCHEMA_VERSION
    kind: Literal["edgekit-bench"] = "edgekit-bench"
    complete: bool = False
    stopped: dict[str, Any] | None = None
    started: str
    finished: str | None = None
    place: str
    place_kind: Kind
    environment: dict[str, Any]
    software: dict[str, Any]
    plan: Plan
    candidates: tuple[Candidate, ...]
    settings: tuple[Setting, ...]
    order: tuple[tuple[str, ...], ...]
    first_probe_ms: float | None = None
    blocks: tuple[Block, ...] = ()
    sweep: tuple[dict[str, Any], ...] = ()
    warnings: tuple[str, ...] = ()
    summary: dict[str, Any] = Field(default_factory=dict)

    def candidate(self, name: str) -> Candidate:
        """The artifact with this id."""
        return next(item for item in self.candidates if item.id == name)

    def blocks_of(self, setting: str, *, valid: bool = True) -> list[Block]:
        """A setting's blocks, those that count only unless ``valid`` is false."""
        return [b for b in self.blocks if b.setting == setting and (b.valid or not valid)]


def write(path: Path, record: Record) -> None:
    """Write the record in one step: the name never holds half of one.

    Raises:
        CannotWrite: the place cannot be written.
        StorageFull: the disk is full; a record that was there is as it was.
    """
    data = dump_bytes(record.model_dump(mode="json"))
    with as_write_errors(path):
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, 0o644)
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def read(path: Path) -> Record:
    """Read a record.

    Raises:
        InputMissing: there is no such file.
        InputRefused: it is no record, damaged, or of a newer edgekit.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise _refused(path, f"it is longer than {MOST_BYTES} bytes")
        data = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise InputMissing(
            f"no such record: {path}", hint="Pass a file that edgekit bench wrote."
        ) from None
    except OSError as error:
        raise _refused(path, str(error.strerror)) from error
    except (ValueError, RecursionError):
        raise _refused(path, "it is not valid JSON") from None
    if not isinstance(data, dict) or data.get("kind") != "edgekit-bench":
        raise _refused(path, "it is of another kind")
    version = data.get("schema_version")
    if version != SCHEMA_VERSION:
        raise InputRefused(
            f"{path} has schema version {str(version)[:20]}, this edgekit reads {SCHEMA_VERSION}",
            hint="Measure again with this edgekit, or read it with the one that wrote it.",
        )
    try:
        record = Record.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise _refused(path, f"at {where}: {first['msg']}") from None
    _refuse_loose_ends(path, record)
    return record


def _refuse_loose_ends(path: Path, record: Record) -> None:
    candidates = {item.id for item in record.candidates}
    settings = {item.id for item in record.settings}
    if any(item.candidate not in candidates for item in record.settings):
        raise _refused(path, "a setting names an artifact that is not in it")
    if any(block.setting not in settings for block in record.blocks):
        raise _refused(path, "a block names a setting that is not in it")


def _refused(path: Path, reason: str) -> InputRefused:
    return InputRefused(
        f"{path} is not a record of a bench: {reason}",
        hint="Pass a file that edgekit bench wrote.",
        path=str(path),
    )

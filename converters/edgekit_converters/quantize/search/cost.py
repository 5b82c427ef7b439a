"""Milliseconds of a mix: a table of XNNPACK's linear layers by shape, bits and length of the text.

Measured here (``timing``; one thread's processor time), and kept in the user's cache folder for one
processor and one set of versions. Only differences between the bits of one shape mean something,
since every figure holds the same overhead: a forecast starts from one artifact that was measured
whole. None of it says anything of a phone.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from edgekit.bundle.canonical import dump_bytes
from edgekit.bundle.disk import write_error
from edgekit_converters.quantize.plan import Setting, Unit
from edgekit_converters.quantize.search.timing import Kind, Times, measure

LENGTHS = (16, 64, 128)

_SCHEMA = 2


@dataclass(frozen=True)
class Forecast:
    """Predicted against measured times of whole artifacts.

    Attributes:
        predicted: milliseconds by artifact.
        measured: milliseconds by artifact.
        error: largest relative error of a prediction; the artifact it starts from has none.
    """

    predicted: dict[str, float]
    measured: dict[str, float]
    error: float


def kind(unit: Unit, setting: Setting) -> Kind:
    """What a unit's kernel sees under one setting."""
    return Kind(unit.rows, unit.columns, setting.bits, setting.group)


def kinds(
    groups: Mapping[str, Sequence[Unit]], settings: Callable[[Unit], Sequence[Setting]]
) -> list[Kind]:
    """Every kind that the groups' linears may become, in a fixed order."""
    found = {
        kind(unit, setting)
        for members in groups.values()
        for unit in members
        if unit.kind == "linear"
        for setting in settings(members[0])
    }
    return sorted(found, key=lambda one: (one.rows, one.columns, one.bits, one.group))


def of_options(
    groups: Mapping[str, Sequence[Unit]],
    settings: Callable[[Unit], Sequence[Setting]],
    times: Times,
    length: int,
) -> dict[tuple[str, str], float]:
    """Milliseconds of every group under every setting, by group and amount.

    A table's lookup copies one row a token and counts as nothing.
    """
    return {
        (name, setting.label): sum(
            times[kind(unit, setting), length] for unit in members if unit.kind == "linear"
        )
        for name, members in groups.items()
        for setting in settings(members[0])
    }


def forecast(sums: Mapping[str, float], measured: Mapping[str, float], anchor: str) -> Forecast:
    """Predict whole artifacts from one that was measured.

    Args:
        sums: milliseconds of all groups together, by artifact.
        measured: milliseconds of the whole artifacts, from one interleaved run.
        anchor: the artifact that what is no linear is taken from.
    """
    rest = measured[anchor] - sums[anchor]
    predicted = {name: rest + own for name, own in sums.items()}
    errors = [abs(predicted[name] / measured[name] - 1) for name in measured if name != anchor]
    return Forecast(predicted, dict(measured), max(errors, default=0.0))


def table(
    wanted: Collection[Kind],
    lengths: Sequence[int] = LENGTHS,
    seconds: float = 20.0,
    fresh: bool = False,
) -> Times:
    """Times of the wanted kinds, measured together or read from the cache.

    Args:
        wanted: kinds of linears.
        lengths: tokens.
        seconds: of timing, besides making the programs.
        fresh: measure whatever the cache holds.

    Raises:
        CannotWrite, StorageFull: the cache folder cannot be written; EDGEKIT_HOME moves it.
    """
    place = cache_file()
    needed = [(one, length) for one in wanted for length in lengths]
    known = {} if fresh else _read(place)
    if all(_entry(*one) in known for one in needed):
        return {one: known[_entry(*one)] for one in needed}
    # All again: figures of two runs do not compare.
    times = measure(wanted, lengths, seconds)
    _write(place, known | {_entry(*one): took for one, took in times.items()})
    return times


def cache_file() -> Path:
    """Where this machine's table is kept: in EDGEKIT_HOME, else in the user's cache folder."""
    home = os.environ.get("EDGEKIT_HOME")
    cache = os.environ.get("XDG_CACHE_HOME")
    if home:
        root = Path(home).absolute()
    else:
        root = (Path(cache).absolute() if cache else Path.home() / ".cache") / "edgekit"
    key = hashlib.sha256(dump_bytes(_conditions())).hexdigest()
    return root / "latency" / f"{key[:16]}.json"


def _conditions() -> dict[str, Any]:
    """What the times hold for."""
    return {
        "schema": _SCHEMA,
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "executorch": version("executorch"),
        "torch": version("torch"),
    }


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    return names[0] if names else platform.processor()


def _entry(one: Kind, length: int) -> str:
    return f"{one.label}, {length} tokens"


def _read(place: Path) -> dict[str, float]:
    """The kept table; empty if there is none or it is damaged."""
    try:
        times = json.loads(place.read_bytes())["milliseconds"]
        return {str(name): float(took) for name, took in times.items() if float(took) > 0}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _write(place: Path, times: Mapping[str, float]) -> None:
    data = dump_bytes({**_conditions(), "milliseconds": dict(times)})
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        part = place.with_name(f"{place.name}.{os.getpid()}")
        part.write_bytes(data)
        part.replace(place)
    except OSError as error:
        refused = write_error(error, place.parent)
        refused.hint = "Set EDGEKIT_HOME to a folder with room that you may write to."
        raise refused from error

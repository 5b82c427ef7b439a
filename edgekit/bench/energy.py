"""Charge and energy of one inference from the phone's fuel gauge, where it can tell.

The rule: the phone runs on its battery before and after every block of the setting, the blocks take
60 s or more together, and the charge counter fell by 10 of its steps or more. A step is the
smallest change that the counter showed in the whole run. The figure is of the whole phone, screen,
loading and warm-ups included. A current that is read between blocks says nothing of the blocks and
is not used.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from edgekit.bench.record import Block

LEAST_SECONDS = 60.0
LEAST_STEPS = 10
_MICROAMPERE_HOUR = 3.6e-3  # coulomb

NOT_TOLD = "not told"
TOO_SHORT = "too short to tell"
CHARGING = "not told: the phone was charging"


def per_inference(blocks: Sequence[Block], step: float | None) -> dict[str, Any]:
    """What one inference takes: ``microampere_hours``, ``millijoules`` or why not in ``said``.

    Args:
        blocks: of one setting, those that count.
        step: of the counter, from ``smallest_step``.
    """
    readings = [(_counter(b.before), _counter(b.after)) for b in blocks]
    if not blocks or any(first is None or last is None for first, last in readings):
        return {"said": NOT_TOLD}
    if any(part.get("charging") is not False for b in blocks for part in (b.before, b.after)):
        return {"said": CHARGING}
    fall = sum(first - last for first, last in readings if first is not None and last is not None)
    seconds = sum(block.seconds for block in blocks)
    if step is None or seconds < LEAST_SECONDS or fall < LEAST_STEPS * step:
        return {"said": TOO_SHORT}
    count = sum(block.times.count for block in blocks if block.times is not None)
    if count == 0:
        return {"said": NOT_TOLD}
    volts = _volts(blocks)
    charge = fall / count
    energy = None if volts is None else charge * _MICROAMPERE_HOUR * volts * 1e3
    return {"said": "", "microampere_hours": charge, "millijoules": energy}


def smallest_step(blocks: Sequence[Block]) -> float | None:
    """The smallest change of the charge counter between two readings; None if it never moved."""
    values = [_counter(part) for block in blocks for part in (block.before, block.after)]
    told = [value for value in values if value is not None]
    changes = [abs(b - a) for a, b in pairwise(told) if a != b]
    return min(changes, default=None)


def _counter(reading: dict[str, Any]) -> float | None:
    return _number(reading.get("charge_counter"))


def _volts(blocks: Sequence[Block]) -> float | None:
    told = [_number(part.get("battery_volts")) for b in blocks for part in (b.before, b.after)]
    values = [value for value in told if value is not None and 2 < value < 20]
    return sum(values) / len(values) if values else None


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

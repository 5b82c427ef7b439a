"""Every phone at once: what it is and how it is, or why it cannot be used."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from edgekit.device import health, inventory, phone
from edgekit.device.adb import Adb
from edgekit.device.inventory import Listed
from edgekit.device.shell import Shell
from edgekit.errors import EdgekitError

_AT_ONCE = 8


@dataclass(frozen=True)
class Surveyed:
    """One phone of the list.

    Attributes:
        listed: as adb lists it.
        phone, health: what it answered; None when it is not usable.
        error: why not; None when it is.
    """

    listed: Listed
    phone: phone.Phone | None
    health: health.Health | None
    error: EdgekitError | None

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            **self.listed.as_dict(),
            "usable": self.error is None,
            "phone": self.phone.as_dict() if self.phone else None,
            "health": self.health.as_dict() if self.health else None,
            "error": self.error.as_dict() if self.error else None,
        }


def survey(adb: Adb) -> list[Surveyed]:
    """Ask every phone that adb lists; one that fails does not stop the others.

    Raises:
        DeviceMissing: adb lists none.
        AdbServerFailed: the adb server does not answer.
    """
    rows = inventory.listed(adb)
    if not rows:
        raise inventory.worst(rows)
    with ThreadPoolExecutor(min(_AT_ONCE, len(rows))) as pool:
        return list(pool.map(lambda row: _ask(adb, row), rows))


def status(found: list[Surveyed]) -> int:
    """0 when at least one phone is usable, else the exit status of the worst."""
    statuses = [one.error.exit_status if one.error else 0 for one in found]
    return 0 if 0 in statuses else max(statuses)


def _ask(adb: Adb, row: Listed) -> Surveyed:
    if not row.usable:
        return Surveyed(row, None, None, row.error())
    shell = Shell(adb, row.serial)
    try:
        return Surveyed(row, phone.about(shell), health.read(shell), None)
    except EdgekitError as error:
        return Surveyed(row, None, None, error)

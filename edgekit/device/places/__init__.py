"""Where a job can run: this machine, an emulated arm64 processor, a phone. One protocol for all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

from edgekit.device.job import Job
from edgekit.device.protocol import Event

Kind = Literal["host", "emulated", "phone"]


class Place(Protocol):
    """A folder on some machine, and the runners to work in it. Ends as a context manager."""

    @property
    def name(self) -> str:
        """Which one, for people: ``x86_64``, ``cortex-a76 under qemu``, a phone's model."""

    @property
    def kind(self) -> Kind:
        """What may be concluded: only a phone's times are a phone's."""

    def put(self, files: Mapping[str, Path]) -> None:
        """Copy local files into the working folder and check what arrived.

        Args:
            files: name in the working folder -> local file. A name that is taken is replaced.

        Raises:
            InputMissing: a local file is not there.
            SpecError: a name is not a plain file name.
            StorageFull, CannotWrite, TransferBroken: it did not arrive as it left.
        """

    def run(
        self,
        job: Job,
        *,
        timeout: float,
        on_event: Callable[[Event], None] = lambda event: None,
    ) -> Event:
        """Run one job to its end.

        Args:
            job: names files that ``put`` brought here.
            timeout: seconds for the whole job.
            on_event: told of each event as it comes.

        Returns:
            The ``done`` event.

        Raises:
            EdgekitError: what ``edgekit.device.protocol.drive`` raises; on a phone also its faults.
        """

    def fetch(self, name: str, into: Path) -> None:
        """Copy a file that a job wrote to ``into``, a local file.

        Raises:
            InputMissing: there is no such file.
            SpecError: the name is not a plain file name.
            StorageFull, CannotWrite, TransferBroken: it did not arrive as it left.
        """

    def environment(self) -> dict[str, Any]:
        """What stays the same while the place is open: machine, system, memory, the runners."""

    def health(self) -> dict[str, Any]:
        """What changes: heat, battery, clocks, free memory. None where the place does not say."""

    def close(self) -> None:
        """Remove the working folder and give back everything that was changed. May be repeated."""

    def __enter__(self) -> Place:
        """The place itself."""

    def __exit__(self, *failure: object) -> None:
        """Close it."""

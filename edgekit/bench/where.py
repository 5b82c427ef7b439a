"""Which place a word means; it is opened only when everything else was checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edgekit.device.app import check_package
from edgekit.device.places import Place
from edgekit.errors import SpecError

PLACES = ("phone", "host", "arm64")


OpenPlace = Callable[[Sequence[str]], Place]


def opener(name: str, serial: str | None = None, app: str | None = None) -> OpenPlace:
    """A function that opens the place called ``name``, given the runtimes that will be measured.

    Args:
        name: ``phone``, ``host`` or ``arm64`` (emulated).
        serial: which phone; the only one unless given.
        app: measure inside this app of the phone.

    Raises:
        SpecError: there is no such place, or a serial or an app was given for one that has none.
    """
    if name not in PLACES:
        raise SpecError(f"no place called {name!r}", hint=f"Known: {', '.join(PLACES)}.")
    if serial is not None and name != "phone":
        raise SpecError(
            f"--serial names a phone, and the place is {name}",
            hint="Leave --place out, or leave --serial out.",
        )

    if app is not None:
        return _in_app(check_package(app), name, serial)

    def open_place(runtimes: Sequence[str]) -> Place:
        if name == "phone":
            from edgekit.device import runner
            from edgekit.device.places.phone import MACHINE, open_phone

            for runtime in runtimes:  # before the phone is touched
                runner.built(MACHINE, runtime)
            return open_phone(serial)
        if name == "host":
            from edgekit.device.places.host import open_host

            return open_host(runtimes)
        from edgekit.device.places.emulated import open_emulated

        return open_emulated(runtimes=runtimes)

    return open_place


def _in_app(package: str, name: str, serial: str | None) -> OpenPlace:
    if name != "phone":
        raise SpecError(
            f"--app names an app of a phone, and the place is {name}",
            hint="Leave --place out, or leave --app out.",
        )

    def open_place(runtimes: Sequence[str]) -> Place:
        from edgekit.device.places.app import open_app, require

        for runtime in runtimes:  # before the phone is touched
            require(runtime)
        return open_app(package, serial)

    return open_place

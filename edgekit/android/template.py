"""Where the Android sources lie: in the installed package, or in a checkout of the repository."""

from __future__ import annotations

from pathlib import Path

from edgekit.errors import Unavailable

_PLACES = (
    Path(__file__).parent / "template",
    Path(__file__).parents[2] / "android-demo",
)
_MARK = "settings.gradle.kts"
_PASSED = {"target", "build", ".gradle", ".idea", "natives", "assets", "kotlin-js-store"}
_PASSED_FILES = {"debug.keystore", "local.properties"}


def folder() -> Path:
    """The folder of the Android sources.

    Raises:
        Unavailable: this installation came without them.
    """
    for place in _PLACES:
        if (place / _MARK).is_file():
            return place
    raise Unavailable(
        "the Android sources are not in this installation",
        hint="Install edgekit from its wheel, or work in a checkout of its repository.",
    )


def files(modules: tuple[str, ...]) -> dict[str, Path]:
    """Relative name -> file, of the build files and of ``modules``, without tests and outputs."""
    root = folder()
    others = {path.name for path in root.iterdir() if (path / "pom.xml").is_file()} - set(modules)
    found = {}
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        passed = _PASSED & set(parts) or parts[0] in others or path.name in _PASSED_FILES
        tested = len(parts) > 2 and parts[1:3] == ("src", "test")
        if path.is_file() and not passed and not tested:
            found["/".join(parts)] = path
    return found

"""Python packages: which extra brings which, the known-good versions, what is installed."""

from __future__ import annotations

import re
import shlex
import sys
from importlib import metadata
from pathlib import Path

from edgekit.doctor import Check, Status
from edgekit.errors import Unavailable

CONSTRAINTS = Path(__file__).parent.parent / "constraints.txt"
CONVERT = "convert"
_REQUIREMENT = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)[^;]*(?:;.*extra\s*==\s*['\"]([^'\"]+))?")


def canonical(name: str) -> str:
    """A package's or module's name in the form that package metadata compares."""
    return re.sub(r"[-_.]+", "-", name).lower()


def requirements() -> dict[str, tuple[str, ...]]:
    """Extra -> the packages it needs; the empty name is what edgekit itself needs."""
    found: dict[str, list[str]] = {}
    for line in metadata.requires("edgekit") or []:
        match = _REQUIREMENT.match(line)
        if match:
            found.setdefault(match.group(2) or "", []).append(canonical(match.group(1)))
    return {extra: tuple(names) for extra, names in found.items()}


def pins() -> dict[str, str]:
    """Package -> the version that edgekit is tested with."""
    lines = CONSTRAINTS.read_text(encoding="utf-8").splitlines()
    pairs = (line.split("#")[0].strip().partition("==") for line in lines)
    return {canonical(name): version for name, equals, version in pairs if equals}


def installed(package: str) -> str | None:
    """The version that is installed, or None. Nothing is imported."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def install_command(extra: str) -> str:
    """What to type to get an extra."""
    return f"pip install 'edgekit[{extra}]'"


def extra_of(module: str) -> str | None:
    """The extra that brings a module: ``convert`` where several do; None when none does."""
    package = canonical(module.partition(".")[0])
    having = {extra: names for extra, names in requirements().items() if package in names}
    # The extra that a job is named after, else the one that brings least besides.
    return CONVERT if CONVERT in having else min(having, key=lambda e: len(having[e]), default=None)


def explain_import_error(error: ImportError) -> Unavailable | None:
    """The typed failure for a package that is missing or cannot be loaded.

    Returns:
        None when the module is none of the packages that edgekit asks for: that is our bug.
    """
    root = (error.name or "").partition(".")[0]
    extra = extra_of(root)
    if extra is not None and installed(canonical(root)) is None:
        command = install_command(extra) if extra else f"pip install {canonical(root)}"
        return Unavailable(
            f"{root} is not installed, and this command needs it",
            hint=f"Install it: {command}",
            package=root,
        )
    if extra is not None or (error.path or "").endswith((".so", ".dylib", ".pyd")):
        return Unavailable(
            f"{root or 'a native library'} is installed but cannot be loaded: {error}",
            hint="Its version may not fit the others; run edgekit doctor.",
        )
    return None


def checks() -> list[Check]:
    """Every pinned or required package against what is installed, then the extras as a whole."""
    needs = requirements()
    known_good = pins()
    names = sorted({*known_good, *(name for group in needs.values() for name in group)})
    return [_package(name, known_good.get(name, ""), needs) for name in names] + [
        _extra(extra, needs[extra]) for extra in sorted(needs) if extra
    ]


def _package(name: str, wanted: str, needs: dict[str, tuple[str, ...]]) -> Check:
    found = installed(name)
    for_export = name in (*needs.get("", ()), *needs.get(CONVERT, ()))
    if found is None:
        extra = extra_of(name)
        return Check(
            "packages",
            name,
            "missing" if for_export else "absent",
            "not installed",
            wanted,
            (install_command(extra) if extra else _pip(name, wanted)) if for_export else "",
            for_export,
        )
    # A local label such as +cpu names a build of the same version.
    if wanted and found.partition("+")[0] != wanted:
        return Check("packages", name, "warning", found, wanted, _pip(name, wanted), for_export)
    return Check("packages", name, "ok", found, wanted, "", for_export)


def _extra(extra: str, names: tuple[str, ...]) -> Check:
    lacking = [name for name in names if installed(name) is None]
    if not lacking:
        return Check("extras", extra, "ok", "installed")
    status: Status = "missing" if extra == CONVERT else "absent"
    found = f"lacks {', '.join(lacking)}"
    return Check("extras", extra, status, found, "", install_command(extra))


def _pip(name: str, version: str) -> str:
    requirement = f"{name}=={version}" if version else name
    return f"{shlex.quote(sys.executable)} -m pip install {requirement}"

"""What ``edgekit android`` shows."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.cli.output import Output
from edgekit.errors import CheckFailed

if TYPE_CHECKING:
    from edgekit.android.checks import Check
    from edgekit.android.maven import Built
    from edgekit.android.project import Added, Engine

_SIGNS = {"ok": "ok", "note": "note", "failed": "FAILED"}


def engine(name: str) -> Engine:
    """A name that click has checked."""
    return "executorch" if name == "executorch" else "onnx"


def project(output: Output, folder: Path) -> None:
    """A project that was made."""
    output.value("project", str(folder))
    output.say(f"Build it: edgekit android build {folder}, or open it in Android Studio.")


def added(output: Output, found: Added) -> None:
    """A bundle in an app, and what else the app needs."""
    if output.as_json:
        output.document(asdict(found) | {"folder": str(found.folder)})
        return
    output.text(str(found.folder))
    output.say(f"In the module's build.gradle.kts:\n\n{found.gradle}\n")
    output.say(f"In the app:\n\n{found.kotlin}\n")


def built(output: Output, found: Built) -> None:
    """An APK that was built."""
    if output.as_json:
        output.document(asdict(found) | {"apk": str(found.apk), "bytes": found.apk.stat().st_size})
        return
    output.text(str(found.apk))
    output.say(f"{found.apk.stat().st_size / 1e6:.1f} MB, signed for debugging.")
    if found.lacking:
        output.say(
            f"WITHOUT native libraries ({found.lacking}): it shows its screens and cannot answer. "
            "Give them with --libs FILE.aar."
        )


def checked(output: Output, apk: Path, checks: list[Check], *, strict: bool) -> None:
    """What holds of an APK.

    Raises:
        CheckFailed: something does not.
    """
    wrong = [
        one.name for one in checks if one.state == "failed" or (strict and one.state == "note")
    ]
    if output.as_json:
        if not wrong:
            output.document({"apk": str(apk), "checks": [asdict(one) for one in checks]})
    else:
        width = max(len(one.name) for one in checks)
        for one in checks:
            output.text(f"{_SIGNS[one.state]:6}  {one.name:{width}}  {one.said}")
    if wrong:
        raise CheckFailed(
            f"{apk} fails: {', '.join(wrong)}", checks=[asdict(one) for one in checks]
        )

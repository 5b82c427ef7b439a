"""Build a project into a signed debug APK with Maven: no Android SDK, no Android Studio."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit.bundle.paths import safe_name
from edgekit.errors import CheckFailed, InputMissing, InputRefused, Unavailable, Unsupported

_APK = "app/target/app-debug.apk"
_NATIVES = "app/natives"
_LIBRARY = re.compile(r"(?:.*/)?jni/([a-z0-9_-]+)/([A-Za-z0-9_.+-]+\.so)")
_ARCHIVE = "com.microsoft.onnxruntime:onnxruntime-android:{}:aar"
_COPY = "org.apache.maven.plugins:maven-dependency-plugin:{}:copy"
_MOST_LIBRARY = 1 << 30
_LEAST_JDK = 17
_ABIS = ("arm64-v8a", "x86_64")


@dataclass(frozen=True)
class Built:
    """A signed debug APK, its native libraries, and why there are none where there are none."""

    apk: Path
    libraries: tuple[str, ...]
    lacking: str


def build(
    project: Path,
    *,
    archives: Sequence[Path] = (),
    offline: bool = False,
    say: Callable[[str], None] = lambda line: None,
    timeout: float = 1_800.0,
) -> Built:
    """Compile, dex, pack, align and sign.

    Args:
        project: what ``edgekit android new`` made.
        archives: ``.aar`` files with native libraries; asked of Maven unless given.
        offline: whether Maven may not ask for what it has not.
        say: told of each step.
        timeout: seconds for all of it.

    Raises:
        InputMissing: there is no such project, or archive.
        Unavailable: Maven or a JDK 17 is not here.
        Unsupported: the project is for ExecuTorch, which Maven cannot build.
        CheckFailed: it does not compile; the message ends as Maven's does.
    """
    pom = project / "pom.xml"
    if not pom.is_file() or not (project / "app/android.xml").is_file():
        raise InputMissing(
            f"{project} is no project that Maven builds",
            hint="edgekit android new DIR --bundle BUNDLE --package com.example.app",
        )
    if (project / "executorch").is_dir():
        raise Unsupported(
            f"{project} is for ExecuTorch, whose Android archive this build cannot fetch",
            hint="Open it in Android Studio, or make it with --engine onnx.",
        )
    _require_tools()
    flags = ["-o"] if offline else []
    lacking = _natives(project, archives, flags, say)
    say("Building with Maven")
    done = _maven(["-f", str(pom), *flags, "package", "-DskipTests"], timeout)
    apk = project / _APK
    if done.returncode or not apk.is_file():
        raise CheckFailed(f"the build failed:\n{_last(done.stdout + done.stderr)}", hint="")
    found = sorted(
        p.relative_to(project / _NATIVES).as_posix() for p in (project / _NATIVES).rglob("*.so")
    )
    return Built(apk, tuple(found), "" if found else lacking)


def _require_tools() -> None:
    hint = "Debian: sudo apt-get install maven openjdk-17-jdk-headless"
    if shutil.which("mvn") is None:
        raise Unavailable("Maven is not installed", hint=hint)
    java = shutil.which("javac")
    said = "" if java is None else _output([java, "-version"])
    found = re.search(r"javac (\d+)", said)
    if not found or int(found[1]) < _LEAST_JDK:
        raise Unavailable(f"a JDK of version {_LEAST_JDK} or newer is not installed", hint=hint)


def _natives(
    project: Path, archives: Sequence[Path], flags: list[str], say: Callable[[str], None]
) -> str:
    """Unpack native libraries into the project; why there are none, where there are none."""
    place = project / _NATIVES
    for archive in archives:
        if not archive.is_file():
            raise InputMissing(f"no such archive: {archive}")
    if archives:
        for archive in archives:
            _unpack(archive, place)
        return "the archives hold no native libraries"
    if any(place.rglob("*.so")):
        return ""
    pom = (project / "pom.xml").read_text(encoding="utf-8")
    versions = dict(re.findall(r"<(onnxruntime|dependency)\.version>([\w.]+)</", pom))
    wanted = _ARCHIVE.format(versions.get("onnxruntime", ""))
    say(f"Asking Maven for {wanted}")
    fetched = project / "app/target/archives"
    words = [_COPY.format(versions.get("dependency", "")), f"-Dartifact={wanted}"]
    done = _maven(
        ["-f", str(project / "pom.xml"), "-N", *flags, *words, f"-DoutputDirectory={fetched}"],
        600.0,
    )
    found = sorted(fetched.glob("*.aar")) if fetched.is_dir() else []
    if done.returncode or not found:
        return f"Maven could not fetch {wanted}"
    for archive in found:
        _unpack(archive, place)
    return ""


def _unpack(archive: Path, place: Path) -> None:
    try:
        with zipfile.ZipFile(archive) as source:
            for info in source.infolist():
                match = _LIBRARY.fullmatch(info.filename)
                if match and match[1] in _ABIS and info.file_size <= _MOST_LIBRARY:
                    target = place / match[1] / safe_name(match[2])
                    target.parent.mkdir(parents=True, exist_ok=True)
                    partial = target.with_suffix(".partial")
                    with source.open(info) as given, partial.open("wb") as made:
                        shutil.copyfileobj(given, made)
                    partial.replace(target)
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise InputRefused(f"{archive} is no .aar: {error}") from None


def _maven(words: list[str], timeout: float) -> subprocess.CompletedProcess[str]:
    # Maven is gone before a better compiler of its own code would have paid for itself.
    environment = {"MAVEN_OPTS": "-Xmx1200m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC", **os.environ}
    try:
        return subprocess.run(
            ["mvn", "-B", "-q", *words],
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            env=environment,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise CheckFailed(f"Maven did not finish in {timeout:.0f} s", hint="Try again.") from None


def _output(words: list[str]) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def _last(text: str) -> str:
    return "\n".join(_problems(text)) or text[-2000:]


def _problems(text: str) -> Iterator[str]:
    lines = [line for line in text.splitlines() if "ERROR" in line and "[Help" not in line]
    yield from (line.replace("[ERROR] ", "") for line in lines[:12])

"""A runtime's headers and libraries for a machine, from its wheel.

For this machine's own architecture the installed package is used; for another one, pip downloads
the wheel of the same version into the cache. Its digest is recorded at the first download and held
against the file ever after.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import stat
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path

from edgekit.bundle.canonical import dump_bytes
from edgekit.bundle.hashing import sha256_file
from edgekit.bundle.paths import safe_join
from edgekit.device.protocol import clean
from edgekit.errors import InternalError, Unavailable, UnsafeInput

# Package -> what is wanted of its wheel. onnxruntime's has no headers.
_PARTS = {
    "executorch": ("executorch/include/", "executorch/lib/"),
    "onnxruntime": ("onnxruntime/capi/libonnxruntime.so.",),
}
_MOST_BYTES = 512 * 1024 * 1024
_PIP_SECONDS = 900


@dataclass(frozen=True)
class Sdk:
    """Where the headers and libraries come from.

    Attributes:
        package: ``executorch`` or ``onnxruntime``.
        version: the package's version.
        origin: file name of the wheel, or of the installed package's record.
        sha256: digest of ``origin``.
        path: the wheel, or the folder of the installed package.
    """

    package: str
    version: str
    origin: str
    sha256: str
    path: Path

    def unpack(self, into: Path) -> Path:
        """The package's folder; a wheel is unpacked under ``into``.

        Raises:
            UnsafeInput: the wheel holds a link, a path that leaves its folder, or too much.
        """
        if self.path.is_dir():
            return self.path
        _unpack(self.path, into, _PARTS[self.package])
        return into / self.package


def pinned_version(package: str = "executorch") -> str:
    """A package's version in ``constraints.txt``: the runner and the exporter must agree."""
    text = resources.files("edgekit").joinpath("constraints.txt").read_text("utf-8")
    for line in text.splitlines():
        name, _, version = line.partition("==")
        if name.strip() == package:
            return version.strip()
    raise InternalError(f"constraints.txt does not pin {package}")


def locate(machine: str, cache: Path, *, package: str = "executorch", fresh: bool = False) -> Sdk:
    """The SDK for ``machine``, downloaded if it must be. One caller a cache at a time.

    Args:
        machine: ``aarch64`` or ``x86_64``.
        cache: folder for downloaded wheels.
        package: ``executorch`` or ``onnxruntime``.
        fresh: download again and record the new digest.

    Raises:
        Unavailable: pip failed (no network, no such wheel), or the package is not installed.
        UnsafeInput: the downloaded wheel is not the one that was recorded.
        OSError: the cache cannot be written.
    """
    version = pinned_version(package)
    if machine == platform.machine():
        return _installed(package, version)
    record = cache / f"{package}-{version}-{machine}.json"
    known = None if fresh else _recorded(record)
    if known is not None:
        path = safe_join(cache, known["file"])
        if path.is_file() and sha256_file(path) == known["sha256"]:
            return Sdk(package, version, known["file"], known["sha256"], path)
    path = _download(package, version, machine, cache)
    digest = sha256_file(path)
    if known is not None and digest != known["sha256"]:
        path.unlink()
        raise UnsafeInput(
            f"the {package} wheel downloaded now has sha256 {digest[:16]}…, "
            f"{known['sha256'][:16]}… was recorded before",
            hint="If you know why it changed: edgekit runner build --force",
        )
    record.write_bytes(dump_bytes({"file": path.name, "sha256": digest}))
    return Sdk(package, version, path.name, digest, path)


def _installed(package: str, version: str) -> Sdk:
    extra = "onnx" if package == "onnxruntime" else package
    hint = f'Run: pip install "edgekit[{extra}]"'
    try:
        found = metadata.distribution(package)
    except metadata.PackageNotFoundError:
        raise Unavailable(f"{package} is not installed", hint=hint) from None
    if found.version != version:
        raise Unavailable(f"{package} {found.version} is installed, want {version}", hint=hint)
    # The record lists the digest of every file of the wheel.
    record = found.read_text("RECORD") or ""
    digest = hashlib.sha256(record.encode()).hexdigest()
    return Sdk(package, version, "RECORD", digest, Path(str(found.locate_file(package))))


def _recorded(record: Path) -> dict[str, str] | None:
    try:
        data = json.loads(record.read_bytes())
        return {"file": str(data["file"]), "sha256": str(data["sha256"])}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _download(package: str, version: str, machine: str, cache: Path) -> Path:
    cache.mkdir(parents=True, exist_ok=True)
    for dead in cache.glob(".download-*"):  # of a run that was killed
        shutil.rmtree(dead, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".download-") as folder:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
        command += ["--platform", f"manylinux_2_28_{machine}", "--python-version", "311"]
        command += ["--implementation", "cp", "--no-input", "--disable-pip-version-check"]
        command += ["--progress-bar", "off", "--dest", folder, f"{package}=={version}"]
        _pip(command, f"{package} {version}", machine)
        wheels = sorted(Path(folder).glob(f"{package}-*.whl"))
        if len(wheels) != 1:
            raise Unavailable(f"pip fetched {len(wheels)} {package} wheels, one was asked for")
        final = cache / wheels[0].name
        os.replace(wheels[0], final)
    return final


def _pip(command: list[str], what: str, machine: str) -> None:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_PIP_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"pip did not finish within {_PIP_SECONDS} s") from None
    if done.returncode != 0:
        lines = [line for line in done.stdout.splitlines() if line.strip()]
        last = clean(lines[-1]) if lines else f"status {done.returncode}"
        raise Unavailable(
            f"cannot fetch {what} for {machine}; pip said: {last}",
            hint="The first build needs the network (or PIP_FIND_LINKS) and pip in this "
            "environment: python -m ensurepip",
        )


def _unpack(wheel: Path, into: Path, parts: tuple[str, ...]) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            members = [m for m in archive.infolist() if m.filename.startswith(parts)]
            if sum(member.file_size for member in members) > _MOST_BYTES:
                raise UnsafeInput(f"{wheel.name} unpacks to more than 512 MiB")
            for member in members:
                _unpack_member(archive, member, into)
    except (zipfile.BadZipFile, EOFError) as error:
        raise UnsafeInput(f"{wheel.name} is not a sound wheel: {error}") from error


def _unpack_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, into: Path) -> None:
    if member.is_dir():
        return
    if stat.S_ISLNK(member.external_attr >> 16):
        raise UnsafeInput(f"the wheel holds a link: {member.filename!r}")
    target = safe_join(into, member.filename)
    target.parent.mkdir(parents=True, exist_ok=True)
    # read() checks the CRC and gives no more than the size in the directory.
    target.write_bytes(archive.read(member))

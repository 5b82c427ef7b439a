"""Read a bundle's manifest and compare its files with it. Nothing native is touched here."""

from __future__ import annotations

import json
import math
import os
import stat
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from edgekit.bundle.canonical import dump_bytes
from edgekit.bundle.contents import listing_problems, scan, unsafe_names
from edgekit.bundle.hashing import sha256_file
from edgekit.bundle.manifest import MANIFEST_NAME, SCHEMA_VERSION, FileEntry, Manifest
from edgekit.bundle.seal import seal_digest
from edgekit.errors import (
    BundleCorrupt,
    BundleTooNew,
    InputMissing,
    PermissionRefused,
    UnsafeInput,
)

_MANIFEST_LIMIT = 4 * 2**20
_TOLD = 10


def load_manifest(folder: Path) -> Manifest:
    """The manifest of a bundle, complete and as it was sealed.

    Raises:
        InputMissing: there is no such folder.
        BundleTooNew: a newer edgekit wrote it.
        BundleCorrupt: the manifest is missing, damaged, changed or not valid.
        UnsafeInput: it names a file outside the folder.
        PermissionRefused: the system denies reading it.
    """
    if not os.path.exists(folder):
        raise InputMissing(
            f"no such bundle: {folder}",
            hint="Pass the folder that edgekit export wrote.",
            path=str(folder),
        )
    if not folder.is_dir():
        raise BundleCorrupt(
            f"{folder} is a file, not a bundle",
            hint="Pass the folder that edgekit export wrote.",
            path=str(folder),
        )
    path = folder / MANIFEST_NAME
    raw = _read_bounded(path)
    data = _parse(raw, path)
    _check_version(data, path)
    try:
        manifest = Manifest.model_validate_json(raw, strict=True)
    except ValidationError as error:
        raise _corrupt(path, _in_words(error)) from None
    _check_seal(raw, data, path)
    if problems := unsafe_names(manifest):
        raise UnsafeInput(
            f"{path}: {_list(problems)}",
            hint="Do not use this bundle: a name in it points outside its folder.",
            problems=problems,
        )
    return manifest


def check_files(folder: Path, manifest: Manifest) -> None:
    """Compare every file of a bundle with its manifest: nothing changed, extra, missing or linked.

    Raises:
        BundleCorrupt: something differs; all differences are in ``details["problems"]``, the first
            ten in the message.
        UnsafeInput: the manifest names a file outside the folder.
        PermissionRefused: the system denies listing the folder.
    """
    unsafe = unsafe_names(manifest)
    problems = unsafe + listing_problems(manifest)
    try:
        found = scan(folder)
    except PermissionError as error:
        raise PermissionRefused(f"cannot list {error.filename}: {error.strerror}") from error
    except OSError as error:
        raise BundleCorrupt(f"cannot list {folder}: {error.strerror}") from error
    problems += [f"{path!r} is {what}" for path, what in sorted(found.strange.items())]
    listed = {entry.path for entry in manifest.files}
    problems += [f"{path!r} is extra" for path in sorted(found.files.keys() - listed)]
    for entry in manifest.files:
        if entry.path in found.files:
            problems += _file_problems(folder, entry, found.files[entry.path])
        elif entry.path not in found.strange and entry.path != MANIFEST_NAME:
            problems.append(f"{entry.path!r} is missing")
    if problems:
        kind = UnsafeInput if unsafe else BundleCorrupt
        raise kind(
            f"{folder} does not match its manifest: {_list(problems)}",
            hint=BundleCorrupt.default_hint,
            problems=problems,
        )


def _file_problems(folder: Path, entry: FileEntry, size: int) -> list[str]:
    if size != entry.bytes:
        return [f"{entry.path!r} has {size} bytes, not {entry.bytes}"]
    try:
        same = sha256_file(folder / entry.path) == entry.sha256
    except OSError as error:
        return [f"{entry.path!r} cannot be read: {error.strerror}"]
    return [] if same else [f"{entry.path!r} was changed"]


def _read_bounded(path: Path) -> bytes:
    # O_NOFOLLOW: a link could name any file of the reader's. O_NONBLOCK: a FIFO would hang.
    def opener(name: str, flags: int) -> int:
        return os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK)

    try:
        with open(path, "rb", opener=opener) as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise _corrupt(path, "it is not a regular file")
            raw = stream.read(_MANIFEST_LIMIT + 1)
    except FileNotFoundError:
        raise BundleCorrupt(
            f"{path.parent} is not a bundle: it has no {MANIFEST_NAME}",
            hint="Pass the folder that edgekit export wrote.",
        ) from None
    except PermissionError as error:
        raise PermissionRefused(f"cannot read {path}: {error.strerror}") from error
    except OSError as error:
        reason = "it is a link" if path.is_symlink() else str(error.strerror)
        raise _corrupt(path, reason) from error
    if len(raw) > _MANIFEST_LIMIT:
        raise _corrupt(path, f"it is longer than {_MANIFEST_LIMIT} bytes")
    return raw


def _parse(raw: bytes, path: Path) -> dict[str, Any]:
    try:
        data = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
    except (ValueError, RecursionError) as error:
        raise _corrupt(path, f"it is not valid JSON ({error})") from None
    if not isinstance(data, dict):
        raise _corrupt(path, "it is not a JSON object")
    return data


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} occurs twice in one object")
    return found


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is not a JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is too large a number")
    return value


def _check_version(data: dict[str, Any], path: Path) -> None:
    version = data.get("schema_version")
    if type(version) is not int or version < 1:
        raise _corrupt(path, "schema_version is missing or not a positive whole number")
    if version > SCHEMA_VERSION:
        raise BundleTooNew(
            f"{path} has schema version {version}; this edgekit reads up to {SCHEMA_VERSION}",
            found=version,
            supported=SCHEMA_VERSION,
        )


def _check_seal(raw: bytes, data: dict[str, Any], path: Path) -> None:
    if data.get("seal") is None:
        raise _corrupt(path, "it has no seal")
    try:
        intact = raw == dump_bytes(data) and data["seal"] == seal_digest(data)
    except ValueError:
        intact = False
    if not intact:
        raise _corrupt(path, "it was changed after it was sealed")


def _in_words(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    lines = (f"at {_place(item['loc'])}: {item['msg']}" for item in found)
    return _list(list(lines))


def _place(location: tuple[int | str, ...]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.lstrip(".") or "the top"


def _list(problems: list[str]) -> str:
    more = len(problems) - _TOLD
    return "; ".join(problems[:_TOLD]) + (f"; and {more} more" if more > 0 else "")


def _corrupt(path: Path, reason: str) -> BundleCorrupt:
    return BundleCorrupt(f"{path} is not a valid manifest: {reason}", path=str(path))

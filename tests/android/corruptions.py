"""Writes damaged bundles and tokenizers, with what Python says of each bundle."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgekit.bundle.canonical import dump_bytes
from edgekit.bundle.manifest import MANIFEST_NAME
from edgekit.bundle.read import check_files, load_manifest
from edgekit.bundle.seal import seal_digest
from edgekit.errors import EdgekitError
from tests.android import made_tokenizers

COUNT = 1_000
SEED = 9
OUTSIDE = "outside.txt"
NAMES = (
    f"../{OUTSIDE}",
    f"/etc/{OUTSIDE}",
    f"x/../../{OUTSIDE}",
    "..",
    ".",
    "",
    "a//b",
    "C:\\x",
    "a\\b",
    "model.onnx\u0000",
    "\u202emodel",
    "MODEL.onnx",
    "x" * 300,
    "edgekit.json",
    "model.onnx ",
)
VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1.5,
    "",
    "x",
    "é",
    [],
    {},
    [[]],
    2**31,
    1e300,
    "0" * 64,
    {"a": None},
)


def write(folder: Path, bundle: Path) -> None:
    """``manifests.bin`` and ``folders/`` over a copy of the bundle; ``tokenizers.bin``."""
    folder.mkdir(parents=True)
    base = folder / "bundle"
    shutil.copytree(bundle, base)
    (folder / OUTSIDE).write_text("not yours")
    _manifests(folder, base)
    _folders(folder, base)
    _tokenizers(folder)


def _verdict(folder: Path) -> str:
    try:
        check_files(folder, load_manifest(folder))
    except EdgekitError as error:
        return error.code
    return "ok"


def _manifests(folder: Path, base: Path) -> None:
    rng = random.Random(SEED)
    manifest = base / MANIFEST_NAME
    good = manifest.read_bytes()
    said = []
    with open(folder / "manifests.bin", "wb") as stream:
        for index in range(COUNT):
            bad = good if index == 0 else _bad_manifest(rng, good)
            manifest.write_bytes(bad)
            said.append(_verdict(base))
            stream.write(struct.pack(">i", len(bad)) + bad)
    manifest.write_bytes(good)
    (folder / "manifests.json").write_text(json.dumps(said))


def _bad_manifest(rng: random.Random, good: bytes) -> bytes:
    if rng.random() < 0.35:
        return _bad_bytes(rng, good)
    data = json.loads(good)
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        _mutate(rng, data)
    if rng.random() < 0.2:
        _point_outside(rng, data)
    if rng.random() < 0.75:
        data["seal"] = seal_digest(data)
    return dump_bytes(data)


def _bad_bytes(rng: random.Random, good: bytes) -> bytes:
    """Bytes flipped, cut, doubled, inserted, or laid out anew."""
    at = rng.randrange(len(good))
    inserts = [b"[" * 5_000, b"\xff", b"NaN", b"1e999", b"\\ud800", b"{", b'"a":1,', b"\x00", b" "]
    makers: list[Callable[[], bytes]] = [
        lambda: good[:at] + bytes([good[at] ^ 1 << rng.randrange(8)]) + good[at + 1 :],
        lambda: good[:at],
        lambda: good + good,
        lambda: good[:at] + rng.choice(inserts) + good[at:],
        lambda: json.dumps(json.loads(good)).encode(),
        lambda: rng.randbytes(rng.randint(0, 500)),
        lambda: b"[" * rng.randint(1, 100_000),
        lambda: good.replace(
            b'"schema_version": 1',
            rng.choice(
                [
                    b'"schema_version": 2',
                    b'"schema_version": true',
                    b'"schema_version": 1.0',
                    b'"schema_version": 99999999999999999999',
                ]
            ),
        ),
    ]
    return rng.choice(makers)()


def _mutate(rng: random.Random, data: Any) -> None:
    """Change one place of a JSON value: drop it, replace it, move it, double it, add beside it."""
    place, key = _place(rng, data)
    kind = rng.randrange(5)
    if kind == 0:
        del place[key]
    elif kind == 1 and isinstance(place, dict):
        place[rng.choice(["extra", "", key + "x"])] = (
            place[key] if rng.random() < 0.5 else rng.choice(VALUES)
        )
    elif kind == 2 and isinstance(place, list):
        place.append(place[key])
    elif kind == 3 and isinstance(place[key], str):
        place[key] = rng.choice([*NAMES, place[key][::-1], place[key].upper()])
    elif isinstance(place[key], int) and rng.random() < 0.5:
        place[key] += rng.choice([-1, 1, 1000])
    else:
        place[key] = rng.choice(VALUES)


def _place(rng: random.Random, data: Any) -> tuple[Any, Any]:
    while True:
        keys = list(data) if isinstance(data, dict) else list(range(len(data)))
        key = rng.choice(keys)
        inner = data[key]
        if not isinstance(inner, dict | list) or not inner or rng.random() < 0.2:
            return data, key
        data = inner


def _point_outside(rng: random.Random, data: Any) -> None:
    """An entry that would be right if the name were let out of the folder."""
    text = b"not yours"
    entry = {
        "bytes": len(text),
        "path": rng.choice(NAMES[:3]),
        "sha256": hashlib.sha256(text).hexdigest(),
    }
    if isinstance(data.get("files"), list):
        data["files"].append(entry)


def _folders(folder: Path, base: Path) -> None:
    """Copies of a bundle, each with one thing wrong."""
    changes: dict[str, Callable[[Path], object]] = {
        "extra": lambda here: (here / "extra.txt").write_text("x"),
        "extra-folder": lambda here: (here / "empty").mkdir(),
        "extra-below": lambda here: ((here / "sub").mkdir(), (here / "sub/x").write_text("x")),
        "missing": lambda here: (here / "tokenizer.json").unlink(),
        "renamed": lambda here: (here / "model.onnx").rename(here / "model2.onnx"),
        "shorter": lambda here: os.truncate(here / "model.onnx", 100),
        "flipped": lambda here: _flip(here / "model.onnx"),
        "flipped-tokenizer": lambda here: _flip(here / "tokenizer.json"),
        "linked": lambda here: _link(here / "model.onnx", here.parent / "elsewhere.onnx"),
        "linked-manifest": lambda here: _link(here / MANIFEST_NAME, here.parent / "elsewhere.json"),
        "no-manifest": lambda here: (here / MANIFEST_NAME).unlink(),
        "manifest-folder": lambda here: (
            (here / MANIFEST_NAME).unlink(),
            (here / MANIFEST_NAME).mkdir(),
        ),
        "pipe": lambda here: os.mkfifo(here / "pipe"),
        "untouched": lambda here: None,
    }
    said = {"absent": _verdict(folder / "folders/absent")}
    for name, change in changes.items():
        here = folder / "folders" / name
        shutil.copytree(base, here)
        change(here)
        said[name] = _verdict(here)
    (folder / "folders/file").write_text("a file")
    said["file"] = _verdict(folder / "folders/file")
    (folder / "folders.json").write_text(json.dumps(said))


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _link(path: Path, target: Path) -> None:
    shutil.move(path, target)
    path.symlink_to(target)


def _tokenizers(folder: Path) -> None:
    rng = random.Random(SEED)
    makers = (
        made_tokenizers.cased,
        made_tokenizers.llama3,
        made_tokenizers.llama2,
        made_tokenizers.xlmr,
    )
    good = [json.loads(maker().to_str()) for maker in makers]
    with open(folder / "tokenizers.bin", "wb") as stream:
        for _ in range(COUNT):
            bad = _bad_tokenizer(rng, json.dumps(rng.choice(good)))
            stream.write(struct.pack(">i", len(bad)) + bad)


def _bad_tokenizer(rng: random.Random, good: str) -> bytes:
    if rng.random() < 0.15:
        return _bad_bytes(rng, good.encode())
    data = json.loads(good)
    for _ in range(rng.choice([1, 1, 2, 8])):
        part = rng.choice(
            ["model", "normalizer", "pre_tokenizer", "post_processor", "decoder", "added_tokens"]
        )
        chosen = data.get(part)
        _mutate(rng, chosen if isinstance(chosen, dict | list) and chosen else data)
    return json.dumps(data).encode()

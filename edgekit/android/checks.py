"""What must hold of an APK before it goes to a phone or a store."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgekit.android import axml, elf, signing
from edgekit.android.apk import Apk
from edgekit.bundle import read
from edgekit.bundle.manifest import MANIFEST_NAME, ArtifactInfo, Manifest
from edgekit.bundle.paths import safe_name
from edgekit.errors import EdgekitError, InputRefused

State = Literal["ok", "note", "failed"]
PAGE = 16_384
_WIDE = ("arm64-v8a", "x86_64")
_NEEDED_TARGET = 35
_SCHEMA = slice(4, 8)
# Runtime -> its libraries, the first of which holds the operators, and a class that JNI looks up.
_ENGINES = {
    "onnx": (("libonnxruntime.so", "libonnxruntime4j_jni.so"), b"Lai/onnxruntime/OrtSession;"),
    "executorch": (("libexecutorch.so",), b"Lorg/pytorch/executorch/Module;"),
}


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: what it is called, whether it holds, and what was found."""

    name: str
    state: State
    said: str


def check(path: Path) -> list[Check]:
    """Look at everything; the failures are in the list, not raised.

    Raises:
        InputMissing: there is no such file.
        InputRefused: it is no APK.
    """
    apk = Apk(path)
    try:
        return [
            *_signature(apk),
            _alignment(apk),
            _resources(apk),
            *_libraries(apk),
            *_manifest(apk),
            *_bundles(apk),
        ]
    finally:
        apk.close()


def _signature(apk: Apk) -> Iterator[Check]:
    found = signing.schemes(apk)
    yield _verdict("signature", bool(found), ", ".join(found) or "no scheme of v2 or newer")
    problem = signing.problem(apk) if found else "it is not signed"
    yield _verdict("unchanged", not problem, problem or "the bytes are those that were signed")


def _alignment(apk: Apk) -> Check:
    wrong = []
    for entry in apk.entries.values():
        page = PAGE if entry.name.endswith(".so") else 4
        if entry.name.endswith(".so") and not entry.stored:
            wrong.append(f"{entry.name} is compressed")
        elif entry.stored and entry.offset % page:
            wrong.append(f"{entry.name} is not at a multiple of {page}")
    stored = sum(entry.stored for entry in apk.entries.values())
    return _verdict("alignment", not wrong, _told(wrong) or f"{stored} stored files are aligned")


def _resources(apk: Apk) -> Check:
    table = apk.entries.get("resources.arsc")
    if table is None:
        return Check("resources", "note", "no resource table")
    return _verdict("resources", table.stored, "stored" if table.stored else "compressed")


def _libraries(apk: Apk) -> Iterator[Check]:
    names = [name for name in apk.entries if name.startswith("lib/") and name.endswith(".so")]
    abis = sorted({name.split("/")[1] for name in names})
    if not names:
        yield Check(
            "libraries", "note", "no native libraries: this APK shows its screens and cannot answer"
        )
        return
    wrong, thin = [], []
    for name in names:
        data = apk.read(name, 1 << 30)
        try:
            if elf.machine(data) != name.split("/")[1]:
                wrong.append(f"{name} is for {elf.machine(data)}")
            elif name.split("/")[1] in _WIDE and elf.alignment(data) < PAGE:
                thin.append(f"{name} is mapped by {elf.alignment(data)} bytes")
        except InputRefused as refused:
            wrong.append(f"{name}: {refused.message}")
    if "arm64-v8a" not in abis:
        wrong.append("none for arm64-v8a, which phones have")
    yield _verdict("libraries", not wrong, _told(wrong) or f"{len(names)} for {', '.join(abis)}")
    yield _verdict("pages", not thin, _told(thin) or "all bear pages of 16 KB")


def _manifest(apk: Apk) -> Iterator[Check]:
    try:
        found = axml.elements(apk.read("AndroidManifest.xml"))
    except InputRefused as refused:
        yield Check("manifest", "failed", refused.message)
        return
    first = {element.name: element.attributes for element in reversed(found)}
    package = str(first.get("manifest", {}).get("package", ""))
    sdk = first.get("uses-sdk", {})
    least, target = sdk.get("minSdkVersion"), sdk.get("targetSdkVersion")
    sound = bool(package) and isinstance(target, int) and target >= _NEEDED_TARGET
    yield _verdict("manifest", sound, f"{package or 'no package'}, API {least} to {target}")
    asked = [
        str(element.attributes.get("name", ""))
        for element in found
        if element.name.startswith("uses-permission")
    ]
    network = "android.permission.INTERNET" in asked
    yield _verdict("permissions", not network, ", ".join(asked) or "none")


def _bundles(apk: Apk) -> Iterator[Check]:
    ends = f"/{MANIFEST_NAME}"
    homes = [
        n.removesuffix(ends) for n in apk.entries if n.startswith("assets/") and n.endswith(ends)
    ]
    if not homes:
        yield Check("bundle", "note", "none among the assets: the user imports one")
    for home in homes:
        try:
            manifest = _bundle(apk, home)
        except EdgekitError as error:
            yield Check("bundle", "failed", f"{home}: {error.message}")
            continue
        yield Check("bundle", "ok", f"{manifest.name}, seal {(manifest.seal or '')[:16]}")
        yield from _engines(apk, home, manifest)


def _bundle(apk: Apk, home: str) -> Manifest:
    """A bundle of the assets, unpacked and checked as one on the disk is."""
    with tempfile.TemporaryDirectory(prefix="edgekit-apk-") as temporary:
        folder = Path(temporary)
        for name in apk.entries:
            if name.startswith(f"{home}/") and not name.endswith("/"):
                place = folder / safe_name(name.removeprefix(f"{home}/"))
                place.parent.mkdir(parents=True, exist_ok=True)
                with place.open("wb") as file:
                    file.writelines(apk.blocks(name))
        manifest = read.load_manifest(folder)
        read.check_files(folder, manifest)
        return manifest


def _engines(apk: Apk, home: str, manifest: Manifest) -> Iterator[Check]:
    """Each artifact against the runtime in the APK: its classes, its operators and its schema."""
    dexes = [name for name in apk.entries if name.startswith("classes") and name.endswith(".dex")]
    code = b"".join(apk.read(name, 1 << 30) for name in dexes)
    usable = 0
    for artifact in manifest.artifacts:
        libraries, marker = _ENGINES[artifact.runtime]
        if marker not in code:
            continue
        usable += 1
        for abi in _WIDE:
            names = [f"lib/{abi}/{library}" for library in libraries]
            if any(name.startswith(f"lib/{abi}/") for name in apk.entries):
                yield _engine(apk, home, artifact, abi, names)
    if not usable:
        runtimes = ", ".join(artifact.runtime for artifact in manifest.artifacts)
        yield Check("engine", "failed", f"no classes of a runtime for {manifest.name}: {runtimes}")


def _engine(apk: Apk, home: str, artifact: ArtifactInfo, abi: str, names: list[str]) -> Check:
    title = f"engine {artifact.runtime} {abi}"
    missing = [name for name in names if name not in apk.entries]
    if missing:
        return Check(title, "failed", f"{', '.join(missing)} is not in the APK")
    data = apk.read(names[0], 1 << 30)
    needed = [
        name.rpartition("::")[2] if artifact.runtime == "onnx" else name
        for name in artifact.operators
    ]
    backends = artifact.backends if artifact.runtime == "executorch" else ()
    lacking = [name for name in (*needed, *backends) if name.encode() not in data]
    if artifact.runtime == "executorch":
        # A file says which schema it is of, and a runtime knows one by name.
        schema = next(apk.blocks(f"{home}/{artifact.file}"), b"")[_SCHEMA]
        if not schema or schema not in data:
            lacking.append(f"the file's schema {schema.decode('ascii', 'replace')}")
    return _verdict(
        title,
        not lacking,
        f"lacks {_told(lacking)}" if lacking else f"knows all {len(needed)} operators",
    )


def _verdict(name: str, holds: bool, said: str) -> Check:
    return Check(name, "ok" if holds else "failed", said)


def _told(problems: list[str], most: int = 5) -> str:
    more = len(problems) - most
    return "; ".join(problems[:most]) + (f"; and {more} more" if more > 0 else "")

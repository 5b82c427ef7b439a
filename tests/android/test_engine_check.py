"""The runtime that an APK brings against what its bundle needs."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from edgekit.android import checks
from edgekit.bundle import read
from tests.android.elf_files import elf

LIBRARIES = {
    "onnx": ("libonnxruntime.so", "libonnxruntime4j_jni.so"),
    "executorch": ("libexecutorch.so",),
}
CLASSES = {"onnx": b"Lai/onnxruntime/OrtSession;", "executorch": b"Lorg/pytorch/executorch/Module;"}


def names(bundle: Path, runtime: str) -> list[bytes]:
    """What the runtime's library must know by name, the schema of a .pte last."""
    (artifact,) = (one for one in read.load_manifest(bundle).artifacts if one.runtime == runtime)
    if runtime == "onnx":
        return [name.rpartition("::")[2].encode() for name in artifact.operators]
    schema = (bundle / artifact.file).read_bytes()[4:8]
    return [*(name.encode() for name in (*artifact.operators, *artifact.backends)), schema]


def engine(
    tmp_path: Path, bundle: Path, runtime: str, known: list[bytes], *libraries: str
) -> checks.Check:
    """What ``check`` says of an APK with the bundle and a library that knows ``known``."""
    path = tmp_path / "app.apk"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("AndroidManifest.xml", b"")
        made.writestr("classes.dex", CLASSES[runtime])
        for name in libraries:
            made.writestr(f"lib/arm64-v8a/{name}", elf(183, 16384, b"\0".join([b"", *known, b""])))
        for file in bundle.iterdir():
            made.write(file, f"assets/edgekit/tiny/{file.name}")
    (found,) = (one for one in checks.check(path) if one.name.startswith("engine"))
    return found


@pytest.mark.parametrize("runtime", ["onnx", "executorch"])
def test_a_runtime_that_knows_all_is_enough(
    tiny_bundle: Path, tmp_path: Path, runtime: str
) -> None:
    known = names(tiny_bundle, runtime)
    found = engine(tmp_path, tiny_bundle, runtime, known, *LIBRARIES[runtime])
    assert (found.name, found.state) == (f"engine {runtime} arm64-v8a", "ok")
    assert "operators" in found.said


@pytest.mark.parametrize("runtime", ["onnx", "executorch"])
def test_what_a_runtime_lacks_is_named(tiny_bundle: Path, tmp_path: Path, runtime: str) -> None:
    known = names(tiny_bundle, runtime)
    # The first operator, and of a .pte the backend and the schema too.
    for one in {known[0], *known[-2:]} if runtime == "executorch" else {known[0]}:
        others = [name for name in known if one not in name]
        found = engine(tmp_path, tiny_bundle, runtime, others, *LIBRARIES[runtime])
        assert found.state == "failed", one
        assert one.decode() in found.said
    found = engine(tmp_path, tiny_bundle, runtime, known, "libother.so")
    assert found.state == "failed"
    assert f"lib/arm64-v8a/{LIBRARIES[runtime][0]}" in found.said


def test_classes_of_another_runtime_are_no_use(tiny_bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "app.apk"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("AndroidManifest.xml", b"")
        made.writestr("classes.dex", b"Lcom/example/Other;")
        for file in tiny_bundle.iterdir():
            made.write(file, f"assets/edgekit/tiny/{file.name}")
    (found,) = (one for one in checks.check(path) if one.name == "engine")
    assert found.state == "failed"
    assert "no classes of a runtime" in found.said

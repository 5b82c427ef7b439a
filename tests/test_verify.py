"""Verify on real bundles: hashes before anything native, faults named, crashes contained."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.bundle import goldens
from edgekit.bundle.manifest import Manifest
from edgekit.bundle.read import load_manifest
from edgekit.bundle.seal import seal
from edgekit.errors import (
    BundleCorrupt,
    InternalError,
    ParityFailed,
    SpecError,
    TemporaryFailure,
    Unavailable,
)
from edgekit.runtime import executorch_native, load_runtime, open_artifact
from edgekit.runtime.replay import replay
from edgekit.stages import Progress
from edgekit.verify import verify
from tests.support.refusals import refused


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))


@pytest.fixture
def marker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Appears as soon as any child Python starts."""
    found = tmp_path / "a-child-started"
    poison(tmp_path, monkeypatch, sitecustomize=f"open({str(found)!r}, 'w').close()")
    return found


def poison(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **modules: str) -> None:
    """Put modules before all others in every child Python."""
    folder = tmp_path / "poison"
    folder.mkdir(exist_ok=True)
    for name, code in modules.items():
        (folder / f"{name}.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(folder))


def resealed(folder: Path, **changes: Any) -> Manifest:
    """The bundle with a changed manifest that is nevertheless whole."""
    manifest = load_manifest(folder).model_copy(update=changes)
    return seal(folder, manifest)


def test_a_sound_bundle(tiny_bundle: Path) -> None:
    told: list[Progress] = []
    hops = verify(tiny_bundle, progress=told.append)
    assert [hop.hop for hop in hops] == ["executorch", "onnx"]
    assert all(hop.passed and hop.same_artifact == 1.0 for hop in hops)
    assert all(hop.worst_cosine >= 0.99999 for hop in hops)
    assert [step.stage for step in told] == ["executorch", "onnx", "done"]


def test_one_runtime(tiny_bundle: Path) -> None:
    assert [hop.hop for hop in verify(tiny_bundle, runtimes=["onnx"])] == ["onnx"]


@pytest.mark.parametrize("name", ["model.pte", "model.onnx", "goldens.safetensors", "edgekit.json"])
def test_a_flipped_bit_stops_before_any_child(bundle: Path, marker: Path, name: str) -> None:
    raw = bytearray((bundle / name).read_bytes())
    raw[len(raw) // 3] ^= 4
    (bundle / name).write_bytes(raw)
    refused(BundleCorrupt, 65, "", lambda: verify(bundle))
    assert not marker.exists()


def test_the_marker_works(bundle: Path, marker: Path) -> None:
    verify(bundle, runtimes=["onnx"])
    assert marker.exists(), "or the test above proves nothing"


def test_wrong_goldens(bundle: Path) -> None:
    path = bundle / "goldens.safetensors"
    changed = goldens.read(path)
    rng = np.random.default_rng(0)
    off = [
        replace(g, reference=rng.standard_normal(g.reference.shape, np.float32)) for g in changed
    ]
    goldens.write(path, off)
    resealed(bundle)
    error = refused(ParityFailed, 1, "executorch (model.pte)", lambda: verify(bundle))
    assert [hop["passed"] for hop in error.details["hops"]] == [False, False]
    error = refused(ParityFailed, 1, "onnx (model.onnx)", lambda: verify(bundle, runtimes=["onnx"]))
    assert error.details["hops"][0]["worst_sample"][:60] in error.message


def test_drift_from_its_own_goldens(bundle: Path) -> None:
    path = bundle / "goldens.safetensors"
    changed = [
        replace(g, expected={**g.expected, "onnx": g.expected["onnx"][:, ::-1].copy()})
        for g in goldens.read(path)
    ]
    goldens.write(path, changed)
    resealed(bundle)
    error = refused(ParityFailed, 1, "onnx (model.onnx)", lambda: verify(bundle, runtimes=["onnx"]))
    (hop,) = error.details["hops"]
    assert hop["worst_cosine"] >= hop["floor_worst"]
    assert "against its own goldens" in error.message


@pytest.mark.parametrize("fault", ["none", "count", "expected", "tolerance", "inputs"])
def test_a_bundle_sealed_without_what_it_needs(bundle: Path, marker: Path, fault: str) -> None:
    path, manifest = bundle / "goldens.safetensors", load_manifest(bundle)
    stored, info = goldens.read(path), manifest.goldens
    if fault == "none":
        stored, info = [], info.model_copy(update={"count": 0})
    elif fault == "count":
        stored = stored[:-1]
    elif fault == "expected":
        stored[3].expected.pop("onnx")
    elif fault == "tolerance":
        info = info.model_copy(update={"tolerances": {"onnx": info.tolerances["onnx"]}})
    else:
        stored[0].inputs["surprise"] = stored[0].inputs["input_ids"]
    goldens.write(path, stored)
    resealed(bundle, goldens=info)
    refused(BundleCorrupt, 65, "", lambda: verify(bundle))
    assert not marker.exists()


def test_unknown_names(tiny_bundle: Path, marker: Path) -> None:
    error = refused(SpecError, 64, "no tflite", lambda: verify(tiny_bundle, runtimes=["tflite"]))
    assert "executorch, onnx" in error.hint
    error = refused(SpecError, 64, "'a99'", lambda: verify(tiny_bundle, arm64=["a99"]))
    assert "a76" in error.hint
    refused(SpecError, 64, "'os'", lambda: load_runtime("os"))
    assert not marker.exists()


def test_arm64_without_a_runner_is_refused_first(
    tiny_bundle: Path, marker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEKIT_HOME", str(tmp_path / "empty"))
    for name in ("onnx", "executorch"):
        only = {"runtimes": [name], "arm64": ["a76"]}
        error = refused(Unavailable, 69, "", lambda only=only: verify(tiny_bundle, **only))
        assert "Run: " in error.hint
    assert not marker.exists()


@pytest.fixture
def no_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No library of edgekit's own for ``.pte`` files, and no compiler to build it with."""
    monkeypatch.setenv("EDGEKIT_HOME", str(tmp_path / "empty"))
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    for known in (executorch_native.library, executorch_native.lack):
        known.cache_clear()
    yield
    for known in (executorch_native.library, executorch_native.lack):
        known.cache_clear()


@pytest.mark.usefixtures("no_library")
@pytest.mark.parametrize(("runtime", "package"), [("onnx", "onnxruntime"), ("executorch", "torch")])
def test_a_runtime_that_is_not_installed(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: str, package: str
) -> None:
    poison(tmp_path, monkeypatch, sitecustomize=f"import sys; sys.modules[{package!r}] = None")
    error = refused(Unavailable, 69, runtime, lambda: verify(tiny_bundle, runtimes=[runtime]))
    assert package in error.message
    assert error.hint == f"pip install 'edgekit[{runtime}]'"


@pytest.mark.usefixtures("no_library")
def test_the_next_runtime_is_taken(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = load_manifest(tiny_bundle)
    for name in [n for n in sys.modules if n.partition(".")[0] == "executorch"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "executorch", None)
    with monkeypatch.context() as patch:
        session = open_artifact(tiny_bundle, manifest)
        assert "onnx" in type(session).__module__
        error = refused(
            Unavailable,
            69,
            "executorch",
            lambda: open_artifact(tiny_bundle, manifest, "executorch"),
        )
        assert error.hint == "pip install 'edgekit[executorch]'"
        patch.setitem(sys.modules, "onnxruntime", None)
        refused(Unavailable, 69, "onnx", lambda: open_artifact(tiny_bundle, manifest))
    refused(SpecError, 64, "no tflite", lambda: open_artifact(tiny_bundle, manifest, "tflite"))


# Children


@pytest.fixture
def one_text(tiny_bundle: Path) -> Callable[..., Any]:
    manifest = load_manifest(tiny_bundle)
    inputs = [golden.inputs for golden in goldens.read(tiny_bundle / "goldens.safetensors")[:2]]

    def run(runtime: str, path: Path, **options: Any) -> Any:
        return replay(runtime, path, manifest.signature, inputs, **options)

    return run


@pytest.mark.parametrize(
    ("runtime", "file", "content"),
    [
        ("onnx", "model.onnx", b""),
        ("onnx", "model.onnx", b"garbage" * 999),
        ("onnx", "model.onnx", None),  # the first half of the file
        ("executorch", "model.pte", b"garbage" * 999),
        pytest.param("executorch", "model.pte", b"", marks=pytest.mark.slow),
        pytest.param("executorch", "model.pte", None, marks=pytest.mark.slow),
    ],
)
def test_a_file_that_the_runtime_refuses(
    bundle: Path, one_text: Callable[..., Any], runtime: str, file: str, content: bytes | None
) -> None:
    raw = (bundle / file).read_bytes()
    (bundle / file).write_bytes(raw[: len(raw) // 2] if content is None else content)
    refused(InternalError, 70, file, lambda: one_text(runtime, bundle / file))


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGKILL", "SIGABRT"])
def test_a_native_crash_is_named(
    tiny_bundle: Path,
    tmp_path: Path,
    one_text: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    poison(
        tmp_path, monkeypatch, onnxruntime=f"import os, signal; os.kill(os.getpid(), signal.{name})"
    )
    path = tiny_bundle / "model.onnx"
    error = refused(InternalError, 70, name, lambda: one_text("onnx", path))
    assert "model.onnx" in error.message
    # The whole verify too, and it is still this process that tells.
    refused(InternalError, 70, name, lambda: verify(tiny_bundle, runtimes=["onnx"]))


def test_a_child_that_hangs(
    tiny_bundle: Path, tmp_path: Path, one_text: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(tmp_path, monkeypatch, onnxruntime="import time; time.sleep(60)")
    began = time.monotonic()
    path = tiny_bundle / "model.onnx"
    with pytest.raises(TemporaryFailure, match=r"model\.onnx did not finish 2 samples in 2 s"):
        one_text("onnx", path, timeout=2.0)
    assert time.monotonic() - began < 20


def test_a_runtime_that_talks(
    tiny_bundle: Path, tmp_path: Path, one_text: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet = one_text("onnx", tiny_bundle / "model.onnx")
    code = "import os\nfor fd in (1, 2):\n    os.write(fd, b'\\xff\\xfe talk ' * 40_000)\n"
    poison(tmp_path, monkeypatch, sitecustomize=code)
    loud = one_text("onnx", tiny_bundle / "model.onnx")
    for one, other in zip(quiet, loud, strict=True):
        np.testing.assert_array_equal(one["sentence_embedding"], other["sentence_embedding"])


@pytest.mark.parametrize("name", ["onnxruntime", "numpy", "sitecustomize", "edgekit"])
def test_a_module_in_the_current_folder_is_not_imported(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    marker = tmp_path / "ran"
    (bundle / f"{name}.py").write_text(f"open({str(marker)!r}, 'w').close()")
    resealed(bundle)
    monkeypatch.chdir(bundle)
    assert verify(Path(), runtimes=["onnx"])[0].passed
    assert not marker.exists()


def test_no_file_is_left(
    tiny_bundle: Path, tmp_path: Path, one_text: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import tempfile

    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    one_text("onnx", tiny_bundle / "model.onnx")
    assert list(scratch.iterdir()) == []


def test_outputs_in_the_order_of_inputs(tiny_bundle: Path) -> None:
    manifest = load_manifest(tiny_bundle)
    stored = goldens.read(tiny_bundle / "goldens.safetensors")[:13]
    path = tiny_bundle / "model.onnx"
    found = replay("onnx", path, manifest.signature, [golden.inputs for golden in stored])
    assert len(found) == 13
    for golden, output in zip(stored, found, strict=True):
        np.testing.assert_array_equal(output["sentence_embedding"], golden.expected["onnx"])


def test_report_of_the_bundle_agrees(tiny_bundle: Path) -> None:
    report = json.loads((tiny_bundle / "report.json").read_text())
    quality = [hop.model_dump(mode="json") for hop in load_manifest(tiny_bundle).quality]
    assert report["quality"] == quality

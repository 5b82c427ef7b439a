"""``edgekit android`` as a user starts it; building is in tests/android."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import pytest

from edgekit import export
from edgekit.bundle.canonical import dump_bytes
from edgekit.bundle.manifest import MANIFEST_NAME
from edgekit.bundle.seal import seal_digest
from tests.android import tunings
from tests.android.elf_files import elf
from tests.conftest import Program
from tests.support.decoders import decoder

PACKAGE = "com.example.notes"


def test_new_makes_a_whole_project(edgekit: Program, tiny_bundle: Path, tmp_path: Path) -> None:
    done = edgekit("android", "new", "app", "--bundle", tiny_bundle, "--package", PACKAGE)
    assert done.returncode == 0, done.stderr
    project = Path(done.stdout.strip())
    assert project == tmp_path / "app"
    manifest = project / "app/src/main/AndroidManifest.xml"
    assert f"{PACKAGE}.HomeActivity" in manifest.read_text(encoding="utf-8")
    assert (project / "app/src/main/kotlin/com/example/notes/HomeActivity.kt").is_file()
    assert not (project / "executorch").exists()
    (asset,) = (project / "app/src/main/assets/edgekit").iterdir()
    assert edgekit("verify", asset).returncode == 0
    # The bundle is part of the project, and the project's own page says what it is.
    assert "assets" not in (project / ".gitignore").read_text(encoding="utf-8")
    page = (project / "README.md").read_text(encoding="utf-8")
    assert PACKAGE in page
    assert asset.name in page
    words = (project / "app/src/main/res/values/strings.xml").read_text(encoding="utf-8")
    assert '<string name="app_name">notes</string>' in words
    left = [p for p in (project / "app").rglob("*.kt") if "edgekit.demo" in p.read_text("utf-8")]
    assert left == []
    again = edgekit("android", "new", "app", "--bundle", tiny_bundle, "--package", PACKAGE)
    assert again.returncode == 73
    assert "--force" in again.stderr
    assert "-o" not in again.stderr.split()
    forced = edgekit(
        "android", "new", "app", "--bundle", tiny_bundle, "--package", PACKAGE, "--force"
    )
    assert forced.returncode == 0, forced.stderr


def test_new_for_executorch_brings_its_module(
    edgekit: Program, tiny_bundle: Path, tmp_path: Path
) -> None:
    words = ["--bundle", tiny_bundle, "--package", PACKAGE, "--engine", "executorch"]
    done = edgekit("android", "new", "app", *words)
    assert done.returncode == 0, done.stderr
    app = tmp_path / "app/app"
    assert "ExecuTorch()" in (app / "src/main/kotlin/com/example/notes/DemoApp.kt").read_text()
    assert 'project(":executorch")' in (app / "build.gradle.kts").read_text()
    assert (tmp_path / "app/executorch/build.gradle.kts").is_file()
    built = edgekit("android", "build", "app")
    assert built.returncode == 78
    assert "Android Studio" in built.stderr


@pytest.mark.parametrize(
    "package", ["notes", "com.example.class", "com.1example.app", "com..app", "Com.Example", ""]
)
def test_a_package_that_is_none_is_refused(
    edgekit: Program, tiny_bundle: Path, tmp_path: Path, package: str
) -> None:
    done = edgekit("android", "new", "app", "--bundle", tiny_bundle, "--package", package)
    assert done.returncode == 64
    assert "com.example.app" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_bundles_that_do_not_fit_are_refused(
    edgekit: Program, tiny_bundle: Path, tiny_bundles: dict[str, Path], tmp_path: Path
) -> None:
    def new(bundle: Path, *more: str) -> tuple[int, str]:
        done = edgekit("android", "new", "app", "--bundle", bundle, "--package", PACKAGE, *more)
        return done.returncode, done.stderr

    assert new(tmp_path / "none")[0] == 66
    status, said = new(tiny_bundles["fill-mask"], "--engine", "executorch")
    assert status == 65
    assert "--engine onnx" in said
    broken = tmp_path / "broken"
    shutil.copytree(tiny_bundle, broken)
    (broken / "model.onnx").write_bytes(b"")
    assert new(broken)[0] == 65
    assert not (tmp_path / "app").exists()


def test_a_model_that_writes_is_for_onnx_runtime(edgekit: Program, tmp_path: Path) -> None:
    model = decoder(tmp_path / "model", "llama")
    made = export(model, out=tmp_path / "bundle", quantize="none", runtimes=["onnx"])
    words = ("android", "new", "app", "--bundle", made.path, "--package", PACKAGE)
    refused = edgekit(*words, "--engine", "executorch")
    assert refused.returncode == 78
    assert "--engine onnx" in refused.stderr
    assert not (tmp_path / "app").exists()
    assert edgekit(*words).returncode == 0


def test_a_tokenizer_that_phones_lack_is_named(
    edgekit: Program, tiny_bundle: Path, tmp_path: Path
) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, bundle)
    manifest = bundle / MANIFEST_NAME
    data = json.loads(manifest.read_bytes())
    data["tokenizer"] |= {"on_device": False, "on_device_reason": "the normalizer Nmt"}
    data["seal"] = seal_digest(data)
    manifest.write_bytes(dump_bytes(data))
    done = edgekit("android", "new", "app", "--bundle", bundle, "--package", PACKAGE)
    assert done.returncode == 0, done.stderr
    assert "WARNING" in done.stderr
    assert "the normalizer Nmt" in done.stderr


def test_add_to_an_app_that_is_there(edgekit: Program, tiny_bundle: Path, tmp_path: Path) -> None:
    source = tmp_path / "mine/app/src/main"
    source.mkdir(parents=True)
    (source / "AndroidManifest.xml").write_text("<manifest/>")
    done = edgekit("android", "add", "mine", "--bundle", tiny_bundle, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (source / "assets" / found["asset"] / "edgekit.json").is_file()
    assert found["asset"] in found["kotlin"]
    assert edgekit("android", "add", "mine", "--bundle", tiny_bundle).returncode == 73
    assert edgekit("android", "add", "mine", "--bundle", tiny_bundle, "--force").returncode == 0
    (tmp_path / "empty").mkdir()
    assert edgekit("android", "add", "empty", "--bundle", tiny_bundle).returncode == 66


def test_a_tuning_file_goes_along(edgekit: Program, tiny_bundle: Path, tmp_path: Path) -> None:
    tuning = tunings.write(tmp_path / "measured", tiny_bundle)
    words = ("--bundle", tiny_bundle, "--package", PACKAGE)
    done = edgekit("android", "new", "app", *words, "--tuning", tuning)
    assert done.returncode == 0, done.stderr
    assert "Threads: executorch 4, onnx 4." in done.stderr
    assets = tmp_path / "app/app/src/main/assets/edgekit"
    assert (assets / "tuning.json").read_bytes() == tuning.read_bytes()
    other = tuning.with_name("other.json")
    refused = edgekit(
        "android", "add", "app", "--bundle", tiny_bundle, "--tuning", other, "--force"
    )
    assert refused.returncode == 65
    assert "edgekit bench" in refused.stderr
    # A file that was measured elsewhere is used, and that is said; one that is there is kept.
    said = json.loads(tuning.read_bytes())
    said["conditions"]["place_kind"] = "host"
    other.write_text(json.dumps(said))
    (asset,) = (path for path in assets.iterdir() if path.is_dir())
    shutil.rmtree(asset)
    again = ("android", "add", "app", "--bundle", tiny_bundle, "--tuning", other)
    assert edgekit(*again).returncode == 73
    assert not asset.exists()
    forced = edgekit(*again, "--force")
    assert forced.returncode == 0, forced.stderr
    assert "WARNING: measured on host" in forced.stderr
    assert 'tuning = "edgekit/tuning.json"' in forced.stderr
    assert sorted(path.name for path in assets.iterdir()) == [asset.name, "tuning.json"]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"kind": "edgekit-tuning", "schema_version": 2}', "\x00"]
)
def test_a_file_that_is_no_tuning_is_refused(
    edgekit: Program, tiny_bundle: Path, tmp_path: Path, text: str
) -> None:
    path = tmp_path / "tuning.json"
    words = ["--bundle", tiny_bundle, "--package", PACKAGE, "--tuning", path]
    assert edgekit("android", "new", "app", *words).returncode == 66
    path.write_text(text)
    done = edgekit("android", "new", "app", *words)
    assert done.returncode == 65, done.stderr
    assert "Traceback" not in done.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["tuning.json"]


def test_build_says_what_it_needs(edgekit: Program, tmp_path: Path) -> None:
    assert edgekit("android", "build", "none").returncode == 66
    project = tmp_path / "project"
    (project / "app").mkdir(parents=True)
    (project / "pom.xml").write_text("<project/>")
    (project / "app/android.xml").write_text("<project/>")
    done = edgekit("android", "build", "project", env={"PATH": str(tmp_path)})
    assert done.returncode == 69
    assert "Maven is not installed" in done.stderr


def test_a_file_that_is_no_apk_is_refused(edgekit: Program, tmp_path: Path) -> None:
    assert edgekit("android", "check", "none.apk").returncode == 66
    (tmp_path / "text.apk").write_text("not an archive")
    done = edgekit("android", "check", "text.apk")
    assert done.returncode == 65
    assert "Traceback" not in done.stderr


def test_each_fault_of_an_apk_is_named(edgekit: Program, tiny_bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "bad.apk"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("resources.arsc", bytes(1000))
        made.writestr("AndroidManifest.xml", b"<manifest/>")
        made.writestr("lib/arm64-v8a/libthin.so", elf(183, 4096), zipfile.ZIP_STORED)
        made.writestr("lib/arm64-v8a/libother.so", elf(62, 16384))
        made.writestr("lib/x86_64/libtext.so", b"text")
        for file in tiny_bundle.iterdir():
            data = b"changed" if file.name == "README.md" else file.read_bytes()
            made.writestr(f"assets/edgekit/tiny/{file.name}", data)
    done = edgekit("android", "check", path)
    assert done.returncode == 1
    lines = {line.split()[1]: line for line in done.stdout.splitlines()}
    for name in ("signature", "alignment", "resources", "libraries", "pages", "manifest", "bundle"):
        assert lines[name].startswith("FAILED"), done.stdout
    assert "libother.so is for x86_64" in lines["libraries"]
    assert "README.md" in lines["bundle"]
    as_json = edgekit("android", "check", path, "--json")
    assert as_json.returncode == 1
    assert json.loads(as_json.stdout)["error"]["code"] == "check-failed"


@pytest.mark.parametrize("cut", [0, 4, 22, 100, -30, -1])
def test_a_cut_apk_is_refused(edgekit: Program, tmp_path: Path, cut: int) -> None:
    path = tmp_path / "cut.apk"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("classes.dex", bytes(500))
    path.write_bytes(path.read_bytes()[:cut] if cut else b"")
    done = edgekit("android", "check", path)
    assert done.returncode == 65, done.stdout
    assert "Traceback" not in done.stderr

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgekit.bundle.canonical import dump_bytes
from edgekit.bundle.read import check_files, load_manifest
from edgekit.bundle.seal import seal
from edgekit.errors import InternalError, UnsafeInput
from tests.bundle import small


def test_every_other_file_is_listed_with_its_digest(tmp_path: Path) -> None:
    folder = small.bundle(tmp_path / "b")
    manifest = load_manifest(folder)
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert [entry.path for entry in manifest.files] == sorted(files - {"edgekit.json"})
    for entry in manifest.files:
        content = (folder / entry.path).read_bytes()
        assert (entry.bytes, entry.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    check_files(folder, manifest)


def test_the_returned_manifest_is_the_written_one(tmp_path: Path) -> None:
    small.fill(tmp_path)
    returned = seal(tmp_path, small.manifest())
    assert returned == load_manifest(tmp_path)
    raw = (tmp_path / "edgekit.json").read_bytes()
    assert raw == dump_bytes(json.loads(raw))


def test_sealing_again_gives_the_same_bytes(tmp_path: Path) -> None:
    folder = small.bundle(tmp_path / "b")
    first = (folder / "edgekit.json").read_bytes()
    assert seal(folder, small.manifest()).seal == load_manifest(folder).seal
    assert (folder / "edgekit.json").read_bytes() == first


def test_bytes_do_not_depend_on_run_or_folder(tmp_path: Path) -> None:
    imports = "import sys; from pathlib import Path; from tests.bundle import small; "
    script = imports + "small.bundle(Path(sys.argv[1]))"
    made = []
    for seed in ("0", "1", "2"):
        folder = tmp_path / f"b{seed}"
        env = os.environ | {"PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", script, str(folder)]
        subprocess.run(command, env=env, cwd=Path(__file__).parents[2], check=True)
        names = sorted(path for path in folder.rglob("*") if path.is_file())
        made.append({path.relative_to(folder): path.read_bytes() for path in names})
    assert made[0] == made[1] == made[2]


def test_a_file_that_the_manifest_names_must_be_there(tmp_path: Path) -> None:
    small.fill(tmp_path)
    (tmp_path / "model.onnx").unlink()
    with pytest.raises(InternalError, match=r"'model\.onnx', the file of the onnx artifact"):
        seal(tmp_path, small.manifest())
    assert not (tmp_path / "edgekit.json").exists()


def test_links_and_empty_folders_are_not_sealed(tmp_path: Path) -> None:
    small.fill(tmp_path)
    (tmp_path / "link").symlink_to("model.pte")
    (tmp_path / "hollow").mkdir()
    with pytest.raises(InternalError, match="'hollow' is an empty folder; 'link' is a link"):
        seal(tmp_path, small.manifest())


def test_unsafe_names_are_not_sealed(tmp_path: Path) -> None:
    small.fill(tmp_path)
    (tmp_path / "a\nb").write_text("x")
    with pytest.raises(UnsafeInput):
        seal(tmp_path, small.manifest())

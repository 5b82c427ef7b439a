"""ONNX Runtime as it is used here: silent, on the network and on the disk."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.conftest import clean_environment

CODE = """
import sys
from edgekit import Bundle
from edgekit.runtime.onnx import library
if sys.argv[2] == "run":
    Bundle.open(sys.argv[1]).run(["The train leaves."], runtime="onnx")
elif sys.argv[2] == "verify":
    Bundle.open(sys.argv[1]).verify(runtimes=["onnx"])
else:
    import onnx
    from edgekit_converters.export.delegates.nnapi import partitions
    partitions(onnx.load(sys.argv[1] + "/model.onnx"))
"""


def left_in_home(tmp_path: Path, bundle: Path, what: str) -> list[str]:
    """Files that a process leaves in its home and its temporary folder."""
    home = tmp_path / "home"
    home.mkdir()
    environment = clean_environment(HOME=str(home), TMPDIR=str(home), XDG_CACHE_HOME=str(home))
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    subprocess.run(
        [sys.executable, "-c", CODE, str(bundle), what], env=environment, check=True, cwd=tmp_path
    )
    return sorted(path.name for path in home.rglob("*") if path.is_file())


def test_running_leaves_no_device_id(tiny_bundle: Path, tmp_path: Path) -> None:
    assert left_in_home(tmp_path, tiny_bundle, "run") == []


def test_verifying_leaves_no_device_id(tiny_bundle: Path, tmp_path: Path) -> None:
    assert left_in_home(tmp_path, tiny_bundle, "verify") == []


def test_the_checker_of_nnapi_leaves_no_device_id(tiny_bundle: Path, tmp_path: Path) -> None:
    assert left_in_home(tmp_path, tiny_bundle, "nnapi") == []

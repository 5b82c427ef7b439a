"""Three exports of one model, each in a process and in folders of its own: the same bytes."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bundle.trees import tree
from tests.conftest import clean_environment
from tests.support.models import tiny_bert
from tests.support.vocabulary import SENTENCES


@pytest.mark.slow
def test_three_exports_give_the_same_bytes(tmp_path: Path) -> None:
    """The hash seed, the folders of model and output and the one for temporary files differ."""
    original = tiny_bert(
        tmp_path / "original" / "model", head="AutoModelForMaskedLM", num_hidden_layers=1
    )
    digests = []
    for run, seed in enumerate(("0", "1", "4242")):
        place = tmp_path / ("somewhere" * (run + 1))
        model = Path(shutil.copytree(original, place / "model"))
        samples = place / "samples.txt"
        samples.write_text("\n".join(SENTENCES[:8]), encoding="utf-8")
        words: list[str | Path] = [
            "export",
            model,
            "-o",
            place / "out" / "bundle",
            "--samples",
            samples,
        ]
        done = subprocess.run(
            [sys.executable, "-m", "edgekit", *words],
            capture_output=True,
            text=True,
            cwd=place,
            env=clean_environment(PYTHONHASHSEED=seed, TMPDIR=str(place)),
            check=False,
        )
        assert done.returncode == 0, done.stderr
        files = tree(place / "out" / "bundle")
        assert files is not None
        digests.append({name: hashlib.sha256(data).hexdigest() for name, data in files.items()})
        assert not any(b"somewhere" in data for data in files.values())
    assert {"edgekit.json", "model.pte", "model.onnx", "goldens.safetensors"} <= set(digests[0])
    assert digests[0] == digests[1] == digests[2]

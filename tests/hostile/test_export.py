"""Exports that go wrong, through the program itself: status, message, nothing left behind."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.bundle.trees import OLD, names, plant, tree
from tests.conftest import Completed, clean_environment
from tests.hostile.test_staging import mounted
from tests.support.models import edit_json, tiny_bert

FP32 = ("--runtime", "onnx", "--quantize", "none")
Export = Callable[..., Completed]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("original") / "model")


@pytest.fixture
def model(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "model"))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The parent of every output."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def environment(home: Path) -> Mapping[str, str]:
    """Temporary files go where the test can see them."""
    scratch = home.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    found = clean_environment(TMPDIR=str(scratch), OMP_NUM_THREADS="1")
    found.pop("ORT_DISABLE_TELEMETRY", None)  # edgekit's own silence is what counts
    return found


@pytest.fixture
def export(home: Path) -> Export:
    def run(*words: str | Path, limit: int | None = None) -> Completed:
        def before() -> None:
            if limit is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        return subprocess.run(
            [sys.executable, "-m", "edgekit", "export", *map(str, words)],
            capture_output=True,
            text=True,
            cwd=home,
            env=environment(home),
            stdin=subprocess.DEVNULL,
            preexec_fn=before,
            timeout=300,
            check=False,
        )

    return run


def assert_refused(done: Completed, status: int, *telling: str) -> None:
    assert done.returncode == status, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert "\nhint:  " in done.stderr
    for word in telling:
        assert word in done.stderr


def scratch_of(home: Path) -> list[str]:
    return names(home.parent / "scratch")


# What is asked for


@pytest.mark.parametrize(
    ("words", "status", "telling"),
    [
        (["--target", "toaster"], 64, "'toaster'"),
        (["--task", "poetry"], 64, "'poetry'"),
        (["--delegate", "nnapi", "--runtime", "executorch"], 78, "ExecuTorch has no NNAPI"),
        (["--delegate", "nnapi", "--quantize", "int8"], 78, "delegate nnapi has no kernels"),
        (["--delegate", "none", "--quantize", "int8"], 78, "delegate none has no kernels"),
    ],
)
def test_requests(
    export: Export, home: Path, model: Path, words: list[str], status: int, telling: str
) -> None:
    assert_refused(export(model, "-o", home / "out", *words), status, telling)
    assert names(home) == []


@pytest.mark.parametrize(
    ("content", "status", "telling"),
    [
        (None, 66, "no samples file"),
        (b"", 65, "no text"),
        (b"\n  \n\t\n", 65, "no text"),
        (b"\x89PNG\r\n\x1a\n\xff\xfe\x00", 65, "not UTF-8"),
    ],
    ids=["missing", "empty", "blank", "binary"],
)
def test_samples(
    export: Export,
    home: Path,
    tmp_path: Path,
    model: Path,
    content: bytes | None,
    status: int,
    telling: str,
) -> None:
    samples = tmp_path / "samples.txt"
    if content is not None:
        samples.write_bytes(content)
    done = export(model, "-o", home / "out", "--samples", samples)
    assert_refused(done, status, telling, "samples.txt")
    assert names(home) == []


# The model


def nan_weights(model: Path) -> None:
    tensors = load_file(model / "model.safetensors")
    tensors["bert.encoder.layer.1.output.dense.bias"][3] = torch.nan
    save_file(tensors, model / "model.safetensors", metadata={"format": "pt"})


def small_table(model: Path) -> None:
    tensors = load_file(model / "model.safetensors")
    name = "bert.embeddings.word_embeddings.weight"
    tensors[name] = tensors[name][:-9].clone()
    save_file(tensors, model / "model.safetensors", metadata={"format": "pt"})
    edit_json(model / "config.json", vocab_size=len(tensors[name]))


@pytest.mark.parametrize(
    ("damage", "status", "telling"),
    [
        (nan_weights, 65, "layer.1.output.dense.bias' has 1 values that are NaN"),
        pytest.param(small_table, 65, "the embedding table has", marks=pytest.mark.slow),
        pytest.param(
            lambda m: edit_json(m / "config.json", model_type="brt"),
            64,
            "unknown model_type 'brt'",
            marks=pytest.mark.slow,
        ),
        (lambda m: edit_json(m / "config.json", is_decoder=True), 78, "causal"),
    ],
    ids=["nan", "vocabulary", "model-type", "decoder"],
)
def test_models(
    export: Export,
    home: Path,
    model: Path,
    damage: Callable[[Path], None],
    status: int,
    telling: str,
) -> None:
    damage(model)
    done = export(model, "-o", home / "deep" / "out", *FP32)
    assert_refused(done, status, telling)
    assert names(home) == []
    assert scratch_of(home) == []


# The output


def test_output_exists(export: Export, home: Path, model: Path) -> None:
    plant(home / "out", OLD)
    assert_refused(export(model, "-o", home / "out"), 73, "already exists", "--force")
    assert tree(home / "out") == OLD
    assert names(home) == ["out"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_only_a_bundle_is_replaced(export: Export, home: Path, model: Path, kind: str) -> None:
    if kind == "file":
        (home / "out").write_text("precious")
    else:
        plant(home / "out", {"precious": b"x"})
    before = tree(home)
    assert_refused(export(model, "-o", home / "out", "--force"), 73, "will not be replaced")
    assert tree(home) == before


def test_output_below_a_file(export: Export, home: Path, model: Path) -> None:
    (home / "file").write_text("x")
    assert_refused(export(model, "-o", home / "file" / "out"), 73, "Not a directory")
    assert names(home) == ["file"]


def test_output_on_a_read_only_disk(export: Export, home: Path, model: Path) -> None:
    with mounted(home / "disk", "size=1m") as disk:
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        assert_refused(export(model, "-o", disk / "out"), 73, "Read-only")
        assert names(disk) == []


def test_a_disk_that_is_too_small(export: Export, home: Path, model: Path) -> None:
    with mounted(home / "disk", "size=2m") as disk:
        plant(disk / "out", OLD)
        assert_refused(export(model, "-o", disk / "out", "--force", *FP32), 74)
        assert tree(disk / "out") == OLD
        assert names(disk) == ["out"]


def test_a_disk_that_fills_up_on_the_way(export: Export, home: Path, model: Path) -> None:
    plant(home / "out", OLD)
    done = export(model, "-o", home / "out", "--force", *FP32, limit=300_000)
    assert_refused(done, 74)
    assert "] lower onnx" in done.stderr
    assert tree(home / "out") == OLD
    assert names(home) == ["out"]
    assert scratch_of(home) == []


# Signals


def struck(home: Path, model: Path, stage: str, number: int) -> tuple[int, str]:
    """Exit status and stderr of an export that gets a signal when a stage begins."""
    command = [sys.executable, "-m", "edgekit", "export", str(model), "--force", *FP32]
    with subprocess.Popen(
        [*command, "-o", str(home / "out")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=home,
        env=environment(home),
    ) as job:
        assert job.stderr is not None
        said = ""
        for line in job.stderr:
            said += line
            if f"] {stage} " in line:
                os.kill(job.pid, number)
                break
        said += job.stderr.read()
        return job.wait(timeout=60), said


SLOW = [pytest.param(stage, marks=pytest.mark.slow) for stage in ("load", "run onnx")]


@pytest.mark.parametrize("stage", ["lower onnx", *SLOW])
def test_interrupted(export: Export, home: Path, model: Path, stage: str) -> None:
    plant(home / "out", OLD)
    status, said = struck(home, model, stage, signal.SIGINT)
    assert status == 128 + signal.SIGINT, said
    assert "stopped by SIGINT" in said
    assert "Traceback" not in said
    assert tree(home / "out") == OLD
    assert names(home) == ["out"]
    assert scratch_of(home) == []


@pytest.mark.parametrize(
    "stage", ["run onnx", SLOW[0], pytest.param("seal", marks=pytest.mark.slow)]
)
def test_killed(export: Export, home: Path, model: Path, stage: str) -> None:
    plant(home / "out", OLD)
    status, said = struck(home, model, stage, signal.SIGKILL)
    assert status == -signal.SIGKILL, said
    left = tree(home / "out")
    if stage != "seal":  # at the very end the new one may just be whole
        assert left == OLD
    assert left is not None
    assert left == OLD or b'"seal"' in left["edgekit.json"]
    # The next run clears away what this one left, and then minds the name.
    assert_refused(export(model, "-o", home / "out"), 73, "already exists")
    assert names(home) == ["out"]
    assert tree(home / "out") == left
    assert scratch_of(home) == []


def test_terminated(home: Path, model: Path) -> None:
    status, said = struck(home, model, "load", signal.SIGTERM)
    assert status == 128 + signal.SIGTERM, said
    assert "Traceback" not in said
    assert names(home) == []
    assert scratch_of(home) == []

"""Quantizations that go wrong, through the program itself: status, message, nothing left behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.bundle.trees import names, plant, tree
from tests.conftest import Completed
from tests.hostile.test_export import assert_refused, environment, scratch_of
from tests.support.models import edit_json, tiny_bert
from tests.support.vocabulary import SENTENCES

OLD = {"quantization.json": b"old", "config.json": b"old"}
Quantize = Callable[..., Completed]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("original") / "model", head="AutoModel")


@pytest.fixture
def model(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "model"))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The parent of every output."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("\n".join([*SENTENCES, *SENTENCES[:10]]), encoding="utf-8")
    return path


def command(*words: str | Path) -> list[str]:
    return [sys.executable, "-m", "edgekit", "quantize", *map(str, words)]


@pytest.fixture
def quantize(home: Path) -> Quantize:
    def run(*words: str | Path) -> Completed:
        return subprocess.run(
            command(*words),
            capture_output=True,
            text=True,
            cwd=home,
            env=environment(home),
            stdin=subprocess.DEVNULL,
            timeout=300,
            check=False,
        )

    return run


# What is asked for: told before torch is loaded


@pytest.mark.parametrize(
    ("words", "status", "telling"),
    [
        (["--scheme", "int5"], 64, "unknown scheme 'int5'"),
        (["--scheme", "mixed"], 64, "needs a budget"),
        (["--scheme", "int8", "--max-size", "20MB"], 64, "int8 takes no budget"),
        (["--max-latency", "soon"], 64, "'soon' is no latency"),
        (["--scheme", "mixed", "--max-size", "much"], 64, "'much' is no size"),
        (["--group", "48"], 64, "a group of 48 columns"),
        (["--scaling", "smooth"], 64, "unknown scaling 'smooth'"),
        (["--task", "poetry"], 64, "'poetry'"),
        (["--recipe", "no.toml"], 66, "no recipe no.toml"),
        (["--revision", "main"], 64, "not on the hub"),
    ],
)
def test_requests(
    quantize: Quantize, home: Path, model: Path, words: list[str], status: int, telling: str
) -> None:
    assert_refused(quantize(model, "-o", home / "out", *words), status, telling)
    assert names(home) == []


@pytest.mark.parametrize(
    ("words", "telling"),
    [
        (["--quantize", "int4", "--runtime", "onnx", "--delegate", "nnapi"], "delegate nnapi"),
        (["--quantize", "int4-int8", "--delegate", "none"], "executorch artifact"),
    ],
)
def test_schemes_that_a_runtime_cannot_do(
    home: Path, model: Path, words: list[str], telling: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "edgekit", "export", str(model), "-o", str(home / "out"), *words],
        capture_output=True,
        text=True,
        cwd=home,
        env=environment(home),
        timeout=300,
        check=False,
    )
    assert_refused(done, 78, telling, "no kernels for")
    assert names(home) == []


@pytest.mark.parametrize(
    ("content", "status", "telling"),
    [
        (None, 66, "no calibration file"),
        (b"", 65, "no text"),
        (b"\n  \n\t\n", 65, "no text"),
        (b"\x89PNG\r\n\x1a\n\xff\xfe\x00", 65, "not UTF-8"),
        (b"one\ntwo\nthree\nfour\nfive\nsix\nseven\n", 65, "has 7 texts, calibration needs 8"),
        (16 * 2**20 + 1, 65, "is over 16777216 bytes"),
        ("ᚠᚢᚦ ᚨᚱᚲ ᚷᚹᚺ\n".encode() * 40, 65, "100% of the calibration tokens are unknown"),
    ],
    ids=["missing", "empty", "blank", "binary", "few", "huge", "runes"],
)
def test_calibration_files(
    quantize: Quantize,
    home: Path,
    tmp_path: Path,
    model: Path,
    content: bytes | int | None,
    status: int,
    telling: str,
) -> None:
    data = tmp_path / "data.txt"
    if isinstance(content, bytes):
        data.write_bytes(content)
    elif content is not None:
        with data.open("wb") as stream:
            stream.truncate(content)
    done = quantize(model, "-o", home / "deep" / "out", "--data", data)
    assert_refused(done, status, telling)
    assert names(home) == []


def test_texts_that_are_poor_are_told_and_used(
    quantize: Quantize, home: Path, tmp_path: Path, model: Path
) -> None:
    data = tmp_path / "data.txt"
    long = " ".join(SENTENCES)
    data.write_text("\n".join([*SENTENCES[:8], long, "ᚠᚢᚦ " * 99]), encoding="utf-8")
    done = quantize(model, "-o", home / "out", "--data", data, "--max-length", "32")
    assert done.returncode == 0, done.stderr
    assert "only 10 calibration texts: 32 or more are truer" in done.stderr
    assert "2 of 10 calibration texts were cut at 32 tokens" in done.stderr
    assert "of the calibration tokens are unknown to the model" in done.stderr
    assert "2 texts cut" in done.stdout


def test_a_recipe_with_slips(quantize: Quantize, home: Path, tmp_path: Path, model: Path) -> None:
    recipe = tmp_path / "mine.toml"
    for text, status, telling in (
        ("sheme = 'int8'", 64, "unknown key 'sheme'"),
        ("[[tensor]]\nmatch = '*.ffn.*'\nbits = 4", 64, "'*.ffn.*' matches no tensor"),
        ("[[tensor]]\nmatch = '*.query.weight'\nbits = 2", 64, "no kernel for a linear with 2"),
        ("data = 'nowhere.txt'", 66, "nowhere.txt"),
    ):
        recipe.write_text(text)
        assert_refused(quantize(model, "-o", home / "out", "--recipe", recipe), status, telling)
        assert names(home) == []


# The model


def damage(model: Path, name: str, value: float) -> None:
    tensors = load_file(model / "model.safetensors")
    tensors[name][..., 0] = value
    save_file(tensors, model / "model.safetensors", metadata={"format": "pt"})


def test_nan_weights(quantize: Quantize, home: Path, model: Path) -> None:
    damage(model, "encoder.layer.1.output.dense.weight", torch.nan)
    done = quantize(model, "-o", home / "out")
    assert_refused(done, 65, "layer.1.output.dense.weight' has 64 values that are NaN")
    assert names(home) == []


def test_a_model_that_is_quantized_by_others(quantize: Quantize, home: Path, model: Path) -> None:
    edit_json(model / "config.json", quantization_config={"quant_method": "gptq", "bits": 4})
    done = quantize(model, "-o", home / "out")
    assert_refused(done, 78, "quantization_config", "original float checkpoint")


def test_a_model_that_loses_too_much(
    quantize: Quantize, home: Path, model: Path, texts: Path
) -> None:
    """1e4 where the input is always zero: fp32 never feels it, a scale for each row does."""
    tensors = load_file(model / "model.safetensors")
    tensors["embeddings.LayerNorm.weight"][0] = 0.0
    tensors["encoder.layer.0.attention.self.value.weight"][:, 0] = 1e4
    save_file(tensors, model / "model.safetensors", metadata={"format": "pt"})
    done = quantize(model, "-o", home / "out", "--data", texts)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "Most is lost in model.encoder.layer.0.attention.self.value.weight" in done.stderr
    assert "\nhint:  Nothing was written. Try --scheme none" in done.stderr
    assert "simulated" in done.stdout
    assert "FAILED" in done.stdout
    assert names(home) == []


# The output


@pytest.mark.slow
def test_twice(quantize: Quantize, home: Path, model: Path, texts: Path) -> None:
    """A quantized folder is no input; without its plan it is the model again."""
    first = quantize(model, "-o", home / "one", "--data", texts)
    assert first.returncode == 0, first.stderr
    assert_refused(
        quantize(home / "one", "-o", home / "two"),
        65,
        "one is quantized already",
        "Start from the folder that it was made of",
    )
    for name in ("quantization.json", "quantization.safetensors"):
        assert_refused(quantize(home / "one", "-o", home / "two"), 65, "quantized already")
        (home / "one" / name).unlink()
    again = quantize(home / "one", "-o", home / "two", "--data", texts)
    assert again.returncode == 0, again.stderr
    assert names(home) == ["one", "two"]


def struck(home: Path, model: Path, texts: Path, stage: str, number: int) -> tuple[int, str]:
    """Exit status and stderr of a run that gets a signal when a stage begins."""
    words = command(model, "--force", "-o", home / "out", "--data", texts)
    with subprocess.Popen(
        words,
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


SLOW = [pytest.param(stage, marks=pytest.mark.slow) for stage in ("load", "calibrate")]


@pytest.mark.parametrize("stage", ["write", *SLOW])
def test_killed(quantize: Quantize, home: Path, model: Path, texts: Path, stage: str) -> None:
    plant(home / "out", OLD)
    status, said = struck(home, model, texts, stage, signal.SIGKILL)
    assert status == -signal.SIGKILL, said
    left = tree(home / "out")
    assert left is not None
    # At the very end the new one may just be whole.
    assert left == OLD or (stage == "write" and "quantization.safetensors" in left)
    # The next run clears away what this one left, and then minds the name.
    assert_refused(quantize(model, "-o", home / "out"), 73, "already exists")
    assert names(home) == ["out"]
    assert tree(home / "out") == left
    assert scratch_of(home) == []


def test_interrupted(home: Path, model: Path, texts: Path) -> None:
    plant(home / "out", OLD)
    status, said = struck(home, model, texts, "calibrate", signal.SIGINT)
    assert status == 128 + signal.SIGINT, said
    assert "Traceback" not in said
    assert tree(home / "out") == OLD
    assert names(home) == ["out"]

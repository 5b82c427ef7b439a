"""The Python interface on real bundles, and what it refuses before torch is loaded."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import edgekit
from edgekit import Bundle, errors
from edgekit.stages import Progress
from tests.conftest import clean_environment
from tests.support import bundles
from tests.support.models import tiny_distilbert

TEXTS = ["The sun rises in the east.", "Morning light comes from the east.", "Ein Hund bellt."]


def test_public_names_are_there() -> None:
    assert set(edgekit.__all__) <= set(dir(edgekit))
    for name in edgekit.__all__:
        assert getattr(edgekit, name) is not None
    assert edgekit.errors is errors
    with pytest.raises(AttributeError, match="nonsense"):
        _ = edgekit.nonsense


@pytest.mark.slow
def test_type_checkers_see_the_lazy_names(tmp_path: Path) -> None:
    user = tmp_path / "user.py"
    user.write_text(
        "import edgekit\n"
        "reveal_type(edgekit.export)\n"
        "reveal_type(edgekit.Bundle.open('x').manifest.task)\n"
        "reveal_type(edgekit.errors.SpecError.exit_status)\n"
    )
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--config-file=",
            "--strict",
            "--follow-imports=silent",
            user,
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=clean_environment(MYPYPATH=str(Path(edgekit.__file__).parents[1])),
    )
    revealed = [line.partition("Revealed type is ")[2] for line in done.stdout.splitlines()]
    assert any("-> edgekit.api.opened.Bundle" in text for text in revealed), done.stdout
    # Newer releases of mypy leave the "builtins." out.
    plain = [text.replace("builtins.", "") for text in revealed]
    assert '"str"' in plain
    assert '"int"' in plain


@pytest.mark.parametrize(
    ("request_", "telling"),
    [
        ({"target": "toaster"}, "toaster"),
        ({"task": "sentence-similarty"}, "sentence-similarty"),
        ({"runtimes": ["onnx", "tflite"]}, "tflite"),
        ({"quantize": "int2"}, "int2"),
        ({"delegate": "coreml"}, "coreml"),
    ],
)
def test_a_wrong_request_is_told_before_torch_is_loaded(
    request_: dict[str, object], telling: str
) -> None:
    code = (
        "import sys, edgekit\n"
        "try:\n"
        f"    edgekit.export('minilm', **{request_!r})\n"
        "except edgekit.errors.SpecError as error:\n"
        "    print(error, '|', error.hint)\n"
        "assert not {'torch', 'transformers', 'onnx'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=clean_environment(),
    )
    message, _, hint = done.stdout.partition(" | ")
    assert telling in message
    assert hint.strip()


def test_open_needs_no_runtime(tiny_bundle: Path) -> None:
    code = (
        "import json, sys, edgekit\n"
        f"bundle = edgekit.Bundle.open({str(tiny_bundle)!r})\n"
        "print(json.dumps([bundle.manifest.task, *sorted(sys.modules)]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    task, *modules = json.loads(done.stdout)
    assert task == "sentence-similarity"
    assert not {"torch", "onnxruntime", "executorch", "transformers"} & set(modules)


def test_open_refuses_a_flipped_bit(tiny_bundle: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(tiny_bundle, copy)
    model = copy / "model.onnx"
    raw = bytearray(model.read_bytes())
    raw[len(raw) // 2] ^= 1
    model.write_bytes(raw)
    with pytest.raises(errors.BundleCorrupt, match=r"model\.onnx"):
        Bundle.open(copy)


@pytest.mark.parametrize("runtime", ["executorch", "onnx"])
def test_run_gives_one_answer_a_text(tiny_bundle: Path, runtime: str) -> None:
    with Bundle.open(tiny_bundle) as bundle:
        answers = bundle.run(TEXTS, runtime=runtime)
        assert bundle.loaded == (runtime,)
    assert bundle.loaded == ()
    assert [answer["text"] for answer in answers] == TEXTS
    for answer in answers:
        assert np.linalg.norm(answer["embedding"]) == pytest.approx(1.0, abs=1e-3)
    json.dumps(answers, allow_nan=False)


def test_runtimes_agree(tiny_bundle: Path) -> None:
    with Bundle.open(tiny_bundle) as bundle:
        first, second = (bundle.run(TEXTS, runtime=name) for name in ("executorch", "onnx"))
    for one, other in zip(first, second, strict=True):
        assert np.dot(one["embedding"], other["embedding"]) > 0.999


def test_without_a_runtime_the_first_is_taken(tiny_bundle: Path) -> None:
    with Bundle.open(tiny_bundle) as bundle:
        bundle.run(TEXTS[:1])
        assert bundle.loaded == bundle.runtimes[:1]


def test_classification_gives_labels_best_first(tiny_bundles: dict[str, Path]) -> None:
    with Bundle.open(tiny_bundles["text-classification"]) as bundle:
        (answer,) = bundle.run(TEXTS[:1])
    scores = [entry["score"] for entry in answer["labels"]]
    assert scores == sorted(scores, reverse=True)
    assert sum(scores) == pytest.approx(1.0)
    assert {entry["label"] for entry in answer["labels"]} == set(bundle.manifest.labels or ())


def test_top_k_of_a_mask(tiny_bundles: dict[str, Path]) -> None:
    with Bundle.open(tiny_bundles["fill-mask"]) as bundle:
        mask = bundle.mask_token
        (answer,) = bundle.run([f"The {mask} rises in the {mask}."], top_k=3)
        assert [len(fills) for fills in answer["masks"]] == [3, 3]
        with pytest.raises(errors.TextRefused, match="no mask"):
            bundle.run(["No gap here."])


def test_answers_come_one_by_one(tiny_bundle: Path) -> None:
    asked: list[str] = []

    def texts() -> object:
        for text in TEXTS:
            asked.append(text)
            yield text

    with Bundle.open(tiny_bundle) as bundle:
        stream = bundle.answers(texts())  # type: ignore[arg-type]
        assert asked == []
        assert next(stream)["text"] == TEXTS[0]
        assert asked == TEXTS[:1]


def test_run_refuses_what_it_cannot_answer(tiny_bundle: Path) -> None:
    with Bundle.open(tiny_bundle) as bundle:
        with pytest.raises(errors.SpecError, match="one string"):
            bundle.run("a text")
        with pytest.raises(errors.SpecError, match="top_k"):
            bundle.run(TEXTS, top_k=0)
        with pytest.raises(errors.SpecError, match="tflite"):
            bundle.run(TEXTS, runtime="tflite")
        with pytest.raises(errors.TextRefused, match="empty"):
            bundle.run(["  "])
        with pytest.raises(errors.TextRefused, match="tokens"):
            bundle.run(["word " * 500])
        with pytest.raises(errors.SpecError, match="a99"):
            bundle.verify(arm64=["a99"])
        with pytest.raises(errors.SpecError, match="tflite"):
            bundle.verify(runtimes=["tflite"])


def test_verify_reports_every_hop_and_its_progress(tiny_bundle: Path) -> None:
    told: list[Progress] = []
    hops = Bundle.open(tiny_bundle).verify(progress=told.append)
    assert {hop.artifact for hop in hops} == {"model.pte", "model.onnx"}
    assert all(hop.passed for hop in hops)
    assert told[-1].stage == "done"


def test_export_will_not_replace_without_force(tiny_bundle: Path, tmp_path: Path) -> None:
    copy = tmp_path / "taken"
    shutil.copytree(tiny_bundle, copy)
    model = bundles.model("sentence-similarity", tmp_path)
    with pytest.raises(errors.OutputExists):
        edgekit.export(model, out=copy)
    assert Bundle.open(copy).manifest == Bundle.open(tiny_bundle).manifest


@pytest.mark.slow
def test_padding_is_no_answer(tmp_path: Path) -> None:
    """A fixed length pads every text; the answer has the text's tokens alone."""
    model = tiny_distilbert(tmp_path / "model", head="AutoModel")
    with edgekit.export(
        model,
        out=tmp_path / "bundle",
        task="feature-extraction",
        delegate="nnapi",
        max_length=12,
    ) as bundle:
        answer = bundle.run(["The sun rises."])[0]
    assert len(answer["tokens"]) == len(answer["features"]) < 12
    assert "[PAD]" not in answer["tokens"]

"""The pipeline from a folder to a sealed bundle: tasks, options, and what is said on the way."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgekit import Bundle
from edgekit.bundle.goldens import read
from edgekit.bundle.manifest import Manifest
from edgekit.bundle.read import check_files, load_manifest
from edgekit.errors import InputRefused, SpecError, Unsupported
from edgekit.stages import Progress
from edgekit.verify import verify
from edgekit_converters import pipeline
from edgekit_converters.build import _estimate
from edgekit_converters.source import Source
from tests.bundle.trees import names
from tests.support import bundles
from tests.support.models import (
    MAX_POSITIONS,
    edit_json,
    tiny_bert,
    tiny_distilbert,
    write_json,
    write_model,
)
from tests.support.refusals import loaded, refused

TEXTS = [
    "The train leaves at seven.",
    "Das Wetter ist schön.",
    "Is it far?",
    "今天天气很好。",
    "no",
]


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    path = tmp_path / "samples.txt"
    path.write_text("\n".join(TEXTS), encoding="utf-8")
    return path


@pytest.fixture
def export(tmp_path: Path, samples: Path) -> Callable[..., tuple[Path, Manifest]]:
    def run(folder: Path, **options: Any) -> tuple[Path, Manifest]:
        asked: dict[str, Any] = {
            "runtimes": ["onnx"],
            "quantize": "none",
            "samples": samples,
        } | options
        made = pipeline.export(folder, out=tmp_path / "home" / "out", **asked)
        manifest = load_manifest(made)
        check_files(made, manifest)
        return made, manifest

    return run


def test_everything_that_a_bundle_says(
    export: Callable[..., tuple[Path, Manifest]], tmp_path: Path
) -> None:
    folder = tiny_distilbert(tmp_path / "my model!", labels=("no", "yes"))
    (folder / "LICENSE").write_text("free")
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# mine\n")
    write_json(folder / "provenance.json", [{"stage": "distill", "seed": 1}])
    told: list[Progress] = []
    made, manifest = export(folder, quantize="int8", max_length=40, progress=told.append)
    assert names(made) == [
        "LICENSE",
        "README.md",
        "edgekit.json",
        "goldens.safetensors",
        "model.onnx",
        "report.json",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert (manifest.task, manifest.family, manifest.licence) == (
        "text-classification",
        "distilbert",
        "mit",
    )
    assert manifest.labels == ("no", "yes")
    assert manifest.limits.max_length == 40
    assert manifest.base_model.id == "my model!"
    assert manifest.base_model.weights_sha256 == loaded(folder).weights_sha256
    assert [stage["stage"] for stage in manifest.provenance] == ["distill", "export"]
    assert manifest.provenance[1]["config"]["scheme"] == "int8"
    assert [hop.hop for hop in manifest.quality] == ["exported", "rewritten", "onnx"]
    assert manifest.certified
    assert str(tmp_path) not in (made / "edgekit.json").read_text()
    report = json.loads((made / "report.json").read_text())
    assert report["samples"] == {"count": len(TEXTS), "origin": "given with --samples"}
    stages = [step.stage for step in told if step.stage != "note"]
    assert stages == [
        "load",
        "capture",
        "reference",
        "rewrite",
        "calibrate",
        "lower onnx",
        "run onnx",
        "seal",
        "done",
    ]
    assert [step.elapsed for step in told] == sorted(step.elapsed for step in told)
    assert told[-2].remaining is not None
    assert verify(made)[0].same_artifact == 1.0


def test_goldens_are_the_eager_models_answers(
    export: Callable[..., tuple[Path, Manifest]], tmp_path: Path
) -> None:
    from transformers import AutoModelForSequenceClassification

    folder = tiny_bert(tmp_path / "model")
    made, manifest = export(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    stored = read(made / "goldens.safetensors")
    assert [golden.text for golden in stored] == TEXTS
    assert manifest.goldens.count == len(TEXTS)
    tokenizer = loaded(folder).tokenizer
    for golden in stored:
        ids = tokenizer.encode(golden.text).ids
        assert golden.inputs["input_ids"].tolist() == [ids]
        with torch.no_grad():
            wanted = model(input_ids=torch.tensor([ids])).logits.numpy()
        np.testing.assert_allclose(golden.reference, wanted, atol=1e-5)
        np.testing.assert_allclose(golden.expected["onnx"], wanted, atol=1e-5)


def test_nnapi(export: Callable[..., tuple[Path, Manifest]], tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path / "model", head="AutoModel")
    made, manifest = export(folder, runtimes=None, quantize=None, delegate="nnapi", max_length=24)
    (artifact,) = manifest.artifacts
    assert (artifact.runtime, artifact.delegate, artifact.scheme) == ("onnx", "nnapi", "fp32")
    assert manifest.limits.min_length == manifest.limits.max_length == 24
    assert [hop.hop for hop in manifest.quality] == ["exported", "rewritten", "onnx"]
    assert all(hop.worst_cosine >= 0.99999 for hop in manifest.quality)
    assert json.loads((made / "report.json").read_text())["nnapi"]["partitions"] > 0
    card = (made / "README.md").read_text()
    assert "exactly 24 tokens: pad" in card
    assert card.count("deprecates NNAPI") == 1
    assert verify(made)[0].passed


def test_a_tied_head_is_counted_once(
    export: Callable[..., tuple[Path, Manifest]], tmp_path: Path
) -> None:
    folder = tiny_bert(tmp_path / "model", head="AutoModelForMaskedLM")
    made, manifest = export(folder, quantize="int8")
    model = loaded(folder, "AutoModelForMaskedLM").model
    (artifact,) = manifest.artifacts
    assert artifact.fp32_bytes == sum(p.nbytes for p in model.parameters())
    with Bundle.open(made) as bundle:
        (answer,) = bundle.run(["The [MASK] leaves at [MASK]."])
    assert [len(fills) for fills in answer["masks"]] == [5, 5]
    texts = [golden.text for golden in read(made / "goldens.safetensors")]
    assert all(text.count("[MASK]") == 1 for text in texts)


@pytest.mark.parametrize(
    ("name", "config"), [("roberta", "RobertaConfig"), ("electra", "ElectraConfig")]
)
def test_an_architecture_that_nothing_was_written_for(
    export: Callable[..., tuple[Path, Manifest]], tmp_path: Path, name: str, config: str
) -> None:
    import transformers

    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    sizes |= {"num_attention_heads": 2, "max_position_embeddings": MAX_POSITIONS}
    head = "AutoModelForSequenceClassification"
    folder = write_model(tmp_path / "model", getattr(transformers, config), sizes, head)
    _, manifest = export(folder, quantize="int8")
    assert (manifest.family, manifest.task) == (name, "text-classification")
    assert manifest.certified


def test_causal_models_are_not_supported(
    export: Callable[..., tuple[Path, Manifest]], tmp_path: Path
) -> None:
    from transformers import GPT2Config

    sizes = {"n_embd": 32, "n_layer": 1, "n_head": 2, "n_positions": 64}
    folder = write_model(tmp_path / "model", GPT2Config, sizes)
    job = lambda: export(folder, task="feature-extraction")  # noqa: E731
    error = refused(Unsupported, 78, "gpt2 models cannot be captured", job)
    assert "causal" in error.message
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("changes", "error", "status", "word"),
    [
        ({"id2label": {"1": "a", "2": "b", "3": "c"}}, InputRefused, 65, "id2label"),
        ({"problem_type": "divination"}, InputRefused, 65, "divination"),
    ],
)
def test_labels_that_do_not_fit(
    export: Callable[..., tuple[Path, Manifest]],
    tmp_path: Path,
    changes: dict[str, object],
    error: type[InputRefused],
    status: int,
    word: str,
) -> None:
    folder = tiny_bert(tmp_path / "model")
    edit_json(folder / "config.json", **changes)
    refused(error, status, word, lambda: export(folder))


@pytest.mark.parametrize("content", ["{", "{}", "[3]"])
def test_a_malformed_provenance(
    export: Callable[..., tuple[Path, Manifest]], tmp_path: Path, content: str
) -> None:
    folder = tiny_bert(tmp_path / "model")
    (folder / "provenance.json").write_text(content)
    refused(InputRefused, 65, "provenance.json", lambda: export(folder))


@pytest.mark.parametrize("length", [2, MAX_POSITIONS + 1])
def test_a_length_that_the_model_cannot_have(
    export: Callable[..., tuple[Path, Manifest]], tmp_path: Path, length: int
) -> None:
    folder = tiny_bert(tmp_path / "model")
    refused(SpecError, 64, str(length), lambda: export(folder, max_length=length))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("org/Model-1.5", "Model-1.5"),
        ("my model!", "my-model-"),
        ("..", "model"),
        ("/", "model"),
        ("a/.hidden", "hidden"),
        ("größe", "größe"),
        ("a\nb;$(c)", "a-b---c-"),
    ],
)
def test_bundle_names(name: str, expected: str) -> None:
    found = pipeline.bundle_name(Source(Path(), name, "folder", None))
    assert found == expected
    assert re.fullmatch(r"[^/\s$;()]+", found)


def test_the_space_asked_for_is_enough(tiny_bundles: dict[str, Path], tmp_path: Path) -> None:
    from edgekit_converters.job import Job
    from edgekit_converters.request import check

    for task, auto_class in (
        ("sentence-similarity", "AutoModel"),
        ("text-classification", "AutoModelForSequenceClassification"),
        ("fill-mask", "AutoModelForMaskedLM"),
    ):
        made = tiny_bundles[task]
        model = loaded(bundles.model(task, tmp_path), auto_class, may_miss=("pooler.",))
        runtimes = [artifact.runtime for artifact in load_manifest(made).artifacts]
        request = check("android-arm64", task, runtimes, "none", None)
        size = sum(path.stat().st_size for path in made.iterdir())
        assert _estimate(Job(request, "x", task, model, [], False, "fp32")) >= size

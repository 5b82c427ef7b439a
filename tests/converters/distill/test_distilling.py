"""The job from end to end: a teacher's folder and data in, an ordinary folder out."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from edgekit.errors import InputMissing, InputRefused, OutputExists, SpecError, Unsupported
from edgekit_converters.distill.distilling import WORK, distill
from edgekit_converters.distill.losses import parse
from edgekit_converters.distill.models import opened
from edgekit_converters.distill.recipe import Recipe
from edgekit_converters.distill.report import REPORT, Distilled
from edgekit_converters.distill.report import opened as report_of
from edgekit_converters.distill.wanted import Beginning
from edgekit_converters.folder import check
from edgekit_converters.source import resolve
from tests.converters.distill.conftest import TEXTS
from tests.converters.distill.test_student import other_tokens
from tests.support.models import LABELS, edit_json, tiny_bert
from tests.support.refusals import refused

# Without the repair, after which a random model has little left to learn.
FEW = Recipe(steps=25, batch=16, learning_rate=2e-3, repair=False)


def made(teacher: Path, data: Path, out: Path, said: Recipe = FEW, **more: Any) -> Distilled:
    more.setdefault("beginning", Beginning(layers="0,3"))
    return distill(teacher, [data], out=out, said=said, **more)


def by_name(found: Distilled) -> dict[str, dict[str, Any]]:
    return {run["run"]: run for run in found.report["runs"]}


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_sentence_encoder(teacher_folder: Path, texts: Path, tmp_path: Path) -> None:
    before = digests(teacher_folder)
    told: list[str] = []
    found = made(
        teacher_folder,
        texts,
        tmp_path / "student",
        beginning=Beginning(layers="2"),
        progress=lambda progress: told.append(f"{progress.stage} {progress.note}".strip()),
    )
    assert digests(teacher_folder) == before
    runs = by_name(found)
    assert set(runs) == {"distilled", "untrained", "teacher", "random start"}
    assert runs["distilled"]["cosine"] > runs["untrained"]["cosine"] + 0.1
    assert runs["distilled"]["steps"] == runs["random start"]["steps"] == 25
    assert runs["teacher"]["fidelity"] == pytest.approx(1.0, abs=1e-5)
    assert len(found.report["student"]["search"]) == 6
    assert found.report["student"]["repair"] is None
    assert "no training at all" in found.report["verdict"]
    assert [line for line in told if "step 25 of 25" in line]
    assert [line for line in told if line.startswith("search")]

    from transformers import AutoModel

    loaded = AutoModel.from_pretrained(found.path)
    assert loaded.config.num_hidden_layers == 2
    again = opened(resolve(found.path))
    assert (again.task, again.loaded.max_length) == ("sentence-similarity", 64)
    (stage,) = json.loads((found.path / "provenance.json").read_text())
    assert stage["stage"] == "distill"
    assert stage["input_sha256"] == found.report["teacher"]["weights_sha256"]
    assert report_of(found.path).report == found.report
    card = (found.path / "README.md").read_text(encoding="utf-8")
    assert found.report["verdict"] in card
    assert "| random start |" in card
    steps = [json.loads(line) for line in (found.path / "metrics.jsonl").read_text().splitlines()]
    assert steps[0]["step"] == 1
    assert not (tmp_path / f"student{WORK}").exists()


def test_the_same_request_gives_the_same_bytes(
    teacher_folder: Path, texts: Path, tmp_path: Path
) -> None:
    said = Recipe(steps=8, batch=16, controls=False)
    one = made(teacher_folder, texts, tmp_path / "one" / "student", said)
    two = made(teacher_folder, texts, tmp_path / "two" / "student", said)
    brought = one.report["student"]["repair"]
    assert brought == two.report["student"]["repair"]
    assert brought["kept"]
    assert brought["after"] > brought["before"]
    assert one.report["student"]["from"] == "layers 0,3 of 4, refitted"
    assert "were refitted" in (one.path / "README.md").read_text(encoding="utf-8")
    names = ("model.safetensors", "config.json", "tokenizer.json")
    assert [digests(one.path)[n] for n in names] == [digests(two.path)[n] for n in names]
    assert set(by_name(one)) == {"distilled", "untrained", "teacher"}
    other = made(teacher_folder, texts, tmp_path / "three", Recipe(steps=8, batch=16, seed=1))
    assert digests(other.path)[names[0]] != digests(one.path)[names[0]]


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A classifier and texts whose labels it gets right half of the time."""
    folder = tmp_path_factory.mktemp("labelled")
    teacher = tiny_bert(folder / "teacher", num_hidden_layers=4)
    lines = ["text,label"]
    for number, text in enumerate(TEXTS[:120]):
        lines.append(f'"{text}",{LABELS[number % 3]}')
    data = folder / "data.csv"
    data.write_text("\n".join(lines), encoding="utf-8")
    return teacher, data


def test_a_classifier_with_labels(labelled: tuple[Path, Path], tmp_path: Path) -> None:
    teacher, data = labelled
    found = made(teacher, data, tmp_path / "student", Recipe(**vars(FEW) | {"losses": None}))
    runs = by_name(found)
    assert set(runs) == {"distilled", "untrained", "teacher", "labels only", "random start"}
    assert all("accuracy" in run for run in runs.values())
    assert runs["distilled"]["fidelity"] > runs["untrained"]["fidelity"]
    assert runs["distilled"]["fidelity"] > runs["labels only"]["fidelity"]
    assert "training on labels alone" in found.report["verdict"]
    assert opened(resolve(found.path)).loaded.config.id2label == dict(enumerate(LABELS))


def test_a_classifier_without_labels(
    labelled: tuple[Path, Path], texts: Path, tmp_path: Path
) -> None:
    said = Recipe(steps=4, batch=8, controls=False)
    found = made(labelled[0], texts, tmp_path / "student", said)
    assert "accuracy" not in by_name(found)["distilled"]


def test_a_masked_language_model(texts: Path, tmp_path: Path) -> None:
    teacher = tiny_bert(tmp_path / "teacher", head="AutoModelForMaskedLM", num_hidden_layers=3)
    said = Recipe(**vars(FEW) | {"steps": 20, "losses": tuple(parse("distilbert"))})
    found = made(teacher, texts, tmp_path / "student", said, beginning=Beginning(layers="0,2"))
    runs = by_name(found)
    assert {"bits", "accuracy", "fidelity"} <= set(runs["labels only"])
    assert runs["distilled"]["fidelity"] > runs["untrained"]["fidelity"]
    tied = {name for name in check(found.path).tensors if "decoder" in name}
    assert not tied & {"cls.predictions.decoder.weight"}  # stored once, as in the teacher's folder


def test_a_student_of_its_own_with_other_tokens(
    teacher_folder: Path, texts: Path, tmp_path: Path
) -> None:
    folder = other_tokens(tmp_path / "own")
    wanted = {"beginning": Beginning(folder=folder), "said": FEW}
    refused(
        InputRefused,
        65,
        "other tokens",
        lambda: distill(teacher_folder, [texts], out=tmp_path / "out", **wanted),
    )
    assert not (tmp_path / "out").exists()
    said = Recipe(steps=25, batch=16, learning_rate=2e-3, losses=tuple(parse("cosine")))
    found = distill(
        teacher_folder,
        [texts],
        out=tmp_path / "out",
        beginning=Beginning(folder=folder),
        said=said,
        bridge=True,
    )
    runs = by_name(found)
    assert runs["distilled"]["cosine"] > runs["untrained"]["cosine"] + 0.1
    assert found.report["student"]["bridged"]
    own = json.loads((folder / "tokenizer.json").read_text())
    assert json.loads((found.path / "tokenizer.json").read_text()) == own


def test_what_cannot_be_taught_is_refused(
    teacher_folder: Path, texts: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    empty = tmp_path / "empty.txt"
    empty.write_text("\n\n")
    refused(InputRefused, 65, "no rows", lambda: made(teacher_folder, empty, out))
    said = Recipe(losses=tuple(parse("logits")))
    refused(SpecError, 64, "does not go with", lambda: made(teacher_folder, texts, out, said))
    said = Recipe(losses=tuple(parse("on_policy")))
    masked = tiny_bert(tmp_path / "masked", head="AutoModelForMaskedLM")
    refused(SpecError, 64, "write", lambda: made(masked, texts, out, said))
    several = tiny_bert(tmp_path / "several")
    edit_json(several / "config.json", problem_type="multi_label_classification")
    refused(Unsupported, 78, "several labels", lambda: made(several, texts, out))
    question = tiny_bert(tmp_path / "question", head="AutoModelForQuestionAnswering")
    refused(Unsupported, 78, "question-answering", lambda: made(question, texts, out))
    said = Recipe(accumulate=3, batch=16, steps=2)
    refused(SpecError, 64, "does not divide", lambda: made(teacher_folder, texts, out, said))
    missing = tmp_path / "none.txt"
    refused(InputMissing, 66, "none.txt", lambda: made(teacher_folder, missing, out))
    refused(InputMissing, 66, "nobody", lambda: made(tmp_path / "nobody", texts, out))
    assert not out.exists()
    out.mkdir()
    refused(OutputExists, 73, "exists", lambda: made(teacher_folder, texts, out))


def test_a_frozen_table_stays_the_teachers(
    teacher_folder: Path, texts: Path, tmp_path: Path
) -> None:
    said = Recipe(steps=5, batch=8, learning_rate=1e-2, controls=False)
    found = made(teacher_folder, texts, tmp_path / "frozen", said)
    trained = Recipe(**vars(said) | {"train_tables": True})
    other = made(teacher_folder, texts, tmp_path / "trained", trained)

    def table(folder: Path) -> torch.Tensor:
        whole: Any = opened(resolve(folder)).model
        return whole.get_input_embeddings().weight

    assert torch.equal(table(found.path), table(teacher_folder))
    assert not torch.equal(table(other.path), table(teacher_folder))
    assert json.loads((found.path / REPORT).read_text())["config"]["steps"] == 5


@pytest.mark.slow
@pytest.mark.long
def test_a_student_goes_into_export(teacher_folder: Path, texts: Path, tmp_path: Path) -> None:
    import edgekit

    said = Recipe(steps=3, batch=8, controls=False)
    found = made(teacher_folder, texts, tmp_path / "student", said)
    with edgekit.export(found.path, out=tmp_path / "bundle", runtimes=["onnx"]) as bundle:
        bundle.verify()
        stages = [stage["stage"] for stage in bundle.manifest.provenance]
        assert stages == ["distill", "export"]
        assert bundle.manifest.base_model.id == "student"

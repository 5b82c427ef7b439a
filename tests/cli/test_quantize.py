"""``edgekit quantize`` and ``edgekit inspect`` as a user types them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from edgekit import api
from edgekit.bundle import report
from edgekit.bundle.seal import seal
from edgekit.errors import BundleCorrupt, CannotWrite, OutputExists
from edgekit_converters.quantize.record import QuantizedFolder
from tests.bundle import small
from tests.conftest import Program
from tests.support.models import tiny_sentence_bert
from tests.support.refusals import refused
from tests.support.vocabulary import SENTENCES


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    (folder / "texts.txt").write_text("\n".join([*SENTENCES, *SENTENCES[:10]]), encoding="utf-8")
    (folder / "samples.txt").write_text("\n".join(SENTENCES[:6]), encoding="utf-8")
    tiny_sentence_bert(folder / "model")
    return folder


@pytest.fixture(scope="module")
def made(home: Path) -> QuantizedFolder:
    return api.quantize(
        home / "model",
        scheme="int8-int4",
        data=home / "texts.txt",
        samples=home / "samples.txt",
        out=home / "quantized",
    )


def test_the_result_is_a_table_and_the_next_command(
    edgekit: Program, home: Path, tmp_path: Path
) -> None:
    words = ("--data", home / "texts.txt", "--samples", home / "samples.txt", "--scheme", "int8")
    done = edgekit("quantize", home / "model", *words)
    assert done.returncode == 0, done.stderr
    lines = (line.split(maxsplit=1) for line in done.stdout.splitlines())
    rows = dict(line for line in lines if len(line) == 2)
    assert rows["scheme"].startswith("int8 (auto, gptq")
    assert rows["coverage"].startswith("100.0% of")
    assert " -> " in rows["weights"]
    assert rows["calibration"].startswith("36 texts,")
    assert "worst cosine   0.99" in done.stdout
    assert "the 5 tensors that lose most:" in done.stdout
    assert done.stdout.count("int8 per row") == 5
    folder = tmp_path / "model-int8"
    assert rows["folder:"] == str(folder)
    assert rows["next:"] == f"edgekit export {folder}"
    assert "Traceback" not in done.stderr
    assert "] calibrate " in done.stderr


def test_json_is_the_whole_plan(edgekit: Program, home: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text('[[tensor]]\nmatch = "*word_embeddings*"\nbits = 2\n')
    words = ("--data", home / "texts.txt", "--samples", home / "samples.txt", "--json", "-q")
    done = edgekit("quantize", home / "model", *words, "--recipe", recipe, "-o", "out")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    document = json.loads(done.stdout)
    assert document["folder"] == "out"
    assert document["plan"]["facts"]["scheme"] == "mixed"
    stored = json.loads((tmp_path / "out" / "quantization.json").read_bytes())
    assert document["plan"] == stored
    # Only one runtime has 2-bit kernels, and the reader is told before an export is refused.
    shown = edgekit("inspect", "out")
    assert "int2 group 32" in shown.stdout
    from edgekit.cli.ledger import next_command

    opened = api.open_quantized(tmp_path / "out")
    assert opened is not None
    assert next_command(opened).endswith("--runtime executorch")


def test_inspect_a_quantized_folder(edgekit: Program, made: QuantizedFolder) -> None:
    done = edgekit("inspect", made.path)
    assert done.returncode == 0, done.stderr
    assert "int8-int4 (auto, gptq, outliers split)" in done.stdout
    assert "the 5 tensors that lose most:" in done.stdout
    full = edgekit("inspect", made.path, "--ledger").stdout
    names = [row.tensor for row in made.plan.ledger]
    lines = [line for line in full.splitlines() if line.split()[:1] and line.split()[0] in names]
    assert sorted(line.split()[0] for line in lines) == sorted(names)
    table = next(row.tensor for row in made.plan.ledger if row.bits == 4)
    assert lines[0].split()[0] == table  # four bits lose most
    losses = {row.tensor: row.output_db or row.weight_db for row in made.plan.ledger}
    order = [losses[line.split()[0]] for line in lines]
    known = [loss for loss in order if loss is not None]
    assert known == sorted(known)
    assert order[: len(known)] == known
    assert "coverage: 100.0%" in full


def test_inspect_json_of_a_quantized_folder(edgekit: Program, made: QuantizedFolder) -> None:
    for words in ([], ["--ledger"]):
        document = json.loads(edgekit("inspect", made.path, "--json", *words).stdout)
        assert document["plan"] == made.plan.model_dump(mode="json")


def test_inspect_needs_no_torch(made: QuantizedFolder, edgekit: Program) -> None:
    hidden = "import sys; sys.modules['torch'] = sys.modules['transformers'] = None\n"
    (made.path.parent / "sitecustomize.py").write_text(hidden)
    done = edgekit("inspect", made.path, "--ledger", env={"PYTHONPATH": str(made.path.parent)})
    (made.path.parent / "sitecustomize.py").unlink()
    assert done.returncode == 0, done.stderr


def test_a_changed_folder_is_not_shown(
    edgekit: Program, made: QuantizedFolder, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(made.path, copy)
    raw = bytearray((copy / "quantization.safetensors").read_bytes())
    raw[-1] ^= 1
    (copy / "quantization.safetensors").write_bytes(raw)
    done = edgekit("inspect", copy, "--json")
    assert done.returncode == 65
    assert json.loads(done.stdout)["error"]["code"] == "input-refused"


def test_force_replaces_a_quantized_folder_and_nothing_else(home: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def run(**more: Any) -> None:
        texts = {"data": home / "texts.txt", "samples": home / "samples.txt"}
        api.quantize(home / "model", out=out, **texts, **more)

    for name in ("edgekit.json", "config.json"):
        out.mkdir()
        (out / name).write_text("{}")
        refused(CannotWrite, 73, "it holds no quantization.json", lambda: run(force=True))
        assert [path.name for path in out.iterdir()] == [name]
        shutil.rmtree(out)
    run()
    before = (out / "quantization.json").read_bytes()
    refused(OutputExists, 73, "already exists", run)
    # What export writes is replaced by export alone, and the other way round.
    words = {"out": out, "runtimes": ["onnx"], "force": True}
    refused(
        CannotWrite, 73, "it holds no edgekit.json", lambda: api.export(home / "model", **words)
    )
    assert (out / "quantization.json").read_bytes() == before
    run(force=True, scheme="int4")
    assert (out / "quantization.json").read_bytes() != before


# Bundles


def sealed(folder: Path, report_text: str | None) -> Path:
    folder.mkdir()
    small.fill(folder)
    if report_text is not None:
        (folder / "report.json").write_text(report_text, encoding="utf-8")
    seal(folder, small.manifest())
    return folder


def test_the_ledger_of_a_bundle(edgekit: Program, made: QuantizedFolder, tmp_path: Path) -> None:
    rows = [row.model_dump(mode="json") for row in made.plan.ledger]
    text = json.dumps({"coverage": 0.9996, "ledger": rows, "notes": []})
    bundle = sealed(tmp_path / "bundle", text)
    shown = edgekit("inspect", bundle, "--ledger")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout == edgekit("inspect", made.path, "--ledger").stdout.replace(
        "100.0%",
        "99.9%",  # cut, not rounded up to all
    )
    document = json.loads(edgekit("inspect", bundle, "--json").stdout)
    assert (document["coverage"], document["ledger"]) == (0.9996, rows)
    assert document["manifest"]["name"] == "small"
    # A plan laid into a bundle is something that its manifest does not know.
    shutil.copy(made.path / "quantization.json", bundle)
    assert "'quantization.json' is extra" in edgekit("inspect", bundle).stderr


def test_a_bundle_without_a_ledger(edgekit: Program, tmp_path: Path) -> None:
    for name, text in (
        ("none", None),
        ("empty", "{}"),
        ("list", "[]"),
        ("half", '{"coverage": 1}'),
    ):
        assert report.ledger(sealed(tmp_path / name, text)) == {}
    shown = edgekit("inspect", "half", "--ledger")
    assert shown.returncode == 0
    assert "no ledger: an older edgekit made it" in shown.stdout
    assert "ledger" not in json.loads(edgekit("inspect", "none", "--json").stdout)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[" * 100_000,
        '{"ledger": 1, "coverage": 1.0}',
        '{"ledger": [1], "coverage": 1.0}',
        '{"ledger": [{}], "coverage": 1.0}',
        '{"ledger": [], "coverage": "all"}',
        '{"ledger": []}',
    ],
)
def test_a_report_that_edgekit_did_not_write(tmp_path: Path, text: str) -> None:
    (tmp_path / "report.json").write_text(text)
    refused(BundleCorrupt, 65, "report.json", lambda: report.ledger(tmp_path))

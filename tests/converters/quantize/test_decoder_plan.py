"""A decoder's plan: bits for single tensors, replayed to the integer by its export."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import edgekit
from edgekit.errors import SpecError, Unsupported
from edgekit_converters import planning
from edgekit_converters.quantize.record import QuantizedFolder
from examples import tiny_decoder, tiny_seq2seq
from tests.support.refusals import refused

RECIPE = '[[tensor]]\nmatch = "*mlp.down_proj*"\nbits = 8\n'


def quantize(model: Path, home: Path, **options: object) -> QuantizedFolder:
    recipe = home / "recipe.toml"
    recipe.write_text(RECIPE)
    samples = home / "samples.txt"
    samples.write_text("The sun is warm.\nA bird sings in the tree.\nWe walk home.\n")
    asked = planning.options_from(options)
    return planning.quantize(
        model, asked, out=home / "out", recipe=recipe, samples_file=samples, task="auto"
    )


@pytest.mark.parametrize(
    ("options", "telling"),
    [
        ({"max_size": "20%"}, "a mixed plan is for models that answer in one pass"),
        ({"qat": 5}, "quantization-aware training is for models"),
        ({"tweak": 5}, "norm tweaking is for models"),
    ],
)
def test_what_a_decoder_cannot_have(
    options: dict[str, object], telling: str, tmp_path: Path
) -> None:
    folder = tiny_decoder.folder()
    refused(Unsupported, 78, telling, lambda: quantize(folder, tmp_path, **options))
    assert not (tmp_path / "out").exists()


def test_models_that_translate_have_no_plan(tmp_path: Path) -> None:
    folder = tiny_seq2seq.folder()
    error = refused(Unsupported, 78, "no quantization plan", lambda: quantize(folder, tmp_path))
    assert "edgekit export MODEL --quantize" in error.hint


@pytest.mark.slow
def test_an_export_follows_the_plan(tmp_path: Path) -> None:
    made = quantize(tiny_decoder.folder(), tmp_path)
    facts = made.plan.facts
    # Nothing was named: the task's usual scheme, and the recipe's word on some tensors.
    assert (facts.scheme, facts.task) == ("int4-int8", "text-generation")
    bits = {row.tensor: row.bits for row in made.plan.ledger}
    assert {width for name, width in bits.items() if "down_proj" in name} == {8}
    assert {width for name, width in bits.items() if "q_proj" in name} == {4}
    assert facts.quality[-1].hop == "simulated"
    assert facts.quality[-1].tokens is not None
    with edgekit.export(made.path, out=tmp_path / "bundle", runtimes=["onnx"]) as bundle:
        assert bundle.manifest.certified
        report = json.loads((bundle.path / "report.json").read_bytes())
        assert report["ledger"] == [row.model_dump(mode="json") for row in made.plan.ledger]
    refused(
        SpecError,
        64,
        "a quantization plan of its own",
        lambda: edgekit.export(made.path, out=tmp_path / "other", quantize="int8"),
    )

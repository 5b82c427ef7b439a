"""``edgekit quantize`` from a request to a folder: what is settled, copied, recorded, refused."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from edgekit.errors import CheckFailed, InputRefused, ParityFailed, SpecError, Unavailable
from edgekit.stages import Progress
from edgekit.targets import target
from edgekit_converters import planning, prepare
from edgekit_converters.evaluate import samples, suitability
from edgekit_converters.planning import Options
from edgekit_converters.quantize import folder
from edgekit_converters.quantize.budget import Budget, budget
from edgekit_converters.quantize.decisions import replay
from edgekit_converters.quantize.recipe import Recipe
from edgekit_converters.quantize.record import PLAN, TENSORS, QuantizedFolder, opened
from edgekit_converters.quantize.settings import Override
from edgekit_converters.quantize.units import units
from edgekit_converters.request import Request
from edgekit_converters.source import resolve
from tests.bundle.trees import names, tree
from tests.support.models import tiny_bert, tiny_sentence_bert, write_json
from tests.support.refusals import loaded, refused
from tests.support.vocabulary import SENTENCES, wordpiece

Quantize = Callable[..., QuantizedFolder]


@pytest.fixture
def texts(tmp_path: Path) -> tuple[Path, Path]:
    """Files to calibrate and to measure with."""
    calibration, evaluation = tmp_path / "calibration.txt", tmp_path / "evaluation.txt"
    calibration.write_text("\n".join([*SENTENCES, *samples.calibration()[:10]]), encoding="utf-8")
    evaluation.write_text("\n".join(samples.evaluation()[:8]), encoding="utf-8")
    return calibration, evaluation


@pytest.fixture
def quantize(tmp_path: Path, texts: tuple[Path, Path]) -> Quantize:
    def run(model: Path, name: str = "out", **options: Any) -> QuantizedFolder:
        asked = {"recipe", "task", "max_length", "force", "progress"} & options.keys()
        rest = {key: options.pop(key) for key in asked}
        return planning.quantize(
            model,
            Options(**{"data": texts[0]} | options),
            out=tmp_path / "home" / name,
            samples_file=texts[1],
            **rest,
        )

    return run


# What is asked for


@pytest.mark.parametrize(
    ("options", "telling"),
    [
        ({"scheme": "int5"}, "unknown scheme 'int5'"),
        ({"scaling": "smooth"}, "unknown scaling 'smooth'"),
        ({"scaling": "scales"}, "unknown scaling 'scales'"),
        ({"rounding": "scales"}, "unknown rounding 'scales'"),
        ({"rounding": "none"}, "unknown rounding 'none'"),
        ({"rounding": "../gptq"}, "unknown rounding '../gptq'"),
        ({"group": 48}, "a group of 48 columns"),
        ({"group": 0}, "a group of 0 columns"),
        ({"scheme": "mixed"}, "needs a budget"),
        ({"scheme": "int8", "max_size": "20MB"}, "int8 takes no budget"),
        ({"scheme": "auto", "min_quality": 0.9}, "auto takes no budget"),
        ({"scheme": "int4", "plot": Path("x.svg")}, "frontier"),
        ({"scheme": "mixed", "max_size": "big"}, "'big' is no size"),
        ({"scheme": "mixed", "max_size": "0"}, "'0' is no size"),
        ({"scheme": "mixed", "max_size": "101%"}, "'101%' is no size"),
        ({"scheme": "mixed", "max_size": "-5MB"}, "'-5MB' is no size"),
        ({"scheme": "mixed", "min_quality": 1.0}, "a quality of 1.0"),
        ({"scheme": "mixed", "min_quality": math.nan}, "a quality of nan"),
        ({"scheme": "mixed", "max_latency": "0.5"}, "'0.5' is no latency"),
        ({"scheme": "mixed", "max_latency": "0x"}, "'0x' is no latency"),
        ({"max_latency": "4ms@0"}, "'4ms@0' is no latency"),
    ],
)
def test_wrong_requests(options: dict[str, Any], telling: str) -> None:
    refused(SpecError, 64, telling, lambda: planning.settled(Options(**options), Recipe()))


def test_options_win_over_the_recipe_and_that_over_defaults() -> None:
    recipe = Recipe("int4", "awq", "nearest", 64, Path("a.txt"), (Override("*", 8),))
    found = planning.settled(Options(), recipe)
    assert (found.scheme.name, found.scaling, found.rounding) == ("int4", "awq", "nearest")
    assert (found.choice.group, found.choice.linear, found.data) == (64, 4, Path("a.txt"))
    assert found.choice.overrides == (Override("*", 8),)
    said = Options(scheme="int8", scaling="none", rounding="gptq", group=128, data=Path("b.txt"))
    found = planning.settled(said, recipe)
    assert (found.scheme.name, found.scaling, found.rounding) == ("int8", "none", "gptq")
    assert (found.choice.group, found.data) == (128, Path("b.txt"))
    found = planning.settled(Options(), Recipe())
    assert (found.scheme.name, found.label, found.data) == ("int8", "int8", None)


@pytest.mark.parametrize(
    ("scheme", "bits", "label"),
    [
        ("int8", 32, "int8"),
        ("int8", 4, "mixed"),
        ("int4", 8, "int4"),
        ("int4", 2, "mixed"),
        ("none", 8, "mixed"),
        ("none", 32, "fp32"),
    ],
)
def test_fewer_bits_than_the_scheme_are_held_to_the_mixed_floor(
    scheme: str, bits: int, label: str
) -> None:
    wanted = planning.settled(Options(scheme=scheme), Recipe(overrides=(Override("*", bits),)))
    assert wanted.label == label


def test_budgets() -> None:
    assert budget() is None
    assert budget("20MB") == Budget(bytes=20_000_000)
    assert budget("1.5 gb") == Budget(bytes=1_500_000_000)
    assert budget("4096") == Budget(bytes=4096)
    assert budget("17%", 0.98, "0.5x") == Budget(None, 0.17, 0.98, 0.5)
    assert budget(max_latency="4 ms") == Budget(milliseconds=4.0, tokens=64)
    assert budget(max_latency="0.5x@128") == Budget(latency=0.5, tokens=128)
    assert planning.settled(Options(max_latency="4ms"), Recipe()).label == "mixed"
    shared = budget("17%")
    assert shared is not None
    assert shared.most_bytes(1000) == 170


def test_options_from_python() -> None:
    found = planning.options_from({"scheme": "int8", "data": "a.txt", "plot": None})
    assert found == Options(scheme="int8", data=Path("a.txt"))
    error = refused(SpecError, 64, "'shceme'", lambda: planning.options_from({"shceme": "int8"}))
    assert "'scheme'" in error.hint


# Texts


def test_texts_of_another_language(tmp_path: Path) -> None:
    runes = ["ᚠᚢᚦ ᚨᚱᚲ ᚷᚹᚺ"] * 9
    tokenizer, home = wordpiece(), tiny_bert(tmp_path)
    known = list(SENTENCES[:9])
    error = refused(InputRefused, 65, "100%", lambda: suitability.fit(runes, tokenizer, home, 128))
    assert "language" in error.hint
    found = suitability.fit([*known, *runes], tokenizer, home, 128)
    assert 0.1 < found.unknown < 0.5
    assert [note for note in found.notes(128) if "unknown" in note]
    fine = suitability.fit(known * 4, tokenizer, home, 128)
    assert (fine.texts, fine.unknown, fine.cut, fine.notes(128)) == (36, 0.0, 0, [])
    assert fine.tokens == sum(len(tokenizer.encode(text).ids) for text in known * 4)


def test_long_and_few_texts_are_told(tmp_path: Path) -> None:
    long = " ".join(SENTENCES[:6])
    found = suitability.fit([long, *SENTENCES[:8]], wordpiece(), tiny_bert(tmp_path), 24)
    assert found.cut >= 1
    notes = " | ".join(found.notes(24))
    assert "only 9 calibration texts" in notes
    assert f"{found.cut} of 9 calibration texts were cut at 24 tokens" in notes


# The folder


def test_everything_that_a_quantized_folder_holds(quantize: Quantize, tmp_path: Path) -> None:
    model = tiny_sentence_bert(tmp_path / "model")
    (model / "LICENSE").write_text("free")
    (model / "README.md").write_text("---\nlicense: mit\n---\n")
    (model / "optimizer.pt").write_bytes(b"\x80\x04 no business of ours")
    (model / "checkpoint-5").mkdir()
    (model / "checkpoint-5" / "config.json").write_text("{}")
    write_json(model / "provenance.json", [{"stage": "distill", "seed": 1}])
    before = tree(model)
    told: list[Progress] = []
    made = quantize(model, progress=told.append)
    assert tree(model) == before
    assert before is not None
    after = tree(made.path)
    assert after is not None
    new = {PLAN, TENSORS, "provenance.json"}
    left_out = {"optimizer.pt", "checkpoint-5/config.json"}
    assert set(after) == {*before, *new} - left_out
    assert all(after[name] == before[name] for name in set(after) - new)
    stages = [step.stage for step in told if step.stage != "note"]
    assert stages == [
        *("load", "capture", "reference", "rewrite", "calibrate", "measure", "write"),
        "done",
    ]
    first, second = json.loads(after["provenance.json"])
    assert first == {"stage": "distill", "seed": 1}
    assert second["stage"] == "quantize"
    assert (
        second["input_sha256"] == loaded(model, "AutoModel", may_miss=("pooler.",)).weights_sha256
    )
    assert second["config"]["scheme"] == "int8"
    assert second["measured"]["worst_cosine"] > 0.98
    facts = made.plan.facts
    assert (facts.task, facts.scheme, facts.max_length) == ("sentence-similarity", "int8", 64)
    assert facts.calibration.count == len(SENTENCES) + 10
    assert not facts.calibration.built_in
    assert [hop.hop for hop in facts.quality] == ["exported", "rewritten", "simulated"]
    assert facts.forecast_bytes < 0.35 * facts.fp32_bytes
    assert str(tmp_path).encode() not in after[PLAN] + after["provenance.json"]
    assert opened(made.path) == made


def test_the_weights_are_still_the_models(quantize: Quantize, tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    model = tiny_bert(tmp_path / "model")
    made = quantize(model, scheme="int4")
    one, other = (
        AutoModelForSequenceClassification.from_pretrained(path).eval()
        for path in (model, made.path)
    )
    ids = torch.arange(5, 30)[None]
    with torch.no_grad():
        assert torch.equal(one(ids).logits, other(ids).logits)


def test_equal_runs_give_equal_folders(quantize: Quantize, tmp_path: Path) -> None:
    model = tiny_bert(tmp_path / "model", head="AutoModelForMaskedLM")
    first, second = quantize(model, "one"), quantize(model, "two")
    assert tree(first.path) == tree(second.path)


def test_the_plan_of_a_tied_model_replays_to_the_graph_that_was_measured(
    quantize: Quantize, tmp_path: Path
) -> None:
    model = tiny_bert(tmp_path / "model", head="AutoModelForMaskedLM")
    made = quantize(model, scheme="int4-int8")
    found = folder.load(made.path, made.plan.facts.weights_sha256)
    assert found is not None
    decisions, facts = found
    assert facts.fp32_bytes == sum(
        parameter.nbytes for parameter in loaded(model, "AutoModelForMaskedLM").model.parameters()
    )
    assert 0 < facts.forecast_bytes < facts.fp32_bytes
    asked = Request(target("android-arm64"), {}, None, False, "fill-mask")
    texts = samples.evaluation()[:8]
    job = prepare.loaded_job(asked, resolve(model), texts, None, "x", samples_given=True)
    captured, eager = prepare.captured_graph(job)
    ladder = prepare.first_rungs(job, captured.signature, eager)
    graph = prepare.rewritten(captured).module()
    replay(graph, decisions)
    assert [unit.name for unit in units(graph)] == [row.tensor for row in made.plan.ledger]
    from edgekit.floors import FLOORS
    from edgekit_converters.calibration import simulated

    ladder.graph("simulated", simulated(graph, decisions), FLOORS[facts.scheme])
    assert ladder.hops[-1] == facts.quality[-1]


def test_sharded_weights_are_copied_whole(quantize: Quantize, tmp_path: Path) -> None:
    model = tiny_bert(tmp_path / "model")
    tensors = load_file(model / "model.safetensors")
    (model / "model.safetensors").unlink()
    listed = sorted(tensors)
    shards = {"model-1.safetensors": listed[::2], "model-2.safetensors": listed[1::2]}
    for name, members in shards.items():
        save_file({key: tensors[key] for key in members}, model / name, metadata={"format": "pt"})
    places = {key: name for name, members in shards.items() for key in members}
    write_json(model / "model.safetensors.index.json", {"metadata": {}, "weight_map": places})
    made = quantize(model)
    assert opened(made.path) == made
    assert {*shards, "model.safetensors.index.json"} <= set(names(made.path))


def test_other_weights_beside_the_plan(quantize: Quantize, tmp_path: Path) -> None:
    made = quantize(tiny_bert(tmp_path / "model"))
    tensors = load_file(made.path / "model.safetensors")
    tensors["classifier.bias"][0] += 1
    save_file(tensors, made.path / "model.safetensors", metadata={"format": "pt"})
    refused(InputRefused, 65, "made for other weights", lambda: opened(made.path))


# Budgets


@pytest.mark.slow
def test_a_mixed_plan_holds_its_budget_when_measured(quantize: Quantize, tmp_path: Path) -> None:
    model = tiny_sentence_bert(tmp_path / "model")
    facts, rows = _plan(quantize(model, scheme="mixed", min_quality=0.998))
    assert [hop.hop for hop in facts.quality[-2:]] == ["simulated", "executorch"]
    assert all(hop.worst_cosine >= 0.998 for hop in facts.quality[-2:])
    assert (facts.search.time, facts.search.worst_cosine) == (None, 0.998)
    assert facts.search.predicted_worst >= 0.998
    assert facts.search.mean_correlation > 0.9
    assert {row.bits for row in rows.values()} == {4, 8}
    small, _ = _plan(quantize(model, "small", scheme="mixed", max_size="20%"))
    assert small.forecast_bytes <= 0.2 * small.fp32_bytes
    assert small.search.bytes == int(0.2 * small.fp32_bytes)
    assert small.scheme == "mixed"


def test_budgets_that_no_plan_can_hold(quantize: Quantize, tmp_path: Path) -> None:
    model = tiny_sentence_bert(tmp_path / "model")
    for budgets in ({"max_size": "10%"}, {"max_size": "24%", "min_quality": 0.99999}):
        error = refused(
            CheckFailed, 1, "no choice", lambda b=budgets: quantize(model, scheme="mixed", **b)
        )
        assert "--max-size" in error.hint
    assert tree(tmp_path / "home") in (None, {})


def test_packages_are_missed_before_the_search(
    quantize: Quantize, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mixed = {"scheme": "mixed", "max_size": "20%", "plot": tmp_path / "frontier.svg"}
    for package in ("matplotlib", "scipy"):
        monkeypatch.setitem(sys.modules, package, None)
        refused(Unavailable, 69, package, lambda: quantize(tmp_path / "no model", **mixed))


# Tensors


def test_a_recipe_down_to_tensors(quantize: Quantize, tmp_path: Path) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text(
        'scheme = "int8"\nscaling = "awq"\nrounding = "nearest"\n'
        '[[tensor]]\nmatch = "*.attention.*.weight"\nbits = 4\ngroup = 64\n'
        '[[tensor]]\nmatch = "*.layer.1.attention.output.dense.weight"\nbits = 32\n'
        '[[tensor]]\nmatch = "*word_embeddings*"\nbits = 2\n'
    )
    model = tiny_bert(tmp_path / "model", head="AutoModel")
    facts, rows = _plan(quantize(model, recipe=recipe))
    assert (facts.scheme, facts.scaling, facts.rounding) == ("mixed", "awq", "nearest")
    assert [one.bits for one in facts.overrides] == [4, 32, 2]
    assert rows["layer.0.attention.self.query.weight"].scheme == "int4 group 64"
    assert rows["layer.1.attention.output.dense.weight"].scheme == "fp32"
    assert rows["embeddings.word_embeddings.weight"].scheme == "int2 group 32"
    assert {row.scheme for name, row in rows.items() if "intermediate" in name} == {"int8 per row"}


def test_widths_that_defeat_every_group(quantize: Quantize, tmp_path: Path) -> None:
    """40 is no multiple of 32: eight bits with the reason, and nothing is left alone for it."""
    model = tiny_bert(
        tmp_path / "model", hidden_size=40, intermediate_size=80, num_attention_heads=2
    )
    facts, rows = _plan(quantize(model, scheme="int4"))
    row = rows["layer.0.attention.self.query.weight"]
    assert (row.bits, row.group) == (8, 0)
    assert row.reason == "none of 32, 64, 128 divides 40: 8 bits instead of 4"
    assert facts.coverage > 0.98


def test_zero_rows_and_one_row_tables(quantize: Quantize, tmp_path: Path) -> None:
    model = tiny_bert(tmp_path / "model", head="AutoModel", type_vocab_size=1)
    damage(model, "encoder.layer.0.output.dense.weight", lambda w: w[3:9].zero_())
    damage(model, "embeddings.word_embeddings.weight", lambda w: w[7:11].zero_())
    for scheme in ("int8", "int4"):
        made = quantize(model, scheme, scheme=scheme)
        found = folder.load(made.path, made.plan.facts.weights_sha256)
        assert found is not None
        for grid in found[0].grids.values():
            assert bool(torch.isfinite(grid.dequantized()).all())
        table = found[0].grids["model.embeddings.word_embeddings.weight"]
        assert not table.values[7:11].any()


def test_outliers_that_no_integer_can_hold(quantize: Quantize, tmp_path: Path) -> None:
    model = tiny_bert(tmp_path / "model", head="AutoModel")
    # The channel is silent, so that fp32 never feels the outliers; a scale for each row does.
    damage(model, "embeddings.LayerNorm.weight", lambda w: w[0].zero_())
    damage(model, "encoder.layer.0.attention.self.value.weight", lambda w: w[:, 0].fill_(1e4))
    before = tree(model)
    error = refused(ParityFailed, 1, "simulated", lambda: quantize(model))
    assert "Most is lost in model." in error.message
    assert "--scheme none" in error.hint
    assert error.details["tensors"][0]["output_db"] is not None
    assert error.details["hops"][-1]["passed"] is False
    assert tree(model) == before
    assert tree(tmp_path / "home") in (None, {})


def damage(model: Path, name: str, change: Callable[[torch.Tensor], Any]) -> None:
    tensors = load_file(model / "model.safetensors")
    change(tensors[name])
    save_file(tensors, model / "model.safetensors", metadata={"format": "pt"})


def _plan(made: QuantizedFolder) -> tuple[Any, dict[str, Any]]:
    """The facts, and the ledger by the names that the checkpoint has for the encoder's tensors."""
    named = [(row.tensor.split("model.", 1)[-1], row) for row in made.plan.ledger]
    return made.plan.facts, {name.split("encoder.")[-1]: row for name, row in named}

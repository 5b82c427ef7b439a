"""Norm tweaking: what stays in float makes up for what was rounded, and the plan carries it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save
from torch import Tensor
from torch.fx import GraphModule

import edgekit
from edgekit.errors import InputRefused, SpecError
from edgekit.targets import target
from edgekit_converters import planning, prepare
from edgekit_converters.graph.parameters import constant, replace_constant
from edgekit_converters.planning import Options
from edgekit_converters.prepare import shortened
from edgekit_converters.quantize import folder
from edgekit_converters.quantize.decisions import Decisions, put_vectors, replay
from edgekit_converters.quantize.recipe import Recipe
from edgekit_converters.quantize.record import TENSORS, TensorRow, opened
from edgekit_converters.quantize.tweak import tweak
from edgekit_converters.quantize.units import units
from edgekit_converters.request import Request
from edgekit_converters.source import resolve
from edgekit_converters.weights import weights_sha256
from tests.converters.conftest import Case, calibration
from tests.support.models import tiny_sentence_bert
from tests.support.refusals import refused
from tests.support.vocabulary import SENTENCES

BIAS = "model.encoder.layer.1.output.LayerNorm.bias"


def off_by_a_bias(this: Case) -> tuple[GraphModule, GraphModule]:
    """A graph whose feed-forwards give too much, whatever the text, and the graph before."""
    graph, reference = this.rewritten().module(), this.rewritten().module()
    made = torch.Generator().manual_seed(0)
    for node, same in zip(graph.graph.nodes, reference.graph.nodes, strict=True):
        name, value = str(node.target), constant(graph, node)
        if value is None:
            continue
        if name.endswith(".bias"):
            # As large as trained ones: a vector moves by shares of its size.
            bias = 0.5 * torch.randn(len(value), generator=made)
            replace_constant(graph, node, bias)
            replace_constant(reference, same, bias)
        elif name.endswith(".output.dense.weight") and "attention" not in name:
            off = 0.002 * torch.rand(len(value), 1, generator=made)
            replace_constant(graph, node, value + off)
    return graph, reference


def lost(graph: GraphModule, reference: GraphModule, texts: list[tuple[Tensor, ...]]) -> float:
    """Mean squared error relative to the answers."""
    total = 0.0
    with torch.no_grad():
        for arguments in texts:
            target = reference(*arguments)
            total += float((graph(*arguments) - target).square().sum() / target.square().sum())
    return total / len(texts)


def test_less_is_lost_on_texts_that_were_not_trained(case: Callable[[str], Case]) -> None:
    this = case("bert")
    graph, reference = off_by_a_bias(this)
    texts = calibration(this, 64)
    before = {name: tensor.clone() for name, tensor in graph.state_dict().items()}
    vectors = tweak(graph, reference, (), texts[::2], 60)
    assert {name.rpartition(".")[2] for name in vectors} == {"weight", "bias"}
    assert all(vector.ndim == 1 and torch.isfinite(vector).all() for vector in vectors.values())
    assert all(torch.equal(tensor, before[name]) for name, tensor in graph.state_dict().items())
    at_first = lost(graph, reference, texts[1::2])
    put_vectors(graph, vectors)
    assert lost(graph, reference, texts[1::2]) < 0.7 * at_first


def test_what_helps_no_other_text_is_not_kept(case: Callable[[str], Case]) -> None:
    this = case("bert")
    graph = this.rewritten().module()
    # Nothing is lost, so that every step leads away.
    assert tweak(graph, this.rewritten().module(), (), calibration(this), 2) == {}


def test_integer_linears_round_what_they_read(case: Callable[[str], Case]) -> None:
    """Without a rounded weight nothing is lost; with rounded activations there is."""
    this, seen = case("bert"), []
    for rounded in ((), [unit.name for unit in units(this.rewritten().module())]):
        graph, reference = this.rewritten().module(), this.rewritten().module()
        tweak(graph, reference, rounded, calibration(this), 1, progress=lambda _, e: seen.append(e))
    assert seen[0] == 0.0
    assert 0 < seen[1] < 0.01


def test_the_same_seed_gives_the_same_vectors(case: Callable[[str], Case]) -> None:
    graph, reference = off_by_a_bias(case("bert"))
    texts = calibration(case("bert"))
    one, again, other = (tweak(graph, reference, (), texts, 5, seed) for seed in (0, 0, 1))
    assert one
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_short_texts_are_parts_of_the_texts() -> None:
    found = shortened(["one two three four five six", "seven", ""])
    assert len(found) == 9
    assert found == shortened(["one two three four five six", "seven", ""])
    assert all(text in "one two three four five six" for text in found[:3])
    assert [len(text.split()) for text in found[:3]] == [1, 2, 3]
    assert found[3:] == ["seven"] * 3 + [""] * 3


def test_texts_too_short_for_the_graph_are_left_out(tmp_path: Path) -> None:
    asked = Request(target("android-arm64"), {}, None, False, "sentence-similarity")
    model = resolve(tiny_sentence_bert(tmp_path / "model"))
    job = prepare.loaded_job(asked, model, SENTENCES, None, "x", samples_given=True)
    signature = prepare.captured_graph(job)[0].signature
    every = prepare.short_inputs(job, signature, SENTENCES)
    assert len(every) == 3 * len(SENTENCES)
    (ids, *more), (batch, tokens) = signature.inputs, signature.inputs[0].dims
    longer = ids.model_copy(update={"dims": (batch, tokens.model_copy(update={"minimum": 5}))})
    least = signature.model_copy(update={"inputs": (longer, *more)})
    some = prepare.short_inputs(job, least, SENTENCES)
    assert 0 < len(some) < len(every)
    assert min(arguments[0].shape[1] for arguments in some) == 5


def test_a_mixed_plan_is_tweaked_unless_it_is_said() -> None:
    assert planning.settled(Options(), Recipe()).tweak == 0
    assert planning.settled(Options(max_size="20MB"), Recipe()).tweak == planning.TWEAKS
    assert planning.settled(Options(max_size="20MB", tweak=0), Recipe()).tweak == 0


@pytest.mark.parametrize(
    ("options", "telling"),
    [
        ({"tweak": -1}, "-1 steps of norm tweaking"),
        ({"scheme": "int8-static", "tweak": 5}, "does not go with int8-static"),
        ({"scheme": "none", "tweak": 5}, "does not go with none"),
    ],
)
def test_wrong_requests(options: dict[str, Any], telling: str) -> None:
    refused(SpecError, 64, telling, lambda: planning.settled(Options(**options), Recipe()))


def _texts(folder: Path) -> Path:
    path = folder / "texts.txt"
    path.write_text("\n".join(SENTENCES), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plan with one vector that was trained: a bias, moved a little."""
    home = tmp_path_factory.mktemp("tweaked")
    texts, model = _texts(home), tiny_sentence_bert(home / "model")
    made = edgekit.quantize(
        model, out=home / "plan", scheme="int8", tweak=1, data=texts, samples=texts
    )
    found = folder.load(made.path, made.plan.facts.weights_sha256)
    assert found is not None
    decisions, facts = found
    decisions.vectors = {BIAS: torch.linspace(-1e-3, 1e-3, 64)}
    folder.save(made.path, decisions, facts)
    return made.path


def test_a_plan_carries_its_vectors(planned: Path) -> None:
    found = folder.load(planned, weights_sha256([planned / "model.safetensors"]))
    assert found is not None
    assert torch.equal(found[0].vectors[BIAS], torch.linspace(-1e-3, 1e-3, 64))


@pytest.mark.slow
def test_both_artifacts_have_the_vectors(planned: Path, tmp_path: Path) -> None:
    texts = planned.parent / "texts.txt"
    bundle = edgekit.export(planned, out=tmp_path / "bundle", samples=texts)
    assert bundle.manifest.certified
    bias = torch.linspace(-1e-3, 1e-3, 64).numpy().tobytes()
    for file in ("model.pte", "model.onnx"):
        assert bias in (bundle.path / file).read_bytes()


def test_vectors_of_another_model(case: Callable[[str], Case]) -> None:
    graph = case("bert").rewritten().module()
    for name, length in (("model.nowhere.bias", 4), ("model.embeddings.LayerNorm.bias", 4)):
        vectors = {name: torch.zeros(length)}
        refused(InputRefused, 65, f"no vector {name} of 4", lambda v=vectors: replay(graph, _of(v)))


def _of(vectors: dict[str, Tensor]) -> Decisions:
    return Decisions(vectors=vectors)


@pytest.mark.parametrize(
    ("vector", "telling"),
    [
        (torch.tensor([1.0, float("nan")]), "not finite"),
        (torch.zeros(2, 2), "absent"),
        (torch.zeros(2, dtype=torch.int64), "I64"),
    ],
)
def test_vectors_that_no_training_writes(
    planned: Path, tmp_path: Path, vector: Any, telling: str
) -> None:
    from edgekit_converters.quantize.folder import _decisions

    ledger = tuple(TensorRow.model_validate(row) for row in _ledger(planned))
    path = tmp_path / TENSORS
    path.write_bytes(save(load_file(planned / TENSORS) | {"vectors/other": vector}))
    refused(InputRefused, 65, telling, lambda: _decisions(path, ledger))


def _ledger(folder: Path) -> list[Any]:
    found = opened(folder)
    assert found is not None
    return [row.model_dump() for row in found.plan.ledger]

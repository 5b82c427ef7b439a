"""All rewrites on whole models: the same function, alone, together, in any order, twice."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from torch.fx import GraphModule

from edgekit.errors import SpecError
from edgekit_converters import graph
from edgekit_converters.export import executorch
from edgekit_converters.graph import norm
from edgekit_converters.quiet import quiet
from edgekit_converters.source import resolve
from tests.converters.conftest import Case, prepare
from tests.support.models import MAX_POSITIONS, write_model
from tests.support.refusals import refused

FAMILIES = ["albert", "bert", "classifier", "distilbert"]
FAMILIES += ["electra", "mpnet", "roberta", "sentence"]
NAMES = list(graph.rewrites())
aten = torch.ops.aten


@pytest.fixture(scope="module")
def family(
    case: Callable[[str], Case], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Case]:
    """A case by name, of more families than the shared ones."""
    from transformers import AlbertConfig, MPNetConfig

    sizes: dict[str, Any] = {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "initializer_range": 0.15,
        "max_position_embeddings": MAX_POSITIONS,
    }
    home = tmp_path_factory.mktemp("families")

    @cache
    def made(name: str) -> Case:
        if name == "albert":
            folder = write_model(home / name, AlbertConfig, sizes | {"embedding_size": 32})
        elif name == "mpnet":
            folder = write_model(home / name, MPNetConfig, sizes)
        else:
            return case(name)
        return prepare(folder, "feature-extraction")

    return made


def worst(this: Case, module: Any) -> float:
    """Largest difference to the eager model, relative to the largest output."""
    longest = this.loaded.max_length
    found = 0.0
    for seed, length in enumerate((2, 17, longest)):
        inputs = this.ids(length, seed)
        with torch.no_grad():
            wanted, got = this.eager(*inputs), module(*inputs)
        assert got.shape == wanted.shape
        found = max(found, float((got - wanted).abs().max() / wanted.abs().max()))
    return found


def targets(module: GraphModule) -> list[object]:
    return [node.target for node in module.graph.nodes if node.op == "call_function"]


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("rewrite", NAMES)
def test_each_alone(family: Callable[[str], Case], name: str, rewrite: str) -> None:
    this = family(name)
    module = this.captured.module()
    apply = graph.rewrites()[rewrite].apply
    changed = apply(module)
    assert worst(this, module) <= 1e-5
    assert apply(module) == 0, "a second time changes nothing"
    if rewrite in ("cleanup", "views", "positions", "scaling", "norm"):
        assert changed > 0


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("runtime", ["executorch", "onnx"])
def test_all_together(family: Callable[[str], Case], name: str, runtime: str) -> None:
    this = family(name)
    module = this.captured.module()
    counts = graph.apply_all(module, runtime)
    assert counts["reshapes"] > 0
    assert worst(this, module) <= 1e-5
    assert not any(graph.apply_all(module, runtime).values())
    assert ("norm" in counts) == (runtime == "executorch")
    assert (aten.layer_norm.default in targets(module)) == (runtime == "onnx")
    again = this.captured.again(module)
    # With its guards: the longest text must pass them.
    assert worst(this, again.program.module()) <= 1e-5


@pytest.mark.parametrize("name", ["albert", "classifier", "mpnet", "sentence"])
def test_in_any_order(family: Callable[[str], Case], name: str) -> None:
    this = family(name)
    for order in (list(reversed(NAMES)), sorted(NAMES)):
        module = this.captured.module()
        for rewrite in order:
            graph.rewrites()[rewrite].apply(module)
        assert worst(this, this.captured.again(module).program.module()) <= 1e-5


def test_a_runtime_adds_to_what_all_share(case: Callable[[str], Case]) -> None:
    this = case("sentence")
    module = this.captured.module()
    shared = graph.apply_all(module)
    assert "norm" not in shared
    assert {"cleanup", "views"} <= shared.keys()
    added = graph.apply_all(module, "executorch")
    assert {name for name, count in added.items() if count} >= {"norm", "pooling"}
    whole = this.captured.module()
    graph.apply_all(whole, "executorch")
    assert sorted(map(str, targets(whole))) == sorted(map(str, targets(module)))


def test_what_is_skipped_is_not_applied(case: Callable[[str], Case]) -> None:
    this = case("sentence")
    module = this.captured.module()
    counts = graph.apply_all(module, "executorch", skip=frozenset({"norm", "pooling"}))
    assert "norm" not in counts
    assert targets(module).count(aten.layer_norm.default) == 5
    assert aten.mean.dim in targets(module)


def test_an_unknown_rewrite(case: Callable[[str], Case]) -> None:
    module = case("bert").captured.module()
    job = lambda: graph.apply_all(module, skip=frozenset({"norms"}))  # noqa: E731
    assert "norm" in refused(SpecError, 64, "'norms'", job).hint


@pytest.mark.parametrize("name", ["classifier", "sentence"])
def test_one_delegate_call(case: Callable[[str], Case], name: str) -> None:
    this = case(name)
    module = this.captured.module()
    graph.apply_all(module, "executorch")
    with quiet():
        lowered = executorch.lower(this.captured.again(module), {}, "xnnpack")
    found = lowered.delegation
    assert found is not None
    assert found.calls == 1
    kinds = {name.removeprefix("aten.").partition(".")[0] for name in found.left}
    assert kinds <= {"embedding", "slice_copy", "sym_size"}


def test_weights_keep_their_names(case: Callable[[str], Case]) -> None:
    this = case("sentence")
    before, after = this.captured.module(), this.captured.module()
    cleaned = graph.rewrites()["cleanup"].apply(before)
    assert cleaned > 0
    graph.apply_all(after, "executorch")
    linears = [set(_linear_names(module)) for module in (before, after)]
    assert {name for name in linears[1] if not norm.is_norm_weight(name)} == linears[0]
    assert not any(norm.is_norm_weight(name) for name in linears[0])
    again = this.captured.again(after).module()
    assert set(_linear_names(again)) == linears[1], "and through another export"


def _linear_names(module: GraphModule) -> list[str]:
    linears = [node for node in module.graph.nodes if node.target is aten.linear.default]
    return [str(node.args[1].target) for node in linears]


@pytest.mark.slow
def test_the_real_minilm() -> None:
    this = prepare(resolve("minilm").folder, "sentence-similarity")
    for rewrite in NAMES:
        module = this.captured.module()
        graph.rewrites()[rewrite].apply(module)
        assert worst(this, module) <= 1e-5, rewrite
    module = this.captured.module()
    counts = graph.apply_all(module, "executorch")
    assert {name: counts[name] for name in ("positions", "scaling", "norm", "pooling")} == {
        "positions": 1,
        "scaling": 6,
        "norm": 13,
        "pooling": 2,
    }
    linears = [node for node in module.graph.nodes if node.target is aten.linear.default]
    assert len(linears) == 36 + 2 * 13 + 1
    assert worst(this, module) <= 1e-5

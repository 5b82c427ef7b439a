"""Capture: one graph for every length within bounds, equal to the eager model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.converters.conftest import Case, largest_difference, prepare
from tests.support.models import MAX_POSITIONS, tiny_bert, tiny_distilbert


@pytest.mark.parametrize(
    "name", ["bert", "classifier", "distilbert", "electra", "mask", "roberta", "sentence"]
)
def test_equals_the_eager_model(case: Callable[[str], Case], name: str) -> None:
    this = case(name)
    graph = this.captured.module()
    longest = this.loaded.max_length
    for length in (2, 3, 16, 31, longest - 1, longest):
        assert largest_difference(this.eager, graph, this.ids(length, length)) <= 1e-5


@pytest.mark.parametrize("maker", [tiny_bert, tiny_distilbert])
def test_as_long_as_the_position_table(tmp_path: Path, maker: Callable[..., Path]) -> None:
    folder = maker(tmp_path / "model", head="AutoModel", max_position_embeddings=20)
    this = prepare(folder, "feature-extraction", max_length=20)
    assert this.captured.signature.inputs[0].dims[1].maximum == 20
    exported = this.captured.program.module()  # with its guards: length 20 must pass them
    assert largest_difference(this.eager, exported, this.ids(20)) <= 1e-5
    with torch.no_grad():
        assert exported(*this.ids(20)).shape == (1, 20, 64)
    with pytest.raises(AssertionError):
        exported(*this.ids(21))


@pytest.mark.parametrize("longest", [3, 4, 16])
def test_a_small_limit(tmp_path: Path, longest: int) -> None:
    this = prepare(tiny_bert(tmp_path / "m"), "text-classification", max_length=longest)
    for length in range(2, longest + 1):
        assert largest_difference(this.eager, this.captured.module(), this.ids(length)) <= 1e-5


def test_signature(case: Callable[[str], Case]) -> None:
    bert, classifier = case("bert").captured.signature, case("classifier").captured.signature
    assert [spec.name for spec in bert.inputs] == ["input_ids"]
    assert [spec.name for spec in classifier.inputs] == ["input_ids", "token_type_ids"]
    batch, tokens = bert.inputs[0].dims
    assert (batch.minimum, batch.maximum) == (1, 1)
    assert (tokens.minimum, tokens.maximum) == (2, MAX_POSITIONS)
    output = bert.outputs[0]
    assert (output.name, output.dtype) == ("last_hidden_state", "float32")
    assert [(dim.minimum, dim.maximum) for dim in output.dims] == [(1, 1), (2, 128), (64, 64)]
    assert [dim.maximum for dim in classifier.outputs[0].dims] == [1, 3]


def test_token_types_reach_the_graph(case: Callable[[str], Case]) -> None:
    this = case("classifier")
    ids, zeros = this.ids(12)
    types = zeros.clone()
    types[:, 6:] = 1
    graph = this.captured.module()
    assert largest_difference(this.eager, graph, (ids, types)) <= 1e-5
    with torch.no_grad():
        assert (graph(ids, types) - graph(ids, zeros)).abs().max() > 1e-3


def padded(ids: Tensor, to: int, pad: int) -> Tensor:
    return torch.nn.functional.pad(ids, (0, to - ids.shape[1]), value=pad)


@pytest.mark.parametrize("length", [3, 11, 24])
@pytest.mark.parametrize("pad", [0, 7])
def test_padding_of_a_static_graph_changes_nothing(
    static_case: Case, length: int, pad: int
) -> None:
    tokens = static_case.captured.signature.inputs[0].dims[1]
    assert (tokens.minimum, tokens.maximum) == (24, 24)
    ids, types, _ = static_case.ids(length)
    mask = padded(torch.ones_like(ids), 24, 0)
    inputs = (padded(ids, 24, pad), padded(types, 24, 0), mask)
    with torch.no_grad():
        found = static_case.captured.module()(*inputs)
        wanted = static_case.eager(ids, types)
    assert (found - wanted).abs().max() <= 1e-5


@pytest.mark.parametrize("pooling", ["mean", "cls", "max", "mean_sqrt_len_tokens"])
def test_padding_leaves_every_pooling_alone(tmp_path: Path, pooling: str) -> None:
    from tests.support.models import tiny_sentence_bert

    folder = tiny_sentence_bert(tmp_path / "m", pooling=pooling, normalize=False)
    this = prepare(folder, "sentence-similarity", static=True, max_length=24)
    (ids, _) = this.ids(9)
    mask = padded(torch.ones_like(ids), 24, 0)
    with torch.no_grad():
        found = this.captured.module()(padded(ids, 24, 0), mask)
        assert (found - this.eager(ids)).abs().max() <= 1e-5

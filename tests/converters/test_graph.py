"""Rewrites of the captured graph: the same function, without what they remove."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim, export
from torch.fx import GraphModule
from transformers.models.bert.modeling_bert import eager_attention_forward

from edgekit_converters.graph import attention, cleanup, views
from tests.converters.conftest import Case, largest_difference

FAMILIES = ["bert", "distilbert", "electra", "roberta", "classifier", "mask", "sentence"]
aten = torch.ops.aten


def targets(graph: GraphModule) -> list[object]:
    return [node.target for node in graph.graph.nodes if node.op == "call_function"]


@pytest.mark.parametrize("family", FAMILIES)
def test_rewrites_keep_the_function(case: Callable[[str], Case], family: str) -> None:
    this = case(family)
    before, after = this.captured.module(), this.captured.module()
    assert cleanup.apply(after) > 0
    assert views.apply(after) > 0
    longest = this.loaded.max_length
    for length in (2, 3, 17, longest - 1, longest):
        for seed in range(2):
            inputs = this.ids(length, seed)
            assert largest_difference(before, after, inputs) <= 1e-5
            assert largest_difference(this.eager, after, inputs) <= 1e-5


@pytest.mark.parametrize("family", FAMILIES)
def test_dropout_is_gone(case: Callable[[str], Case], family: str) -> None:
    graph = case(family).captured.module()
    before = targets(graph).count(aten.dropout.default)
    assert before > 0
    assert cleanup.apply(graph) >= before
    assert aten.dropout.default not in targets(graph)
    assert cleanup.apply(graph) == 0


@pytest.mark.parametrize("family", FAMILIES)
def test_no_view_reads_a_size_at_run_time(case: Callable[[str], Case], family: str) -> None:
    graph = case(family).captured.module()
    views.apply(graph)
    found = [node for node in graph.graph.nodes if node.target in views._VIEWS]
    assert len(found) > 4
    for node in found:
        assert node.target is aten.view.default
        assert all(type(size) is int for size in node.args[1]), node.args
        assert node.args[1].count(-1) <= 1


class Training(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.dropout(x, 0.5, True)


def test_dropout_that_is_meant_stays() -> None:
    graph = export(Training(), (torch.ones(64),)).module(check_guards=False)
    assert cleanup.apply(graph) == 0
    torch.manual_seed(0)
    assert (graph(torch.ones(64)) == 0).any()


class Shuffled(nn.Module):
    """A reshape that cannot be a view."""

    def forward(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2).reshape(1, -1, 6) + 1


def test_a_reshape_that_copies_becomes_a_copy_and_a_view() -> None:
    dynamic = ({2: Dim("tokens", min=2, max=64)},)
    program = export(Shuffled(), (torch.ones(1, 12, 8),), dynamic_shapes=dynamic)
    graph = program.module(check_guards=False)
    assert views.apply(graph) == 1
    assert aten.reshape.default not in targets(graph)
    assert aten.clone.default in targets(graph)
    for tokens in (2, 7, 64):
        x = torch.randn(1, 12, tokens)
        assert torch.equal(graph(x), Shuffled()(x))


class TwoFree(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.view(x.shape[0], x.shape[1], 2, 3)


def test_a_view_with_two_free_sizes_is_left_alone() -> None:
    dynamic = ({0: Dim("batch", min=2, max=8), 1: Dim("tokens", min=2, max=64)},)
    graph = export(TwoFree(), (torch.ones(3, 5, 6),), dynamic_shapes=dynamic).module(
        check_guards=False
    )
    assert views.apply(graph) == 0
    x = torch.randn(4, 9, 6)
    assert torch.equal(graph(x), TwoFree()(x))


# Attention


def qkv(tokens: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    made = torch.Generator().manual_seed(seed)
    query, key, value = (torch.randn(1, 4, tokens, 8, generator=made) * 3 for _ in range(3))
    return query, key, value


LAYER = nn.Module().eval()


@pytest.mark.parametrize("tokens", [1, 2, 33])
@pytest.mark.parametrize("scaling", [None, 0.7])
def test_attention_without_padding(tokens: int, scaling: float | None) -> None:
    query, key, value = qkv(tokens)
    ours, weights = attention.attention(LAYER, query, key, value, None, scaling=scaling)
    theirs, _ = eager_attention_forward(LAYER, query, key, value, None, scaling=scaling)
    assert weights is None
    assert ours.shape == theirs.shape == (1, tokens, 4, 8)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kept", [1, 5, 12])
def test_attention_with_padding(kept: int) -> None:
    query, key, value = qkv(12)
    keep = (torch.arange(12) < kept).long()[None]
    mask = attention.padding_mask(attention_mask=keep)
    assert mask is not None
    assert mask.shape == (1, 1, 1, 12)
    lowest = torch.finfo(torch.float32).min
    theirs_mask = ((1.0 - keep) * lowest)[:, None, None, :]
    ours, _ = attention.attention(LAYER, query, key, value, mask)
    theirs, _ = eager_attention_forward(LAYER, query, key, value, theirs_mask)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    # What is masked has no part in it at all.
    other = value.clone()
    other[:, :, kept:] = 1e3
    again, _ = attention.attention(LAYER, query, key, other, mask)
    assert torch.equal(ours, again)


def test_no_padding_mask_is_no_mask() -> None:
    assert attention.padding_mask(attention_mask=None) is None


def test_causal_attention_is_refused() -> None:
    layer = SimpleNamespace(is_causal=True)
    padding = attention.padding_mask(attention_mask=torch.ones(1, 4, dtype=torch.int64))
    for mask in (None, padding):
        with pytest.raises(NotImplementedError, match="causal"):
            attention.attention(layer, *qkv(4), mask)  # type: ignore[arg-type]

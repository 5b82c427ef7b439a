"""Several texts at once, padded: each gets the answer that it gets alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim, export
from torch.fx import GraphModule
from transformers.models.bert.modeling_bert import eager_attention_forward

from edgekit_converters import graph
from edgekit_converters.export import delegation
from edgekit_converters.export.capture import Captured
from edgekit_converters.export.delegates import xnnpack
from edgekit_converters.graph import attention, repeats, siblings
from edgekit_converters.quiet import quiet
from edgekit_converters.tasks import Wrapped, has_token_types, input_names
from tests.converters.conftest import TASKS, Case, prepare
from tests.support.models import write_model

BATCH = 4
LAYER = nn.Module().eval()
aten = torch.ops.aten


def batched(this: Case, task: str) -> Captured:
    """The same model with a fixed batch, a dynamic length and a padding mask."""
    config, model = this.loaded.config, this.loaded.model
    names = (*input_names(task, model, this.loaded.tokenizer), "attention_mask")
    wrapped = Wrapped(model, this.eager.head, names, has_token_types(config))
    example = tuple(torch.ones(BATCH, 16, dtype=torch.int64) for _ in names)
    dynamic = tuple({1: Dim("tokens", min=2, max=this.loaded.max_length)} for _ in names)
    attention.register()
    chosen: Any = model
    with quiet():
        chosen.set_attn_implementation(attention.NAME)
        program = export(wrapped, example, dynamic_shapes=dynamic, strict=False)
        chosen.set_attn_implementation("eager")
    return Captured(program, example, dynamic, this.captured.signature)


def ragged(this: Case, lengths: list[int]) -> list[tuple[Tensor, ...]]:
    """One text of each length, alone."""
    return [this.ids(length, seed) for seed, length in enumerate(lengths)]


def together(texts: list[tuple[Tensor, ...]], pad: int = 0) -> tuple[Tensor, ...]:
    longest = max(text[0].shape[1] for text in texts)
    rows = zip(*texts, strict=True)
    inputs = [torch.cat([_padded(row, longest, pad) for row in rows_]) for rows_ in rows]
    mask = torch.cat([_padded(torch.ones_like(text[0]), longest, 0) for text in texts])
    return (*inputs, mask)


def _padded(ids: Tensor, to: int, pad: int) -> Tensor:
    return nn.functional.pad(ids, (0, to - ids.shape[1]), value=pad)


@pytest.mark.parametrize("name", ["sentence", "classifier", "distilbert", "roberta"])
def test_a_ragged_batch(case: Callable[[str], Case], name: str) -> None:
    this = case(name)
    captured = batched(this, TASKS[name])
    module = captured.module()
    graph.apply_all(module, "executorch")
    for lengths in ([3, 17, 9, 5], [2, 2, 2, 2], [this.loaded.max_length, 2, 30, 11]):
        texts = ragged(this, lengths)
        with torch.no_grad():
            found = module(*together(texts, this.loaded.config.pad_token_id))
            for row, (text, length) in enumerate(zip(texts, lengths, strict=True)):
                wanted = this.eager(*text)
                got = found[row : row + 1]
                got = got[:, :length] if got.ndim == 3 else got
                assert (got - wanted).abs().max() <= 1e-5 * wanted.abs().max(), (lengths, row)


@pytest.mark.parametrize("name", ["sentence", "classifier"])
def test_a_batch_is_one_delegate_call(case: Callable[[str], Case], name: str) -> None:
    from executorch.exir import to_edge_transform_and_lower

    captured = batched(case(name), TASKS[name])
    module = captured.module()
    graph.apply_all(module, "executorch")
    with quiet(), delegation.refusals() as refused:
        edge = to_edge_transform_and_lower(captured.again(module).program, **xnnpack.lowering())
    report = delegation.report(edge.exported_program(), refused, "xnnpack")
    assert report.calls == 1, report
    assert report.reasons.keys() == report.left.keys()


def states(batch: int, tokens: int) -> tuple[Tensor, Tensor, Tensor]:
    made = torch.Generator().manual_seed(tokens)
    one, two, three = (torch.randn(batch, 4, tokens, 8, generator=made) * 3 for _ in range(3))
    return one, two, three


@pytest.mark.parametrize("heads", [None, 4, 2])
def test_attention_of_a_batch(heads: int | None) -> None:
    query, key, value = states(3, 12)
    keep = (torch.arange(12)[None] < torch.tensor([[12], [5], [1]])).long()
    config = None if heads is None else SimpleNamespace(num_attention_heads=heads)
    mask = attention.padding_mask(attention_mask=keep, config=config)
    assert mask is not None
    if heads == 2:  # a layer with other heads than the config says
        mask = attention.padding_mask(attention_mask=keep)
    lowest = ((1.0 - keep) * torch.finfo(torch.float32).min)[:, None, None, :]
    ours, _ = attention.attention(LAYER, query, key, value, mask)
    theirs, _ = eager_attention_forward(LAYER, query, key, value, lowest, scaling=8**-0.5)
    assert ours.shape == (3, 12, 4, 8)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_a_window_is_not_ignored(tmp_path: Path) -> None:
    """ModernBERT's local layers see a few neighbours only."""
    from transformers import ModernBertConfig

    sizes: dict[str, Any] = {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "max_position_embeddings": 96,
        "local_attention": 16,
        "initializer_range": 0.15,
        "bos_token_id": 2,
        "eos_token_id": 3,
        "cls_token_id": 2,
        "sep_token_id": 3,
    }
    this = prepare(write_model(tmp_path / "m", ModernBertConfig, sizes), "feature-extraction")
    module = this.captured.module()
    graph.apply_all(module, "executorch")
    for length in (5, 17, 60, 96):
        inputs = this.ids(length, length)
        with torch.no_grad():
            wanted = this.eager(*inputs)
            assert (module(*inputs) - wanted).abs().max() <= 1e-5 * wanted.abs().max(), length
    # The window does something: the same weights with a wide one give another answer.
    wide = write_model(tmp_path / "wide", ModernBertConfig, sizes | {"local_attention": 192})
    inputs = this.ids(60)
    with torch.no_grad():
        other = prepare(wide, "feature-extraction").eager(*inputs)
        assert (other - this.eager(*inputs)).abs().max() > 1e-3


class Repeated(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x + 1).exp() * (x + 1).exp() + (x + 1.5) + torch.rand_like(x) * torch.rand_like(x)


def test_what_is_computed_twice() -> None:
    module = export(Repeated(), (torch.ones(2, 3),)).module(check_guards=False)
    assert isinstance(module, GraphModule)
    assert repeats.apply(module) == 2
    assert repeats.apply(module) == 0
    found = [node.target for node in module.graph.nodes]
    assert found.count(aten.exp.default) == 1
    assert found.count(aten.add.Tensor) == 4
    assert found.count(aten.rand_like.default) == 2
    torch.manual_seed(0)
    first = module(torch.ones(2, 3))
    torch.manual_seed(0)
    assert torch.equal(first, Repeated()(torch.ones(2, 3)))


class Projections(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.three = (nn.Linear(8, 8) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        one = self.one(x).tanh()
        two = self.two(x) * one
        return self.one(two) + self.three(x)


def test_linears_of_one_activation_stand_together() -> None:
    eager = Projections().eval()
    module = export(eager, (torch.ones(2, 8),)).module(check_guards=False)
    assert isinstance(module, GraphModule)
    assert siblings.apply(module) == 2
    assert siblings.apply(module) == 0
    module.graph.lint()
    found = [node.target for node in module.graph.nodes if node.op == "call_function"]
    assert found[:3] == [aten.linear.default] * 3
    x = torch.randn(2, 8)
    assert torch.equal(module(x), eager(x))


@pytest.mark.slow
def test_one_delegate_call_in_int8(case: Callable[[str], Case]) -> None:
    """Without the order, each layer ends a delegated part."""
    from executorch.exir import to_edge_transform_and_lower

    from edgekit_converters.quantize import executorch_writer
    from edgekit_converters.quantize.rounding import nearest
    from edgekit_converters.quantize.units import units

    calls = {}
    for skip in (frozenset[str](), frozenset({"siblings"})):
        captured = batched(case("sentence"), TASKS["sentence"])
        module = captured.module()
        graph.apply_all(module)
        weights = dict(module.named_parameters())
        linears = [unit.name for unit in units(module) if unit.kind == "linear"]
        grids = {name: nearest.fit(weights[name].detach(), 8, 0) for name in linears}
        for name, grid in grids.items():
            weights[name].data = grid.dequantized()
        graph.apply_all(module, "executorch", skip)
        executorch_writer.apply(module, grids)
        with quiet(), delegation.refusals() as refused:
            edge = to_edge_transform_and_lower(captured.again(module).program, **xnnpack.lowering())
        report = delegation.report(edge.exported_program(), refused, "xnnpack")
        calls["siblings" in skip] = report.calls
    assert calls[False] == 1
    assert calls[True] > 1

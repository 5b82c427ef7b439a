"""Single weights, blocks and patterns: which go, how many, and how they are spread."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from edgekit.errors import SpecError
from edgekit_converters.prune import allocation, masks, schedule
from edgekit_converters.prune.evidence import Evidence
from edgekit_converters.prune.granularities import block, element, pattern


def test_the_lowest_elements_go_and_just_as_many_as_asked() -> None:
    score = torch.arange(24.0).reshape(4, 6)
    assert torch.equal(element.removed(score, 0.5), score < 12)
    by_row = element.removed(score, 0.5, axis=1)
    assert torch.equal(by_row, (torch.arange(6) < 3).expand(4, 6))
    assert int(element.removed(torch.zeros(4, 6), 0.5).sum()) == 12  # ties are no more


def test_blocks_go_whole_at_the_edges_too() -> None:
    torch.manual_seed(0)
    score = torch.rand(40, 33)
    score[16:32, :16] = 0.01
    score[32:, 32:] = 0.01
    gone = block.removed(score, 2 / 9)
    expected = torch.zeros(40, 33, dtype=torch.bool)
    expected[16:32, :16] = expected[32:, 32:] = True
    assert torch.equal(gone, expected)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_pattern_holds_in_every_run_that_an_output_reads(axis: int) -> None:
    torch.manual_seed(0)
    score = torch.rand(8, 10) if axis == 1 else torch.rand(10, 8)
    gone = pattern.removed(score, 2, 4, axis)
    rows, values = (gone, score) if axis == 1 else (gone.T, score.T)
    assert bool((rows[:, :8].reshape(8, 2, 4).sum(-1) == 2).all())
    assert not bool(rows[:, 8:].any())  # a run that is too short stays
    lowest = values[0, :4].argsort()[:2]
    assert rows[0, :4].nonzero().flatten().tolist() == sorted(lowest.tolist())


@pytest.mark.parametrize("name", ["4:2", "0:4", "2:2", "a:b", "2:4:8"])
def test_patterns_that_are_none_are_refused(name: str) -> None:
    with pytest.raises(SpecError, match="is no pattern"):
        pattern.pattern(name)


def test_shares_add_up_to_the_amount() -> None:
    torch.manual_seed(0)
    scores = {"small": torch.rand(10, 10) * 0.1, "large": torch.rand(20, 20)}
    sizes = {name: score.numel() for name, score in scores.items()}
    total = sum(sizes.values())
    assert allocation.uniform(scores, 0.4) == {"small": 0.4, "large": 0.4}
    ranked = allocation.ranked(scores, 0.4)
    assert ranked["small"] > ranked["large"]
    assert sum(ranked[n] * sizes[n] for n in sizes) == pytest.approx(0.4 * total, abs=1)
    losses = {"small": (0.1, 0.2, 0.9), "large": (0.01, 0.02, 0.05)}
    sensitive = allocation.sensitive(sizes, 0.4, losses, (0.25, 0.5, 0.75))
    assert sensitive["large"] > sensitive["small"]
    assert sum(sensitive[n] * sizes[n] for n in sizes) == pytest.approx(0.4 * total)


def test_schedules_end_at_the_amount() -> None:
    assert schedule.amounts("one-shot", 0.9) == [0.9]
    iterative = schedule.amounts("iterative", 0.9, 4)
    kept = [1 - amount for amount in iterative]
    ratios = [b / a for a, b in zip([1.0, *kept], kept, strict=False)]
    assert ratios == pytest.approx([ratios[0]] * 4)  # the same share of what is left
    cubic = schedule.amounts("cubic", 0.8, 4)
    assert cubic == pytest.approx([0.8 * (1 - (1 - t) ** 3) for t in (0.25, 0.5, 0.75, 1.0)])
    assert iterative[-1] == 0.9
    assert cubic[-1] == 0.8
    with pytest.raises(SpecError, match="unknown schedule"):
        schedule.amounts("linear", 0.5)
    with pytest.raises(SpecError, match="0 rounds"):
        schedule.amounts("cubic", 0.5, 0)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 4)).requires_grad_(False)


def seen(model: nn.Module) -> Evidence:
    torch.manual_seed(1)
    batches = [{"x": torch.randn(16, 8)} for _ in range(4)]
    return Evidence(model, lambda m, batch: m(batch["x"]), False, batches)


def test_rounds_never_bring_a_weight_back() -> None:
    original = network()
    model = copy.deepcopy(original)
    gone: masks.Masks = {}
    for level in (0.3, 0.6):
        before = {name: tensor.clone() for name, tensor in gone.items()}
        gone = masks.masked(
            seen(model),
            "element",
            "magnitude",
            level,
            lambda scores, level=level: allocation.uniform(scores, level),
            gone or None,
        )
        assert all(bool(gone[name][tensor].all()) for name, tensor in before.items())
        assert {name: round(float(t.double().mean()), 1) for name, t in gone.items()} == {
            "0.weight": level,
            "2.weight": level,
        }


@pytest.mark.parametrize("method", ["obs", "sparsegpt"])
def test_compensation_keeps_outputs_nearer_than_the_mask_alone(method: str) -> None:
    original = network()
    x = torch.cat([batch["x"] for batch in seen(original).batches])
    errors = {}
    for name in (method, "magnitude"):
        model = copy.deepcopy(original)
        gone = masks.masked(
            seen(model), "element", name, 0.5, lambda scores: allocation.uniform(scores, 0.5)
        )
        share = sum(int(t.sum()) for t in gone.values()) / sum(t.numel() for t in gone.values())
        assert share == pytest.approx(0.5)
        assert all(bool((dict(model.named_parameters())[n][t] == 0).all()) for n, t in gone.items())
        errors[name] = float((model(x) - original(x)).norm())
    assert errors[method] < errors["magnitude"]


def test_a_head_that_shares_the_table_is_left_alone() -> None:
    from tests.converters.prune import models

    assert "cls.predictions.decoder.weight" not in masks.targets(models.model("BERT"))
    assert "lm_head.weight" in masks.targets(models.model("Llama, one key head"))
    assert masks.targets(models.model("GPT-2"))["transformer.h.0.attn.c_attn.weight"] == 0

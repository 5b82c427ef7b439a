"""Calibration: nothing is lost on the way, every tensor is accounted for, a replay is the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.fx import GraphModule

from edgekit.errors import InputRefused
from edgekit_converters.quantize.calibrate import calibrate
from edgekit_converters.quantize.decisions import Decisions, replay
from edgekit_converters.quantize.ledger import coverage
from edgekit_converters.quantize.methods import Calibrators
from edgekit_converters.quantize.plan import Setting, Unit
from edgekit_converters.quantize.schemes import SCHEMES
from edgekit_converters.quantize.settings import settle
from edgekit_converters.quantize.units import units
from tests.converters.conftest import Case, calibration
from tests.support.refusals import refused


def calibrated(this: Case, scheme: str = "int8", **methods: Any) -> tuple[GraphModule, Decisions]:
    graph = this.rewritten().module()
    choice = SCHEMES[scheme].choice()

    def settled(found: list[Unit]) -> dict[str, Setting]:
        return settle(found, choice)

    return graph, calibrate(graph, settled, Calibrators(**methods), calibration(this))


def output(graph: Any, this: Case) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = graph(*this.ids(24))
    return found


def snr(reference: torch.Tensor, other: torch.Tensor) -> float:
    noise = (reference - other).square().sum()
    return float(10 * torch.log10(reference.square().sum() / noise))


@pytest.mark.parametrize("name", ["bert", "distilbert", "electra", "mask", "roberta", "classifier"])
def test_every_tensor_is_accounted_for(case: Callable[[str], Case], name: str) -> None:
    this = case(name)
    graph, decisions = calibrated(this)
    assert [row.tensor for row in decisions.rows] == [unit.name for unit in units(graph)]
    assert coverage(decisions.rows) >= 0.97
    for row in decisions.rows:
        if row.bits == 32:
            assert row.reason
            assert row.tensor not in decisions.grids
        else:
            assert row.tensor in decisions.grids
            assert row.weight_db is not None
            assert row.weight_db > 30
            assert (row.output_db is not None) == (row.kind == "linear")
    assert snr(output(this.eager, this), output(graph, this)) > 30


@pytest.mark.parametrize("scaling", ["", "smoothquant", "awq"])
@pytest.mark.parametrize("rounding", ["nearest", "gptq"])
def test_methods_combine(case: Callable[[str], Case], scaling: str, rounding: str) -> None:
    graph, decisions = calibrated(case("bert"), scaling=scaling, rounding=rounding)
    assert bool(decisions.factors) == bool(scaling)
    assert snr(output(case("bert").eager, case("bert")), output(graph, case("bert"))) > 30


def test_parts_of_a_feed_forward_have_rows_of_their_own(case: Callable[[str], Case]) -> None:
    _, split = calibrated(case("bert"))
    _, whole = calibrated(case("bert"), split=False)
    assert len(split.channels) == 2
    assert not whole.channels
    assert len(split.rows) == len(whole.rows) + 2 * 2
    assert sum(r.bytes_before for r in split.rows) == sum(r.bytes_before for r in whole.rows)


@pytest.mark.parametrize("scheme", ["int8", "int8-int4", "int4-int8", "int4"])
def test_a_replay_gives_the_same_graph(case: Callable[[str], Case], scheme: str) -> None:
    this = case("mask")
    graph, decisions = calibrated(this, scheme)
    again = this.rewritten().module()
    replay(again, decisions)
    assert torch.equal(output(graph, this), output(again, this))


def test_tied_weights_are_calibrated_apart(case: Callable[[str], Case]) -> None:
    this = case("mask")
    _, decisions = calibrated(this)
    size = this.loaded.tokenizer.get_vocab_size()
    tied = [row for row in decisions.rows if row.rows == size]
    assert sorted(row.kind for row in tied) == ["linear", "table"]
    assert len({row.tensor for row in tied}) == 2


@pytest.mark.parametrize(("scheme", "one"), [("int4", True), ("int4-int8", False)])
def test_a_head_and_its_table_of_four_bits_have_the_same_integers(
    case: Callable[[str], Case], scheme: str, one: bool
) -> None:
    this = case("mask")
    graph, decisions = calibrated(this, scheme)
    size = this.loaded.tokenizer.get_vocab_size()
    tied = [row.tensor for row in decisions.rows if row.rows == size]
    first, second = (decisions.grids[name].dequantized() for name in tied)
    assert torch.equal(first, second) == one
    assert snr(output(this.eager, this), output(graph, this)) > 10


def test_four_bits_where_the_width_allows_it(case: Callable[[str], Case]) -> None:
    _, decisions = calibrated(case("bert"), "int4")
    for row in decisions.rows:
        if row.bits == 4:
            assert row.columns % row.group == 0
            assert decisions.grids[row.tensor].scales.shape == (row.rows, row.columns // row.group)


def test_a_plan_for_another_model(case: Callable[[str], Case]) -> None:
    _, decisions = calibrated(case("distilbert"))
    graph = case("bert").rewritten().module()
    refused(InputRefused, 65, "another model", lambda: replay(graph, decisions))


def test_fp32_needs_no_calibration(case: Callable[[str], Case]) -> None:
    this = case("bert")
    graph, decisions = calibrated(this, "none")
    assert not decisions.grids
    assert not decisions.factors
    assert torch.equal(output(graph, this), output(this.rewritten().module(), this))

"""Losses of single groups are what they say, and add up."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from edgekit_converters.quantize.methods import Calibrators
from edgekit_converters.quantize.moments import moments
from edgekit_converters.quantize.plan import Setting, Unit, stored_bytes
from edgekit_converters.quantize.search.additivity import additivity
from edgekit_converters.quantize.search.calibrated import treat
from edgekit_converters.quantize.search.sensitivity import (
    Option,
    Sensitivity,
    groups,
    losses,
    merged,
    options,
    scan,
)
from edgekit_converters.quantize.simulate import Simulation, Treatment
from edgekit_converters.quantize.units import units
from tests.converters.conftest import Case, calibration

Offered = dict[str, tuple[Option, ...]]


def settings(unit: Unit) -> Sequence[Setting]:
    fewer = [Setting(4, 32), Setting(2, 32)] if unit.kind == "table" else [Setting(4, 32)]
    return [Setting(32), Setting(8), *fewer]


class Prepared:
    """A tiny sentence model with everything that a search needs."""

    def __init__(self, this: Case) -> None:
        graph = this.rewritten().module()
        self.inputs: list[tuple[Tensor, ...]] = calibration(this)
        self.units = units(graph)
        self.groups = groups(self.units)
        self.simulation = Simulation(graph, self.units)
        watched = {unit.activation for unit in self.units if unit.kind == "linear"}
        tensors = dict(graph.named_parameters(remove_duplicate=False))
        self.weights = {unit.name: tensors[unit.name].detach() for unit in self.units}
        self.moments = moments(graph, watched, self.inputs)
        treated = treat(self.weights, self.moments, Calibrators())
        self.offered = options(self.groups, settings, treated)


@pytest.fixture(scope="module")
def prepared(case: Callable[[str], Case]) -> Prepared:
    torch.set_num_threads(1)
    return Prepared(case("sentence"))


@pytest.fixture(scope="module")
def scanned(prepared: Prepared) -> list[Sensitivity]:
    return scan(prepared.simulation, prepared.offered, prepared.inputs)


def test_linears_with_one_activation_are_a_group(prepared: Prepared) -> None:
    layers = [name for name in prepared.groups if ".layer.1." in name]
    stem = layers[0].partition(".layer.1.")[0]
    assert layers == [
        f"{stem}.layer.1.attention.self.(query|key|value).weight",
        f"{stem}.layer.1.attention.output.dense.weight",
        f"{stem}.layer.1.intermediate.dense.weight",
        f"{stem}.layer.1.output.dense.weight",
    ]
    assert [len(prepared.groups[name]) for name in layers] == [3, 1, 1, 1]
    tables = [name for name, members in prepared.groups.items() if members[0].kind == "table"]
    assert tables == [unit.name for unit in prepared.units if unit.kind == "table"]
    assert sum(map(len, prepared.groups.values())) == len(prepared.units)


def test_names_of_unlike_members_are_whole() -> None:
    members = [
        Unit("encoder.first.weight", "linear", 4, 8, "shared", ("a",)),
        Unit("decoder.second.bias", "linear", 4, 8, "shared", ("b",)),
        Unit("alone", "linear", 4, 8, "other", ("c",)),
    ]
    assert list(groups(members)) == ["(encoder.first.weight|decoder.second.bias)", "alone"]


def test_every_option_once_with_its_bytes(prepared: Prepared, scanned: list[Sensitivity]) -> None:
    expected = [
        (name, setting.label, sum(stored_bytes(unit, setting) for unit in members))
        for name, members in prepared.groups.items()
        for setting in settings(members[0])
    ]
    assert [(one.group, one.amount, one.bytes) for one in scanned] == expected


def test_fewer_bits_lose_more(scanned: list[Sensitivity]) -> None:
    loss = {(one.group, one.amount): one for one in scanned}
    for group in {one.group for one in scanned}:
        assert loss[group, "fp32"].losses == (0.0,) * 16
        eight, four = loss[group, "int8 per row"], loss[group, "int4 group 32"]
        assert 0 < eight.mean < four.mean
        assert eight.worst < four.worst
        if (two := loss.get((group, "int2 group 32"))) is not None:
            assert four.mean < two.mean


def test_a_loss_is_that_of_the_group_alone(prepared: Prepared, scanned: list[Sensitivity]) -> None:
    name, members = next(item for item in prepared.groups.items() if len(item[1]) == 3)
    option = next(o for o in prepared.offered[name] if o.amount == "int4 group 32")
    assert set(option.variant) == {member.name for member in members}
    (single,) = [one for one in scanned if (one.group, one.amount) == (name, option.amount)]
    for arguments, loss in zip(prepared.inputs, single.losses, strict=True):
        own, other = next(prepared.simulation.compare([option.variant], [arguments]))
        near = torch.nn.functional.cosine_similarity(
            own.flatten().double(), other.flatten().double(), dim=0
        )
        assert loss == pytest.approx(1 - float(near), abs=1e-7)


def test_linears_of_a_group_share_the_rounded_activation(prepared: Prepared) -> None:
    name = next(name for name, members in prepared.groups.items() if len(members) == 3)
    for option in prepared.offered[name][1:]:
        parts = list(option.variant.values())
        assert len({id(part.factor) for part in parts}) == 1
        assert parts[0].factor is not None
        assert len({id(part.round_input) for part in parts}) == 1


def test_without_scaling_there_is_no_factor(prepared: Prepared) -> None:
    plain = treat(prepared.weights, prepared.moments, Calibrators(scaling="", rounding="nearest"))
    members = next(m for m in prepared.groups.values() if m[0].kind == "linear")
    for part in plain(members, Setting(8)).values():
        assert part.factor is None


def test_sums_predict_mixes(prepared: Prepared, scanned: list[Sensitivity]) -> None:
    checked = additivity(
        prepared.simulation, prepared.offered, scanned, prepared.inputs, count=6, seed=3
    )
    # All with 8 bits, all with 4, and six at random.
    assert len(checked.mixes) == 8
    assert set(checked.mixes[0].amounts.values()) == {"int8 per row"}
    assert set(checked.mixes[1].amounts.values()) == {"int4 group 32"}
    assert checked.mean_correlation > 0.9
    assert checked.worst_correlation > 0.8
    assert 0.5 < checked.mean_ratio < 2
    assert 0.5 < checked.worst_ratio < 2
    for mix in checked.mixes[:2]:
        variant = merged(prepared.offered, mix.amounts)
        (measured,) = losses(prepared.simulation, [variant], prepared.inputs)
        assert mix.measured_mean == measured.mean()
        assert mix.measured_worst == measured.max()
    again = additivity(
        prepared.simulation, prepared.offered, scanned, prepared.inputs, count=6, seed=3
    )
    assert again == checked


def test_records_are_json(prepared: Prepared, scanned: list[Sensitivity]) -> None:
    found = json.loads(json.dumps([one.as_dict() for one in scanned]))
    assert found[1]["losses"] == list(scanned[1].losses)
    assert found[1]["worst_loss"] == max(scanned[1].losses)
    checked = additivity(
        prepared.simulation, prepared.offered, scanned, prepared.inputs[:16], count=0
    )
    assert json.loads(json.dumps(checked.as_dict()))["mixes"][0]["measured_mean"] > 0


def test_any_change_of_a_group_can_be_scanned(prepared: Prepared) -> None:
    """Pruning gives the same table: here the smallest weights of a group are set to zero."""
    name, members = next(item for item in prepared.groups.items() if item[1][0].kind == "linear")
    offered: Offered = {name: (Option("0 %", 100),)}
    for share in (0.3, 0.8):
        treatments = {}
        for member in members:
            tensor = prepared.weights[member.name]
            cut = tensor.abs().quantile(share)
            treatments[member.name] = Treatment(tensor * (tensor.abs() > cut))
        offered[name] += (Option(f"{share:.0%}", int(100 * (1 - share)), treatments),)
    none, little, much = scan(prepared.simulation, offered, prepared.inputs)
    assert none.mean == 0 < little.mean < much.mean


def test_only_the_rows_that_count(prepared: Prepared) -> None:
    name = next(iter(prepared.groups))
    variant = prepared.offered[name][2].variant
    whole = losses(prepared.simulation, [variant], prepared.inputs)
    part = losses(
        prepared.simulation, [variant], prepared.inputs, lambda output, arguments: output[:, :20]
    )
    assert whole.shape == part.shape == (1, len(prepared.inputs))
    assert not np.allclose(whole, part)

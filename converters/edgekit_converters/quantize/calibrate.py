"""Calibrate a graph: split and scale activations, round weights, account for every tensor."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.fx import GraphModule

from edgekit_converters.quantize import methods, outliers
from edgekit_converters.quantize.decisions import Decisions, put, scale, untie, weight
from edgekit_converters.quantize.ledger import Row, row
from edgekit_converters.quantize.methods import Calibrators
from edgekit_converters.quantize.moments import Moments, moments
from edgekit_converters.quantize.ordered import as_lookups
from edgekit_converters.quantize.plan import FP32, Setting, Unit
from edgekit_converters.quantize.ranges import observe
from edgekit_converters.quantize.units import units

Inputs = Sequence[tuple[Tensor, ...]]
Settle = Callable[[list[Unit]], dict[str, Setting]]


def calibrate(
    graph_module: GraphModule, settle: Settle, calibrators: Calibrators, inputs: Inputs
) -> Decisions:
    """Decide everything, and carry it out on the graph in place.

    Args:
        graph_module: captured and rewritten, float32. Afterwards each quantized constant holds its
            grid's dequantized values, so that the graph computes with the artifact's weights.
        settle: the settings for the graph's units.
        calibrators: methods.
        inputs: calibration inputs, run one by one.
    """
    if calibrators.ordered:
        as_lookups(graph_module)
    found = units(graph_module)
    settings = settle(found)
    if all(setting.bits == FP32 for setting in settings.values()):
        return Decisions(rows=[row(unit, settings[unit.name]) for unit in found])
    tied = untie(graph_module)
    found = units(graph_module)
    settings = settle(found)
    tied = {name: table for name, table in tied.items() if _as_one(settings, name, table)}
    watched = {
        unit.activation
        for unit in found
        if unit.kind == "linear" and settings[unit.name].bits != FP32
    }
    seen = moments(graph_module, watched, inputs) if watched else {}
    decisions = Decisions()
    if calibrators.split:
        _split(graph_module, settings, seen, decisions)
        found = units(graph_module)
    rows: dict[str, Row] = {}
    by_activation: dict[str, list[Unit]] = defaultdict(list)
    for unit in found:
        setting = settings[unit.name]
        if setting.bits == FP32:
            rows[unit.name] = row(unit, setting)
        elif unit.kind == "linear":
            by_activation[unit.activation].append(unit)
    for activation, linears in by_activation.items():
        chosen = calibrators
        if any(unit.name in tied for unit in linears):
            chosen = replace(calibrators, scaling="")  # the table is looked up as it is
        _linears(graph_module, linears, seen[activation], settings, chosen, decisions, rows)
    shared = {table: decisions.grids[name] for name, table in tied.items()}
    for unit in found:
        setting = settings[unit.name]
        if unit.kind == "table" and setting.bits != FP32:
            table = weight(graph_module, unit.name)
            grid = shared.get(unit.name) or methods.fit_table(table, setting)
            decisions.grids[unit.name] = grid
            rows[unit.name] = row(unit, setting, table, grid)
            put(graph_module, unit.name, grid)
    graph_module.graph.eliminate_dead_code()
    graph_module.recompile()
    decisions.rows = [rows[unit.name] for unit in found]
    if calibrators.static:
        _fix_activations(graph_module, decisions, inputs)
    return decisions


def _as_one(settings: Mapping[str, Setting], linear: str, table: str) -> bool:
    """Whether a head takes the integers of its table along: with the same groups, a file can hold
    both as one (``executorch_writer``)."""
    one, other = settings[linear], settings[table]
    return one.bits == other.bits == 4 and one.group == other.group


def _fix_activations(graph_module: GraphModule, decisions: Decisions, inputs: Inputs) -> None:
    """Give the 8-bit linears ranges; what has fewer bits has kernels for each token's own alone."""
    linears = {unit.name for unit in units(graph_module) if unit.kind == "linear"}
    eight = {name for name, grid in decisions.grids.items() if grid.bits == 8 and name in linears}
    for name, ranges in observe(graph_module, eight, inputs).items():
        decisions.grids[name] = replace(decisions.grids[name], ranges=ranges)


def _split(
    graph_module: GraphModule,
    settings: dict[str, Setting],
    seen: dict[str, Moments],
    decisions: Decisions,
) -> None:
    """Part 8-bit linears after an activation function, and what is known of them."""
    activations = {unit.name: unit.activation for unit in units(graph_module)}
    parted: dict[str, Moments] = {}
    for name in outliers.splittable(graph_module):
        if settings[name].bits != 8:
            continue
        before = seen[activations[name]]
        chosen = outliers.channels(before)
        if not len(chosen):
            continue
        rest = torch.ones(len(before.peak), dtype=torch.bool)
        rest[chosen] = False
        both = outliers.split(graph_module, name, chosen)
        for part, channels in zip(both, (chosen, rest.nonzero()[:, 0]), strict=True):
            parted[part] = before.only(channels)
        decisions.channels[name] = chosen
    for unit in units(graph_module):
        if unit.name not in settings:
            whole = unit.name.removesuffix(outliers.OUTLIERS).removesuffix(outliers.REST)
            settings[unit.name] = settings[whole]
        if unit.name in parted:
            seen[unit.activation] = parted[unit.name]


def _linears(
    graph_module: GraphModule,
    linears: list[Unit],
    seen: Moments,
    settings: Mapping[str, Setting],
    calibrators: Calibrators,
    decisions: Decisions,
    rows: dict[str, Row],
) -> None:
    """Calibrate the linears that share an activation, and its scaling where they agree on one."""
    weights = {unit.name: weight(graph_module, unit.name) for unit in linears}
    first = settings[linears[0].name]
    for names, factors in methods.scalings(calibrators.scaling, weights, seen, first):
        members = [unit for unit in linears if unit.name in names]
        known = seen
        if factors is not None:
            scale(graph_module, members, factors)
            known = seen.scaled(1 / factors)
        for unit in members:
            setting, tensor = settings[unit.name], weights[unit.name]
            if factors is not None:
                decisions.factors[unit.name] = factors.clone()
                tensor = tensor * factors
            grid = methods.fit(calibrators.rounding, tensor, setting, known)
            decisions.grids[unit.name] = grid
            rows[unit.name] = row(unit, setting, tensor, grid, known)
            put(graph_module, unit.name, grid)

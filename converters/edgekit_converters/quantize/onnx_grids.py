"""Put grids into an ONNX graph: every quantized weight in the form that suits it.

========  ====  ===============  ==========================================================
kind      bits  scales           form
========  ====  ===============  ==========================================================
linear    8     one a row        dynamic int8, one scale for each token (``onnx_int8``)
linear    any   several, or < 8  ``MatMulNBits`` (``onnx_blocks``)
table     8     one a row        int8 ``Gather`` and one for the scale
table     any   several, or < 8  ``GatherBlockQuantized`` (``onnx_blocks``)
========  ====  ===============  ==========================================================

A weight that is both a table and a linear's is stored once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto

from edgekit_converters.quantize import onnx_blocks as blocks
from edgekit_converters.quantize.grid import Grid
from edgekit_converters.quantize.onnx_graph import Draft
from edgekit_converters.quantize.onnx_int8 import Dynamic
from edgekit_converters.quantize.onnx_match import Linear, Lookup, find


@dataclass(frozen=True)
class Stored:
    """One quantized weight, as it lies in the file.

    Attributes:
        name: of the grid.
        kind: ``linear``, ``table``, or ``tied`` for both at once.
        form: the operator that reads it.
        bits: of an integer.
        group: columns that share a scale; 0 for one scale a row.
        bytes_before: float32 bytes.
        bytes_after: bytes of the integers and their scales.
    """

    name: str
    kind: str
    form: str
    bits: int
    group: int
    bytes_before: int
    bytes_after: int

    @property
    def scheme(self) -> str:
        """In words."""
        weights = f"int{self.bits} " + (f"in groups of {self.group}" if self.group else "per row")
        if self.kind == "table":
            return weights
        by = "token" if "Integer" in self.form else "token and block"
        return f"{weights}, activations int8 per {by}"


def apply(model: onnx.ModelProto, grids: Mapping[str, Grid]) -> tuple[Stored, ...]:
    """Quantize in place.

    Args:
        model: its float32 constants are what the grids stand for; recorded shapes are made use of.
        grids: by name; weights without one stay float32.

    Returns:
        One row a grid, sorted by name.

    Raises:
        InternalError: a grid whose weight no node reads.
        Unsupported: a group size without a kernel.
    """
    draft = Draft(model)
    found = find(draft, grids)
    tables = {lookup.name for lookup in found.lookups}
    multiplied = {linear.name for linear in found.linears}
    teams = _teams(found.linears, tables)
    lookups = {id(lookup.nodes[0]): lookup for lookup in found.lookups}
    replaced = {id(node) for linear in found.linears for node in linear.nodes}
    dynamic = Dynamic(draft)
    for node in draft.nodes:
        if id(node) in lookups:
            lookup = lookups[id(node)]
            _look_up(draft, lookup, tied=lookup.name in multiplied)
        elif id(node) in teams:
            _multiply(draft, dynamic, teams[id(node)], tables)
        elif id(node) not in replaced:
            draft.keep(node)
    draft.finish()
    return tuple(
        _stored(name, grids[name], found.first[name] in tables, found.first[name] in multiplied)
        for name in sorted(grids)
    )


def dynamic_form(grid: Grid) -> bool:
    """Whether a grid is written in the dynamic int8 form, or a table as int8 rows."""
    return grid.bits == 8 and grid.per_row


def _teams(linears: Sequence[Linear], tables: set[str]) -> dict[int, list[Linear]]:
    """Linears to write as one product, by the node of the first: same activation, same form.

    A weight that is a table as well stays alone, and shares the table's constant.
    """
    teams: dict[object, list[Linear]] = {}
    for linear in linears:
        grid = linear.grid
        form = 0 if dynamic_form(grid) else blocks.block_of(linear.name, grid)
        tied = linear.output if linear.name in tables else ""
        teams.setdefault((linear.source, form, grid.bits, tied), []).append(linear)
    return {id(team[0].nodes[0]): team for team in teams.values()}


def _multiply(draft: Draft, dynamic: Dynamic, team: list[Linear], tables: set[str]) -> None:
    name = "+".join(linear.name for linear in team)
    output = team[0].output if len(team) == 1 else f"{team[0].output}.joined"
    if not dynamic_form(team[0].grid):
        blocks.multiply(draft, team, f"{name}.blocks", output)
    elif team[0].name in tables:
        rows = draft.const(f"{name}.rows", team[0].grid.values.numpy())
        turned = draft.add("Transpose", [rows], f"{output}.weight", perm=[1, 0])
        dynamic.write(team, turned, output)
    else:
        values = np.concatenate([linear.grid.values.numpy() for linear in team])
        dynamic.write(team, draft.const(f"{name}.int8", values.T), output)
    if len(team) > 1:
        sizes = draft.integers(*(linear.grid.values.shape[0] for linear in team))
        draft.add("Split", [output, sizes], *(linear.output for linear in team), axis=-1)


def _look_up(draft: Draft, lookup: Lookup, tied: bool) -> None:
    name, output, ids = lookup.name, lookup.output, lookup.ids
    if not dynamic_form(lookup.grid):
        # A product reads float32 scales, which the lookup then shares.
        blocks.look_up(draft, lookup.grid, f"{name}.blocks", ids, output, narrow=not tied)
        return
    table = draft.const(f"{name}.rows", lookup.grid.values.numpy())
    scales = draft.const(f"{name}.scale", lookup.grid.scales.numpy())
    rows = draft.add("Gather", [table, ids], f"{output}.rows")
    floats = draft.add("Cast", [rows], f"{output}.floats", to=TensorProto.FLOAT)
    factor = draft.add("Gather", [scales, ids], f"{output}.factor")
    draft.add("Mul", [floats, factor], output)


def _stored(name: str, grid: Grid, table: bool, linear: bool) -> Stored:
    kind = "tied" if table and linear else "table" if table else "linear"
    before = grid.values.numel() * 4
    if dynamic_form(grid):
        form = {"linear": "MatMulIntegerToFloat", "table": "Gather"}.get(kind, "")
        form = form or "Gather, MatMulIntegerToFloat"
        # A tied weight's scales lie there twice, as a column and as a list.
        after = grid.values.numel() + grid.scales.numel() * (8 if kind == "tied" else 4)
    else:
        form = {"linear": "MatMulNBits", "table": "GatherBlockQuantized"}.get(kind, "")
        form = form or "GatherBlockQuantized, MatMulNBits"
        block = blocks.block_of(name, grid)
        rows, columns = grid.values.shape
        count = -(-columns // block)
        width = 2 if kind == "table" and grid.halves is not None else 4
        after = rows * count * (block * grid.bits // 8 + width)
    return Stored(name, kind, form, grid.bits, 0 if grid.per_row else grid.group, before, after)

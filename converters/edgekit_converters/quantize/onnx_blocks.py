"""Grids with several scales a row in ONNX: ``MatMulNBits`` and ``GatherBlockQuantized``.

Both read the same bytes: each row is cut into blocks of a power of two, the last one filled up with
zeros, and integers are stored unsigned, ``value + 2 ** (bits - 1)``, the first of a byte in its
lowest bits. That is ONNX Runtime's own layout, with its default zero point.

``accuracy_level`` 4 makes the product integer: activations are rounded to int8, one scale for each
token and block, inside the operator.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from edgekit.errors import Unsupported
from edgekit_converters.quantize.grid import Grid
from edgekit_converters.quantize.onnx_graph import CONTRIB, Array, Draft
from edgekit_converters.quantize.onnx_match import Linear

# What MatMulNBits has kernels for.
BLOCKS = (16, 32, 64, 128, 256)

_INT8_ACTIVATIONS = 4
# A scale for a whole row is repeated in blocks of this: fast, and few of them.
_ROW_BLOCK = 128


def block_of(name: str, grid: Grid) -> int:
    """The block that a grid's groups are written in; a group is one or more of them.

    Raises:
        Unsupported: a group that is no multiple of 16.
    """
    if grid.per_row:
        width = grid.values.shape[1]
        return next((block for block in BLOCKS if width <= block <= _ROW_BLOCK), _ROW_BLOCK)
    fitting = [block for block in BLOCKS if grid.group % block == 0]
    if not fitting:
        raise Unsupported(
            f"{name}: a group of {grid.group} has no kernel in ONNX Runtime",
            hint=f"Use a multiple of {BLOCKS[0]}; {', '.join(map(str, BLOCKS[1:4]))} are fastest.",
        )
    return fitting[-1]


def packed(grid: Grid, block: int) -> NDArray[np.uint8]:
    """The integers as stored: uint8 ``(rows, blocks, bytes)``."""
    values = grid.values.numpy()
    rows, columns = values.shape
    zero, each = 1 << (grid.bits - 1), 8 // grid.bits
    filled = np.full((rows, -(-columns // block) * block), zero, np.uint8)
    filled[:, :columns] = (values.astype(np.int16) + zero).astype(np.uint8)
    parts = filled.reshape(rows, -1, block // each, each)
    found = np.zeros(parts.shape[:-1], np.uint8)
    for place in range(each):
        found |= parts[..., place] << np.uint8(place * grid.bits)
    return found


def block_scales(grid: Grid, block: int) -> Array:
    """float32 ``(rows, blocks)``."""
    found: Array = _in_blocks(grid.scales.numpy(), grid, block)
    return found


def _in_blocks(scales: NDArray[Any], grid: Grid, block: int) -> NDArray[Any]:
    """The scale of each block, from that of its group."""
    places = np.arange(-(-grid.values.shape[1] // block))
    return scales[:, places * 0 if grid.per_row else places * block // grid.group]


def multiply(draft: Draft, linears: Sequence[Linear], name: str, output: str) -> None:
    """One ``MatMulNBits`` for linears that read the same activation in the same form.

    Args:
        draft: written into.
        linears: same bits, same block.
        name: of the stored integers' constant.
        output: name of the value to make, biases included.
    """
    grid = linears[0].grid
    block = block_of(linears[0].name, grid)
    blob = draft.const(name, np.concatenate([packed(of.grid, block) for of in linears]))
    scales = np.concatenate([block_scales(of.grid, block) for of in linears])
    inputs = [linears[0].source, blob, draft.const(f"{name}.scale", scales)]
    if any(of.bias is not None for of in linears):
        row = np.concatenate([_bias(of) for of in linears])
        inputs += ["", "", draft.const(f"{output}.bias", row)]
    draft.add(
        "MatMulNBits",
        inputs,
        output,
        domain=CONTRIB,
        K=grid.values.shape[1],
        N=sum(of.grid.values.shape[0] for of in linears),
        bits=grid.bits,
        block_size=block,
        accuracy_level=_INT8_ACTIVATIONS,
    )


def look_up(
    draft: Draft, grid: Grid, name: str, ids: str, output: str, narrow: bool = False
) -> None:
    """``output = table[ids]`` from the constant ``name``, which a tied product may share.

    Args:
        draft: written into.
        grid: the table.
        name: of the stored integers' constant.
        ids: name of the value that is looked up.
        output: name of the value to make.
        narrow: whether scales may take two bytes, where that is exact.
    """
    block = block_of(name, grid)
    rows, columns = grid.values.shape
    blob = draft.const(name, packed(grid, block))
    halves = grid.halves if narrow else None
    each = grid.scales if halves is None else halves
    scales = draft.const(f"{name}.scale", _in_blocks(each.numpy(), grid, block))
    table = draft.add("Reshape", [blob, draft.integers(rows, -1)], f"{output}.table")
    wide = -(-columns // block) * block
    found = output if wide == columns else f"{output}.wide"
    draft.add(
        "GatherBlockQuantized",
        [table, ids, scales],
        found if halves is None else f"{output}.halves",
        domain=CONTRIB,
        bits=grid.bits,
        block_size=block,
        gather_axis=0,
        quantize_axis=1,
    )
    if halves is not None:
        draft.add("Cast", [f"{output}.halves"], found, to=TensorProto.FLOAT)
    if found != output:
        ends = [draft.integers(0), draft.integers(columns), draft.integers(-1)]
        draft.add("Slice", [found, *ends], output)


def _bias(linear: Linear) -> Array:
    return np.zeros(linear.grid.values.shape[0], np.float32) if linear.bias is None else linear.bias

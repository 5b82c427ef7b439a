"""Write an encoder-decoder as two ``.onnx`` files, one for each role.

``encoder_model.onnx`` reads the text and makes every layer's keys and values of it;
``decoder_with_past_model.onnx`` continues the answer, its caches handed in and out. Both under the
names that tools for encoder-decoders expect.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from edgekit.runtime.generation.seq2seq_onnx import DECODER, ENCODER
from edgekit_converters.export import Lowered
from edgekit_converters.export import onnx as export_onnx
from edgekit_converters.export.capture import Captured
from edgekit_converters.generation import onnx as decoder_onnx
from edgekit_converters.generation.seq2seq import operators
from edgekit_converters.generation.seq2seq.capture import DECODE, ENCODE
from edgekit_converters.quantize.grid import Grid

RUNTIME = decoder_onnx.RUNTIME
FILES = {ENCODE: ENCODER, DECODE: DECODER}


def lower(role: str, captured: Captured, grids: Mapping[str, Grid]) -> Lowered:
    """Translate, quantize and serialize, for ONNX Runtime's own kernels.

    Args:
        role: ``encode`` or ``decode``.
        captured: its edge graph; a weight with a grid is exactly what the grid stands for.
        grids: integers by name of the graph's tensor; empty for fp32.

    Raises:
        Unsupported: a group size without a kernel, or a graph over 2 GiB.
    """
    if role == ENCODE:
        found = export_onnx.lower(captured, grids, "none")
    else:
        found = decoder_onnx.lower(captured, grids, operators.translations())
    return replace(found, file=FILES[role])

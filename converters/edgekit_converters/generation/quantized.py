"""A decoder's graph on its integer grids: the plan is made on one form and serves both."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from edgekit_converters.export.capture import Captured
from edgekit_converters.quantize.calibrate import calibrate
from edgekit_converters.quantize.decisions import Decisions, replay
from edgekit_converters.quantize.methods import Calibrators
from edgekit_converters.quantize.schemes import scheme
from edgekit_converters.quantize.settings import settle


def calibrated(
    edge: Captured, scheme_name: str, texts: Sequence[Sequence[int]]
) -> tuple[Captured, Decisions]:
    """Choose integers for a rewritten graph of either form.

    Args:
        edge: from ``executorch.rewritten``.
        scheme_name: a row of ``quantize.schemes``; ``int4-int8`` is 4-bit linears in groups of 32
            with an 8-bit table.
        texts: token ids to calibrate with, within the context.

    Returns:
        The graph with weights on their grids, and what was decided.
    """
    graph, choice = edge.module(), scheme(scheme_name).choice()
    inputs = [inputs_of(edge, ids) for ids in texts]
    decisions = calibrate(graph, lambda units: settle(units, choice), Calibrators(), inputs)
    return edge.again(graph), decisions


def replayed(edge: Captured, decisions: Decisions) -> Captured:
    """The other form of the same model, on the same grids.

    Raises:
        InputRefused: it is of another model.
    """
    graph = edge.module()
    replay(graph, decisions)
    return edge.again(graph)


def inputs_of(edge: Captured, ids: Sequence[int]) -> tuple[Tensor, ...]:
    """A whole text as one prompt, for a graph of either form."""
    row, length = torch.tensor([list(ids)]), len(ids)
    if len(edge.signature.inputs) == 2:
        return row, torch.zeros(1, dtype=torch.int64)
    past = []
    for spec in edge.signature.inputs[3:]:
        shape = [dim.maximum for dim in spec.dims]
        past.append(torch.zeros(1, shape[1], 0, shape[3]))
    return row, torch.ones(1, length, dtype=torch.int64), torch.arange(length)[None], *past

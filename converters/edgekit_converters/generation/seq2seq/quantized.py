"""An encoder-decoder's graphs on their integer grids: one plan for both forms, a part a method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from edgekit_converters.export.capture import Captured
from edgekit_converters.generation.seq2seq.capture import DECODE, ENCODE
from edgekit_converters.generation.seq2seq.parity import Pair
from edgekit_converters.quantize.calibrate import calibrate
from edgekit_converters.quantize.decisions import Decisions, replay
from edgekit_converters.quantize.methods import Calibrators
from edgekit_converters.quantize.schemes import scheme
from edgekit_converters.quantize.settings import settle

# By method.
Parts = Mapping[str, Decisions]


def calibrated(
    methods: Mapping[str, Captured], scheme_name: str, pairs: Sequence[Pair]
) -> tuple[dict[str, Captured], dict[str, Decisions]]:
    """Choose integers for the rewritten graphs of either form.

    Args:
        methods: ``encode`` and ``decode``.
        scheme_name: a row of ``quantize.schemes``.
        pairs: texts and answers to calibrate with, within the bounds.

    Returns:
        The graphs with weights on their grids, and what was decided, by method. A table that both
        read has the same integers in both: they follow from the table alone.
    """
    choice = scheme(scheme_name).choice()
    encode = methods[ENCODE].module()
    texts = [(torch.tensor([list(text)]),) for text, _ in pairs]
    # What the decoder is calibrated on is what the encoder in fp32 makes of the texts.
    with torch.no_grad():
        cross = [_cross(methods[ENCODE], encode(*text)) for text in texts]
    answers = [
        _inputs(methods[DECODE], answer, states)
        for (_, answer), states in zip(pairs, cross, strict=True)
    ]
    found, decisions = {}, {}
    for name, inputs in ((ENCODE, texts), (DECODE, answers)):
        graph = methods[name].module()
        decisions[name] = calibrate(
            graph, lambda units: settle(units, choice), Calibrators(), inputs
        )
        found[name] = methods[name].again(graph)
    return found, decisions


def replayed(methods: Mapping[str, Captured], decisions: Parts) -> dict[str, Captured]:
    """The other form of the same model, on the same grids.

    Raises:
        InputRefused: it is of another model.
    """
    found = {}
    for name, captured in methods.items():
        graph = captured.module()
        replay(graph, decisions[name])
        found[name] = captured.again(graph)
    return found


def _cross(encode: Captured, outputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The text's keys and values among what ``encode`` gives."""
    names = [spec.name for spec in encode.signature.outputs]
    pairs = zip(names, outputs, strict=True)
    return tuple(states for name, states in pairs if name.startswith("present."))


def _inputs(
    decode: Captured, answer: Sequence[int], cross: tuple[Tensor, ...]
) -> tuple[Tensor, ...]:
    """A whole answer as one pass over nothing yet."""
    row = torch.tensor([list(answer)])
    if decode.signature.inputs[1].name == "position":
        return row, torch.zeros(1, dtype=torch.int64), *cross
    own = [
        torch.zeros(1, spec.dims[1].maximum, 0, spec.dims[3].maximum)
        for spec in decode.signature.inputs
        if ".decoder." in spec.name
    ]
    return row, *own, *cross

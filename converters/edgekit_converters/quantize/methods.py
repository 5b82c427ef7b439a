"""Which method does what: scalings in ``scaling/``, roundings in ``rounding/``, by file name."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from edgekit_converters.quantize.grid import Grid
from edgekit_converters.quantize.moments import Moments
from edgekit_converters.quantize.plan import Setting
from edgekit_converters.quantize.rounding import nearest

AUTO = "auto"


@dataclass(frozen=True)
class Calibrators:
    """The methods of a calibration.

    Attributes:
        scaling: moves outliers between activations and weights; ``auto`` for the one that measures
            best at a setting's bits, empty for none.
        rounding: chooses the integers of a linear's weight. Tables are rounded to nearest.
        split: whether outlying channels of an activation function get a linear of their own.
        static: whether 8-bit linears read activations on one grid for all texts.
        ordered: whether tables of positions, cut to the length, are rounded as well.
    """

    scaling: str = AUTO
    rounding: str = "gptq"
    split: bool = True
    static: bool = False
    ordered: bool = False


def scalings(
    scaling: str, weights: Mapping[str, Tensor], seen: Moments, setting: Setting
) -> list[tuple[list[str], Tensor | None]]:
    """What the channels of an activation are divided by and the weights multiplied.

    One product serves all linears that read the activation, but for those that the method would
    rather scale alone.

    Args:
        scaling: see ``Calibrators``.
        weights: of every linear that reads the activation, ``(rows, columns)``, by name.
        seen: statistics of the activation.
        setting: of the weights.

    Returns:
        Names and the factors that they share; None for no scaling.
    """
    if not scaling:
        return [(list(weights), None)]
    name = ("learned" if setting.bits == 8 else "awq") if scaling == AUTO else scaling
    method = importlib.import_module(f"edgekit_converters.quantize.scaling.{name}")
    names, tensors = list(weights), list(weights.values())
    groups = [list(range(len(names)))]
    if hasattr(method, "groups"):
        groups = method.groups(tensors, seen, setting.bits, setting.group)
    return [
        (
            [names[index] for index in members],
            method.factors(
                [tensors[index] for index in members], seen, setting.bits, setting.group
            ),
        )
        for members in groups
    ]


def fit(rounding: str, weight: Tensor, setting: Setting, seen: Moments) -> Grid:
    """Put a linear's weight on a grid.

    Args:
        rounding: see ``Calibrators``.
        weight: ``(rows, columns)``, scaled.
        setting: bits and group.
        seen: statistics of what a linear multiplies, scaled.
    """
    method = importlib.import_module(f"edgekit_converters.quantize.rounding.{rounding}")
    grid: Grid = method.fit(
        weight, setting.bits, setting.group, seen, scale_dtype=_scale_dtype(setting)
    )
    return grid


def fit_table(weight: Tensor, setting: Setting) -> Grid:
    """Put a table on a grid."""
    return nearest.fit_table(weight, setting.bits, setting.group, _scale_dtype(setting))


def _scale_dtype(setting: Setting) -> torch.dtype:
    """XNNPACK keeps the scales of a linear's groups in bfloat16; for a table's, two bytes are
    enough as well."""
    return torch.bfloat16 if setting.group else torch.float32

"""Each group calibrated for one setting, as it would be for an artifact: what the search tries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from edgekit_converters.quantize import methods
from edgekit_converters.quantize.activations import per_token
from edgekit_converters.quantize.methods import Calibrators
from edgekit_converters.quantize.moments import Moments
from edgekit_converters.quantize.plan import Setting, Unit
from edgekit_converters.quantize.search.sensitivity import Treat
from edgekit_converters.quantize.simulate import Treatment, Variant


def treat(
    weights: Mapping[str, Tensor], seen: Mapping[str, Moments], calibrators: Calibrators
) -> Treat:
    """How groups are calibrated.

    Args:
        weights: float32, by the unit's name.
        seen: moments of the activations that linears read, by name.
        calibrators: methods; outlying channels are not split here.
    """

    def calibrate(members: Sequence[Unit], setting: Setting) -> Variant:
        if members[0].kind == "table":
            return {
                unit.name: Treatment(methods.fit_table(weights[unit.name], setting).dequantized())
                for unit in members
            }
        return _linears(members, setting, weights, seen[members[0].activation], calibrators)

    return calibrate


def _linears(
    members: Sequence[Unit],
    setting: Setting,
    weights: Mapping[str, Tensor],
    seen: Moments,
    calibrators: Calibrators,
) -> Variant:
    tensors = {unit.name: weights[unit.name] for unit in members}
    found: dict[str, Treatment] = {}
    for names, factors in methods.scalings(calibrators.scaling, tensors, seen, setting):
        inverse = None if factors is None else 1 / factors
        known = seen if inverse is None else seen.scaled(inverse)
        for name in names:
            tensor = tensors[name] if factors is None else tensors[name] * factors
            grid = methods.fit(calibrators.rounding, tensor, setting, known)
            found[name] = Treatment(grid.dequantized(), per_token, inverse)
    return found

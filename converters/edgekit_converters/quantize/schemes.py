"""Schemes: what a name such as ``int8`` asks of a model's tensors. A new scheme is one more row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgekit.errors import SpecError, Unsupported
from edgekit.targets import Target
from edgekit_converters.quantize.plan import FP32
from edgekit_converters.quantize.settings import Choice, Override


@dataclass(frozen=True)
class Scheme:
    """One row.

    Attributes:
        name: what ``--scheme`` and ``--quantize`` take.
        linear: bits of the linears' weights; activations are int8 wherever the weights are
            integers, one scale a token.
        table: bits of the embedding tables.
        better: the scheme to offer when this one falls below its floor; empty for none.
        help: one line.
        static: whether 8-bit linears have one scale for all activations instead, from calibration.
    """

    name: str
    linear: int
    table: int
    better: str
    help: str
    static: bool = False

    def choice(self, overrides: Sequence[Override] = ()) -> Choice:
        """As settings are made from it."""
        return Choice(self.linear, self.table, overrides=tuple(overrides))

    @property
    def label(self) -> str:
        """As artifacts and floors call it."""
        return "fp32" if self.linear == self.table == FP32 else self.name

    @property
    def bits(self) -> frozenset[int]:
        """Every width that it asks for."""
        return frozenset((self.linear, self.table))


SCHEMES = {
    scheme.name: scheme
    for scheme in (
        Scheme("none", FP32, FP32, "", "fp32, nothing rounded"),
        Scheme("int8", 8, 8, "none", "8-bit linears and embedding tables"),
        Scheme("int8-static", 8, 8, "int8", "int8 with activations on fixed grids", static=True),
        Scheme("int8-int4", 8, 4, "int8", "8-bit linears, 4-bit embedding tables in groups"),
        Scheme("int4-int8", 4, 8, "int8", "4-bit linears in groups, 8-bit embedding tables"),
        Scheme("int4", 4, 4, "int4-int8", "4-bit linears and embedding tables, in groups"),
    )
}
AUTO = "auto"
DEFAULT = "int8"


def scheme(name: str) -> Scheme:
    """The scheme of that name; ``auto`` is int8, the one that keeps an encoder's quality.

    Raises:
        SpecError: there is none.
    """
    found = SCHEMES.get(DEFAULT if name == AUTO else name)
    if found is None:
        names = ", ".join((AUTO, *SCHEMES))
        raise SpecError(f"unknown scheme {name!r}", hint=f"Schemes: {names}.")
    return found


def require(target: Target, delegates: dict[str, str], bits: frozenset[int], what: str) -> None:
    """Refuse widths that a delegate has no kernels for.

    Args:
        target: has the table of what its delegates run.
        delegates: by runtime.
        bits: widths that are asked for.
        what: the request in words.

    Raises:
        Unsupported: naming the delegate and what it runs.
    """
    for runtime, delegate in delegates.items():
        runs = target.bits[runtime, delegate]
        lacking = sorted(bits - set(runs))
        if lacking:
            others = [
                name
                for name in target.delegates[runtime]
                if bits <= set(target.bits[runtime, name])
            ]
            offer = f"--delegate {others[0]}, or " if others else ""
            raise Unsupported(
                f"{what} has {', '.join(f'{width}-bit' for width in lacking)} weights, which the "
                f"{runtime} artifact with delegate {delegate} has no kernels for",
                hint=f"Use {offer}--quantize none.",
            )

"""A pruning as it was asked for, settled: defaults filled in, contradictions refused."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from edgekit.errors import SpecError, Unavailable
from edgekit_converters import prune, recipe_file
from edgekit_converters.prune import allocation, schedule
from edgekit_converters.prune.schedule import ROUNDS

VOCAB, LAYER = "vocab", "layer"
FREQUENCY = "frequency"
MASKED = ("element", "block")
_LIFTS = ("sum", "mean")
_DEFAULT_SCAN = (0.25, 0.5, 0.75)
_LARGEST_RECIPE = 64 * 1024


@dataclass(frozen=True)
class Wanted:
    """What to prune and how.

    Attributes:
        method: a file of ``scores``, or ``frequency`` for a vocabulary.
        granularity: what is removed together.
        amount: share to remove.
        schedule: ``one-shot``, ``iterative`` or ``cubic``.
        rounds: of a schedule that has several.
        allocation: how single weights' amounts are spread over layers.
        lift: how a unit's score follows from its elements'.
        retrain: steps of training in all.
        data: texts to score and to train with; None where the method needs none.
        seed: of everything drawn.
        repair: whether what stays is refitted to the original, see ``distill.repair``.
        control: whether random units are tried beside.
        measure: whether the exported artifact is timed.
        scan: instead of pruning, what each group would cost.
        amounts: of a scan.
        plot: where a scan's picture goes.
    """

    method: str = "obd"
    granularity: str = "ffn"
    amount: float = 0.5
    schedule: str = "one-shot"
    rounds: int = ROUNDS
    allocation: str = "uniform"
    lift: str = "sum"
    retrain: int = 0
    data: Path | None = None
    seed: int = 0
    repair: bool = True
    control: bool = True
    measure: bool = False
    scan: bool = False
    amounts: tuple[float, ...] = _DEFAULT_SCAN
    plot: Path | None = None

    @property
    def masks(self) -> bool:
        """Whether single weights become zero and shapes stay."""
        return self.granularity in MASKED or ":" in self.granularity


def settled(said: Mapping[str, Any], recipe: Path | None = None) -> Wanted:
    """Options over recipe over defaults.

    Args:
        said: options by name; None where nothing was said.
        recipe: a TOML file with the same names.

    Raises:
        SpecError: an unknown option or name, or options that contradict each other.
        InputMissing, InputRefused: the recipe cannot be read.
        Unavailable: a package that is needed is not installed.
    """
    given = {name: value for name, value in said.items() if value is not None}
    merged = _checked({**({} if recipe is None else _recipe(recipe)), **given})
    wanted = Wanted(**merged)
    if "method" not in merged and wanted.granularity in (VOCAB, LAYER):
        default = FREQUENCY if wanted.granularity == VOCAB else "block-influence"
        wanted = replace(wanted, method=default)
    unsaid = "amount" not in merged and ":" not in wanted.granularity
    if unsaid and not wanted.scan:
        raise SpecError("how much to remove was not said", hint="Such as --amount 0.5.")
    _check_names(wanted)
    if ":" in wanted.granularity:
        wanted = replace(wanted, amount=_pattern_amount(wanted, "amount" in merged))
    _check_amounts(wanted)
    _check_numbers(wanted)
    _check_fit(wanted)
    _check_packages(wanted)
    return wanted


def _checked(values: Mapping[str, Any]) -> dict[str, Any]:
    """Known options of the right type; files as paths.

    Raises:
        SpecError: there is no such option, or its value is of another kind.
    """
    kinds = {field.name: str(field.type) for field in fields(Wanted)}
    found = {}
    for name, value in values.items():
        if name not in kinds:
            near = get_close_matches(name, kinds, n=1)
            raise SpecError(
                f"unknown option {name!r}",
                hint=f"Did you mean {near[0]!r}?" if near else f"Options: {', '.join(kinds)}.",
            )
        found[name] = _typed(name, value, kinds[name])
    return found


def _typed(name: str, value: Any, kind: str) -> Any:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind.startswith("Path") and isinstance(value, (str, Path)):
        return Path(value)
    if kind == "float" and number:
        return float(value)
    if kind.startswith("tuple") and isinstance(value, (list, tuple)):
        return tuple(_typed(name, one, "float") for one in value)
    if type(value).__name__ == kind:
        return value
    raise SpecError(f"{name} is {value!r}, which is no {kind}", hint="Correct the recipe.")


def _recipe(path: Path) -> dict[str, Any]:
    data = recipe_file.read(path, _LARGEST_RECIPE, "docs/pruning.md", 'method = "obd"')
    if isinstance(data.get("data"), str):
        data["data"] = path.parent / data["data"]
    return data


def _check_names(wanted: Wanted) -> None:
    if ":" in wanted.granularity:
        prune.module("granularities", "pattern").pattern(wanted.granularity)
    elif wanted.granularity not in (known := granularities()):
        raise SpecError(
            f"unknown granularity {wanted.granularity!r}", hint=f"One of: {', '.join(known)}."
        )
    if not (wanted.granularity == VOCAB and wanted.method == FREQUENCY):
        if wanted.method == FREQUENCY:
            raise SpecError(
                "frequency counts tokens, nothing else", hint="Use --granularity vocab."
            )
        prune.module("scores", wanted.method)
    _one_of("allocation", wanted.allocation, allocation.NAMES)
    _one_of("lift", wanted.lift, _LIFTS)
    schedule.amounts(wanted.schedule, 0.5, wanted.rounds)


def _pattern_amount(wanted: Wanted, said: bool) -> float:
    kept, of = prune.module("granularities", "pattern").pattern(wanted.granularity)
    amount = 1 - kept / of
    if said and not math.isclose(wanted.amount, amount):
        raise SpecError(
            f"{wanted.granularity} removes {amount:g}, not {wanted.amount:g}",
            hint="Leave --amount out.",
        )
    return float(amount)


def _check_amounts(wanted: Wanted) -> None:
    for amount in wanted.amounts if wanted.scan else (wanted.amount,):
        if not 0 < amount < 1:  # false for NaN too
            raise SpecError(
                f"an amount of {amount:g} is no share to remove",
                hint="Between 0 and 1, both excluded: 0.5 removes half.",
            )


def _check_numbers(wanted: Wanted) -> None:
    if wanted.retrain < 0:
        raise SpecError(f"{wanted.retrain} steps train nothing", hint="Try --retrain 300.")
    if not 0 <= wanted.seed < 2**31:
        raise SpecError(f"a seed of {wanted.seed} is out of range", hint="From 0 to 2147483647.")


def _check_fit(wanted: Wanted) -> None:
    """Options that need or exclude each other."""
    if wanted.method == FREQUENCY:
        needs = True
    else:
        criterion = prune.module("scores", wanted.method)
        needs = criterion.NEEDS_DATA
        only = getattr(criterion, "GRANULARITIES", None)
        if only and wanted.granularity not in only:
            raise SpecError(
                f"{wanted.method} ranks whole layers, not {wanted.granularity}",
                hint="Use --granularity layer, or another --method.",
            )
    if wanted.data is None and (needs or wanted.retrain):
        what = f"--method {wanted.method}" if needs else "--retrain"
        raise SpecError(
            f"{what} looks at texts, and none were given",
            hint="Give --data FILE, one text a line, or use --method magnitude without --retrain.",
        )
    if wanted.schedule != "one-shot" and (wanted.granularity == VOCAB or ":" in wanted.granularity):
        raise SpecError(f"{wanted.granularity} goes in one step", hint="Leave --schedule out.")
    if wanted.allocation != "uniform" and wanted.granularity not in MASKED:
        raise SpecError(
            f"{wanted.granularity} goes from every layer alike: a config holds one size for all",
            hint="Leave --allocation out, or use --granularity element.",
        )


def _check_packages(wanted: Wanted) -> None:
    if wanted.plot is not None and find_spec("matplotlib") is None:
        raise Unavailable(
            "a picture needs matplotlib, which is not installed",
            hint="Install it: pip install matplotlib",
            package="matplotlib",
        )


def granularities() -> tuple[str, ...]:
    """What ``--granularity`` takes."""
    files = (name for name in prune.names("granularities") if name != "pattern")
    return tuple(sorted({*files, VOCAB, "2:4"}))


def methods() -> tuple[str, ...]:
    """What ``--method`` takes."""
    return tuple(sorted({*prune.names("scores"), FREQUENCY}))


def _one_of(what: str, name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        raise SpecError(f"unknown {what} {name!r}", hint=f"One of: {', '.join(known)}.")

"""``edgekit quantize``: a model's folder in, the same folder with a quantization plan out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from edgekit.bundle.staging import Staging
from edgekit.errors import SpecError, Unavailable
from edgekit.stages import ProgressCallback, Stages
from edgekit.tasks import task as task_meaning
from edgekit_converters.evaluate import samples
from edgekit_converters.pipeline import bundle_name
from edgekit_converters.quantize import recipe as recipes
from edgekit_converters.quantize.budget import Budget, budget
from edgekit_converters.quantize.record import PLAN, QuantizedFolder
from edgekit_converters.quantize.schemes import AUTO, SCHEMES, Scheme, scheme
from edgekit_converters.quantize.settings import Choice, Override
from edgekit_converters.source import resolve

MIXED = "mixed"
NONE = "none"

# Steps of norm tweaking that a mixed plan gets unless it is said otherwise.
TWEAKS = 200

# Expected seconds of each stage on two cores; only their proportions matter.
_STAGES = {
    "load": 3.0,
    "capture": 8.0,
    "reference": 3.0,
    "rewrite": 4.0,
    "search": 150.0,
    "time": 60.0,
    "calibrate": 60.0,
    "measure": 6.0,
    "write": 1.0,
}


@dataclass(frozen=True)
class Wanted:
    """A consistent request.

    Attributes:
        task: a task's name, or ``auto``.
        scheme: the row of the table; for a mixed plan the one that it is measured against.
        label: what floors and artifacts call the result.
        choice: what is asked of linears and tables, and of single tensors.
        scaling: a method's name, ``none``, or None for the default.
        rounding: a method's name, or None for the default.
        budget: what a mixed plan must hold; None for a plain scheme.
        qat: steps of quantization-aware training instead of scaling and rounding; 0 for none.
        tweak: steps in which norms and biases are trained after rounding; 0 for none.
        data: calibration texts; None for the built-in ones.
        plot: where the frontier of a mixed plan is drawn; None for nowhere.
        usual: whether the scheme is still to be the usual one of the model's task.
    """

    task: str
    scheme: Scheme
    label: str
    choice: Choice
    scaling: str | None
    rounding: str | None
    budget: Budget | None
    qat: int
    tweak: int
    data: Path | None
    plot: Path | None
    usual: bool = False


@dataclass(frozen=True)
class Options:
    """What was said on the command line or in Python; None where nothing was.

    Attributes:
        scheme: a scheme's name, ``auto`` or ``mixed``.
        scaling: a method of ``quantize/scaling``, or ``none``.
        rounding: a method of ``quantize/rounding``.
        group: columns that share a scale where bits are fewer than 8.
        data: calibration texts, one a line.
        max_size: bytes, ``20MB`` or ``17%``.
        min_quality: cosine of the worst text.
        max_latency: ``4ms``, or ``0.5x`` of fp32's; ``4ms@128`` for 128 tokens.
        plot: where the frontier of a mixed plan is drawn, as SVG.
        qat: steps of quantization-aware training, instead of scaling and rounding.
        tweak: steps in which norms and biases are trained after rounding.
    """

    scheme: str | None = None
    scaling: str | None = None
    rounding: str | None = None
    group: int | None = None
    data: Path | None = None
    max_size: str | None = None
    min_quality: float | None = None
    max_latency: str | None = None
    plot: Path | None = None
    qat: int | None = None
    tweak: int | None = None


def quantize(
    model: str | Path,
    options: Options,
    *,
    out: Path | None = None,
    recipe: Path | None = None,
    said: recipes.Recipe | None = None,
    task: str = AUTO,
    max_length: int | None = None,
    samples_file: Path | None = None,
    revision: str | None = None,
    force: bool = False,
    progress: ProgressCallback | None = None,
) -> QuantizedFolder:
    """Make a quantized folder.

    Args:
        model: a Hugging Face folder, a hub id, or ``minilm``.
        options: scheme, methods, texts and budgets; they win over the recipe.
        out: the new folder; ``NAME-SCHEME`` here when None.
        recipe: a TOML file, see ``quantize.recipe``.
        said: a recipe that was read already, instead of a file.
        task: a name of ``edgekit.tasks``, or ``auto``.
        max_length: most tokens in one text; the model's own when None.
        samples_file: texts to measure with, one a line; the built-in ones when None.
        revision: branch, tag or commit of a hub id.
        force: replace an existing quantized folder.
        progress: told of each stage.

    Returns:
        The quantized folder.

    Raises:
        SpecError: a request that names what does not exist or contradicts itself.
        Unsupported: the architecture cannot be captured.
        InputMissing, InputRefused, Unavailable, PermissionRefused: the model or the texts cannot
            be had, or do not fit each other.
        CoverageFailed, ParityFailed: too little was quantized, or too much is lost; nothing is
            written.
        CheckFailed: no mixed plan holds the budget.
        CannotWrite, StorageFull: nothing was left behind.
    """
    if said is None:
        said = recipes.Recipe() if recipe is None else recipes.read(recipe)
    wanted = settled(options, said, task)
    _require_packages(wanted)
    calibration = samples.calibration(wanted.data)
    texts = samples.evaluation(samples_file)
    stages = Stages(_stages(wanted), progress)
    source = resolve(model, revision=revision)
    wanted = for_model(wanted, source.folder, said.overrides)
    final = out or Path.cwd() / f"{bundle_name(source)}-{wanted.label}"
    with Staging(final, force, PLAN) as staging:
        from edgekit_converters.quantized import build

        made = build(wanted, source, staging.folder, stages, calibration, texts, max_length)
        staging.commit()
    stages.finish()
    return QuantizedFolder(final, made)


def for_model(wanted: Wanted, folder: Path, overrides: Sequence[Override] = ()) -> Wanted:
    """The request with the scheme that is usual for the model's task, where none was named.

    Raises:
        SpecError, Unsupported, InputMissing, InputRefused: the folder does not say what it is for.
    """
    if not wanted.usual:
        return wanted
    from edgekit_converters.detect import task_of
    from edgekit_converters.folder import check
    from edgekit_converters.tasks import head_module

    task = task_of(folder, check(folder).config) if wanted.task == AUTO else wanted.task
    row = scheme(getattr(head_module(task), "SCHEME", AUTO))
    choice = replace(row.choice(overrides), group=wanted.choice.group)
    label = _label(AUTO, row, overrides)
    return replace(wanted, scheme=row, label=label, choice=choice)


def _stages(wanted: Wanted) -> dict[str, float]:
    """Those that there will be."""
    # A mixed plan measures each attempt as a part of its calibration.
    unused = {"measure"} if wanted.budget else {"search"}
    if wanted.budget is None or not wanted.budget.timed:
        unused.add("time")
    return {name: cost for name, cost in _STAGES.items() if name not in unused}


def options_from(said: Mapping[str, Any]) -> Options:
    """Options by name, as they come from Python; files as text or path.

    Raises:
        SpecError: there is no such option.
    """
    known = [field.name for field in fields(Options)]
    for name in said:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            raise SpecError(
                f"unknown option {name!r}",
                hint=f"Did you mean {near[0]!r}?" if near else f"Options: {', '.join(known)}.",
            )
    paths = {name: Path(said[name]) for name in ("data", "plot") if said.get(name) is not None}
    return Options(**{**said, **paths})


def settled(options: Options, said: recipes.Recipe, task: str = AUTO) -> Wanted:
    """Options over recipe over defaults, contradictions refused.

    Raises:
        SpecError: an unknown name, a width that no group has, or budgets without ``mixed``.
    """
    if task != AUTO:
        task_meaning(task)
    limits = budget(options.max_size, options.min_quality, options.max_latency)
    name = options.scheme or said.scheme or (MIXED if limits is not None else AUTO)
    if (name == MIXED) != (limits is not None):
        raise SpecError(
            "a mixed plan needs a budget" if name == MIXED else f"{name} takes no budget",
            hint="Use --scheme mixed with --max-size, --min-quality or --max-latency.",
        )
    if options.plot is not None and name != MIXED:
        raise SpecError(
            "only a mixed plan has a frontier to draw", hint="Use --scheme mixed with --plot."
        )
    row = _scheme(name)
    group = said.group if options.group is None else options.group
    if group is not None and (fault := recipes.group_width(group)):
        raise SpecError(f"a group of {group} columns: {fault}", hint="The smallest is the truest.")
    scaling = options.scaling or said.scaling
    rounding = options.rounding or said.rounding
    _known("scaling", scaling, (*methods("scaling"), AUTO, NONE))
    _known("rounding", rounding, methods("rounding"))
    if options.qat is not None:
        _trainable(options, name)
    choice = row.choice(said.overrides)
    return Wanted(
        task=task,
        scheme=row,
        label=_label(name, row, said.overrides),
        choice=choice if group is None else replace(choice, group=group),
        scaling=scaling,
        rounding=rounding,
        budget=limits,
        qat=options.qat or 0,
        tweak=_tweaks(options, row, name),
        data=options.data or said.data,
        plot=options.plot,
        usual=name == AUTO,
    )


def _tweaks(options: Options, row: Scheme, name: str) -> int:
    """Steps of norm tweaking: what was said, else some for a mixed plan.

    Raises:
        SpecError: it goes with no such request.
    """
    if options.tweak is None:
        return TWEAKS if name == MIXED else 0
    if options.tweak < 0:
        raise SpecError(f"{options.tweak} steps of norm tweaking", hint="Try 200, or 0 for none.")
    if options.tweak and (row.static or name == NONE):
        raise SpecError(
            f"norm tweaking does not go with {name}",
            hint="Choose another --scheme, or leave --tweak out.",
        )
    return options.tweak


def _trainable(options: Options, name: str) -> None:
    """Training takes the place of the other methods, and needs bits that are settled before."""
    if options.qat is not None and options.qat < 1:
        raise SpecError(f"{options.qat} steps train nothing", hint="Try 200.")
    if name in (MIXED, NONE):
        raise SpecError(
            f"quantization-aware training does not go with {name}",
            hint="Choose another --scheme, or leave --qat out.",
        )
    if options.scaling is not None or options.rounding is not None:
        raise SpecError(
            "quantization-aware training replaces --scaling and --rounding",
            hint="Leave these out, or --qat.",
        )


def names() -> tuple[str, ...]:
    """Schemes that ``quantize`` takes."""
    return (AUTO, *SCHEMES, MIXED)


def methods(kind: str) -> tuple[str, ...]:
    """Names of the methods of a kind, ``scaling`` or ``rounding``, by their files."""
    files = sorted((Path(__file__).parent / "quantize" / kind).glob("*.py"))
    # What a method is called by; a file without it is something that methods share.
    entry = "\ndef factors(" if kind == "scaling" else "\ndef fit("
    return tuple(path.stem for path in files if entry in path.read_text(encoding="utf-8"))


def _scheme(name: str) -> Scheme:
    if name == MIXED:
        return scheme(AUTO)
    try:
        return scheme(name)
    except SpecError as error:
        raise SpecError(error.message, hint=f"Schemes: {', '.join(names())}.") from None


def _label(name: str, row: Scheme, overrides: Sequence[Override]) -> str:
    """A plan with fewer bits somewhere than its scheme asks for is held to the mixed floor."""
    fewer = any(override.bits < min(row.bits) for override in overrides)
    return MIXED if name == MIXED or fewer else row.label


def _known(kind: str, name: str | None, known: Sequence[str]) -> None:
    if name is not None and name not in known:
        raise SpecError(f"unknown {kind} {name!r}", hint=f"One of: {', '.join(known)}.")


def _require_packages(wanted: Wanted) -> None:
    """What is used after minutes of search is missed before them."""
    needed = {"scipy": wanted.budget is not None, "matplotlib": wanted.plot is not None}
    for name, used in needed.items():
        if used and find_spec(name) is None:
            raise Unavailable(
                f"{name} is not installed, and this plan needs it",
                hint=f"Install it: pip install {name}",
                package=name,
            )

"""The student before its training, and in words where it comes from."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from edgekit.errors import InputRefused, SpecError
from edgekit_converters.distill import repair, search, student, width
from edgekit_converters.distill.endings import Inputs
from edgekit_converters.distill.measure import Measure
from edgekit_converters.distill.models import Taught, fixed, opened, same_tokens
from edgekit_converters.distill.outputs import Probe, shape_of
from edgekit_converters.distill.repair import Repair
from edgekit_converters.distill.search import Tried
from edgekit_converters.distill.wanted import Beginning
from edgekit_converters.folder import read_object
from edgekit_converters.source import Source, resolve

_REPAIRED = 3  # of the best subsets are repaired, to see which is best then
_SHARE, _FEWEST_BATCHES = 4, 10  # a fourth of the texts tells, if that is enough for a fit
Say = Callable[[str], None]


@dataclass(frozen=True)
class Begun:
    """A student that is ready to be trained.

    Attributes:
        taught: the model with its settings.
        source: whose tokenizer and settings it has.
        words: where it comes from.
        tried: subsets of layers, the best first; empty where none were searched.
        bridged: it cuts texts into other tokens than the teacher.
        random: nothing of the teacher is in its weights.
        repair: what refitting came to; None where nothing is gone, or it was not wanted.
    """

    taught: Taught
    source: Source
    words: str
    tried: tuple[Tried, ...] = ()
    bridged: bool = False
    random: bool = False
    repair: Repair | None = None


def given(folder: str | Path, teacher: Taught, *, bridge: bool) -> Begun:
    """A student from a folder of its own.

    Raises:
        InputRefused: its tokenizer is another one, and that was not asked for.
        SpecError, InputMissing, InputRefused, Unsupported: as for ``load.load``.
    """
    source = resolve(folder)
    made = opened(source, teacher.task)
    same = same_tokens(made.loaded.tokenizer, teacher.loaded.tokenizer)
    if not same and not bridge:
        raise InputRefused(
            f"{source.folder.name} cuts texts into other tokens than its teacher "
            f"({made.loaded.tokenizer.get_vocab_size()} entries, "
            f"{teacher.loaded.tokenizer.get_vocab_size()} in the teacher's tokenizer)",
            hint="Use a student with the teacher's tokenizer, or --bridge-tokenizer: then whole "
            "texts are compared (vectors, classes) and nothing token by token.",
        )
    words = f"the folder {source.id}"
    return Begun(made, source, words, bridged=not same)


def thinned(
    begun: Begun,
    said: str,
    measure: Measure | None,
    say: Say,
    texts: Sequence[Inputs] = (),
) -> Begun:
    """A student from a folder, with some of its layers alone.

    Args:
        begun: of ``given``; not changed.
        said: how many layers, or which: ``3`` or ``0,3,5``.
        measure: what layers are chosen by, where they are, and a repair is judged by.
        say: told how the search goes.
        texts: to refit the layers to; nothing is refitted without.

    Raises:
        SpecError: it has no such layers.
        Unsupported: it has no single list of layers.
    """
    layers, tried = _layers(said, begun.taught, measure, say)
    layers, model, mended = _mended(begun.taught, layers, tried, measure, texts, say)
    words = f"{_words(layers, begun.taught, mended)} of {begun.words}"
    return replace(
        begun,
        taught=begun.taught.holding(model),
        words=words,
        tried=tuple(tried),
        repair=mended,
    )


def begin(
    wanted: Beginning,
    teacher: Taught,
    measure: Measure | None,
    seed: int,
    say: Say,
    texts: Sequence[Inputs] = (),
) -> Begun:
    """A student made of the teacher.

    Args:
        wanted: layers or sizes; all layers where neither is given.
        teacher: not changed.
        measure: what layers are chosen by, where they are, and a repair is judged by.
        seed: of weights that nothing is copied into.
        say: told how the search goes.
        texts: to refit the layers to; nothing is refitted without.

    Raises:
        SpecError: no such layers or sizes.
        InputRefused, InputMissing: the config file cannot be used.
        Unsupported: the teacher has no single list of layers.
    """
    if wanted.config is not None:
        return _sized(wanted.config, teacher, measure, seed, say, texts)
    layers, tried = _layers(wanted.layers, teacher, measure, say)
    layers, model, mended = _mended(teacher, layers, tried, measure, texts, say)
    words = _words(layers, teacher, mended)
    source = teacher.loaded.source
    return Begun(teacher.holding(model), source, words, tuple(tried), repair=mended)


def is_searched(wanted: Beginning, teacher: Taught) -> bool:
    """Whether layers must be chosen by measuring."""
    total = shape_of(teacher.model).layers
    if wanted.config is not None:
        return bool(_changes(wanted.config).get("num_hidden_layers", total) != total)
    return wanted.layers is not None and "," not in wanted.layers and wanted.layers != str(total)


def is_smaller(wanted: Beginning, whole: Taught) -> bool:
    """Whether anything of a model goes, so that there may be something to repair."""
    if wanted.layers is None:
        return wanted.config is not None
    numbers = layer_numbers(wanted.layers)
    total = shape_of(whole.model).layers
    return (numbers[0] if len(numbers) == 1 else len(numbers)) != total


def randomised(begun: Begun, seed: int) -> Taught:
    """The same architecture with random weights: a control."""
    model: Any = begun.taught.model
    return begun.taught.holding(student.made(model, copy.deepcopy(model.config), seed))


def again(begun: Begun) -> Taught:
    """A copy of the student as it was before training."""
    return begun.taught.holding(fixed(copy.deepcopy(begun.taught.model)))


def layer_numbers(said: str) -> list[int]:
    """One number: how many layers; several: which.

    Raises:
        SpecError: they are no numbers.
    """
    try:
        return [int(word) for word in said.split(",")]
    except ValueError:
        raise SpecError(
            f"--layers is {said!r}", hint="How many to keep (3), or which (0,3,5)."
        ) from None


def _layers(
    said: str | None, teacher: Taught, measure: Measure | None, say: Say
) -> tuple[Sequence[int], list[Tried]]:
    total = shape_of(teacher.model).layers
    if said is None:
        return range(total), []
    numbers = layer_numbers(said)
    if len(numbers) > 1:
        return numbers, []
    if numbers[0] == total:
        return range(total), []
    assert measure is not None
    tried = search.search(teacher.model, teacher.pooling, numbers[0], measure, say)
    best = tried[0]
    say(f"layers {','.join(map(str, best.layers))} keep most: fidelity {best.fidelity:.4f}")
    return best.layers, tried


def _mended(
    teacher: Taught,
    layers: Sequence[int],
    tried: Sequence[Tried],
    measure: Measure | None,
    texts: Sequence[Inputs],
    say: Say,
) -> tuple[Sequence[int], nn.Module, Repair | None]:
    """The student of these layers, or of the searched ones that are best once they are refitted."""
    total = shape_of(teacher.model).layers
    if not texts or measure is None or len(layers) == total:
        return layers, student.from_layers(teacher.model, layers), None

    def refitted(subset: Sequence[int], fitted: Sequence[Inputs]) -> tuple[nn.Module, Repair]:
        model = student.from_layers(teacher.model, subset)
        probe, ends = Probe(model, teacher.pooling), repair.follows(subset, total)
        made = repair.repair(probe, teacher.model, ends, fitted, measure)
        say(f"layers {','.join(map(str, subset))}: {made.words()}")
        return model, made

    searched = [one.layers for one in tried[:_REPAIRED]]
    if len(searched) > 1:
        few = texts[::_SHARE] if len(texts) >= _SHARE * _FEWEST_BATCHES else texts
        layers = max(searched, key=lambda subset: refitted(subset, few)[1].fidelity)
    return layers, *refitted(layers, texts)


def _words(layers: Sequence[int], whole: Taught, mended: Repair | None) -> str:
    words = f"layers {','.join(map(str, layers))} of {shape_of(whole.model).layers}"
    return f"{words}, refitted" if mended is not None and mended.kept else words


def _changes(path: Path) -> dict[str, Any]:
    if not path.is_file():
        from edgekit.errors import InputMissing

        raise InputMissing(
            f"no config file {path}", hint='A JSON file such as {"num_hidden_layers": 3}.'
        )
    return read_object(path)


def _sized(
    path: Path,
    teacher: Taught,
    measure: Measure | None,
    seed: int,
    say: Say,
    texts: Sequence[Inputs],
) -> Begun:
    config = student.changed_config(teacher.model, _changes(path))
    own, total = int(config.num_hidden_layers), shape_of(teacher.model).layers
    sizes = f"{own} layers, hidden {config.hidden_size}, {config.num_attention_heads} heads"
    source = teacher.loaded.source
    narrower = width.can_cut(teacher.model) and own <= total
    if not narrower:
        model = student.made(teacher.model, config, seed)
        return Begun(teacher.holding(model), source, f"{sizes}, at random", random=True)
    layers, tried = _layers(str(own), teacher, measure, say)
    model = width.cut(teacher.model, config, layers)
    words = f"{sizes}, cut out of layers {','.join(map(str, layers))} by importance"
    mended = None
    if texts and measure is not None:
        ends = repair.follows(layers, total)
        mended = repair.repair(
            Probe(model, teacher.pooling), teacher.model, ends, texts, measure, say
        )
    return Begun(teacher.holding(model), source, words, tuple(tried), repair=mended)

"""``kind = "distill"``: the keys of ``edgekit distill``'s own recipe.

The teacher is the original model, whatever stages came before; the student begins as what they
left, or as some of its layers where ``layers`` says so.
"""

from __future__ import annotations

from typing import Any

from edgekit.errors import SpecError
from edgekit_converters.compress.step import Setting, Step
from edgekit_converters.distill import distilling
from edgekit_converters.distill.beginnings import layer_numbers
from edgekit_converters.distill.models import kind_of
from edgekit_converters.distill.outputs import shape_of
from edgekit_converters.distill.recipe import Recipe, checked
from edgekit_converters.distill.wanted import Beginning, settled

MUST_BE_LAST = False
SECONDS = 300.0  # about, on two cores: for an estimate of the rest


def check(table: dict[str, Any], setting: Setting) -> Recipe:
    """Settle the keys; the losses must go with the task and with the vocabularies.

    Raises:
        SpecError: an unknown key, loss or setting, no such layers, or nothing to learn from.
        Unsupported: the task or the architecture has no distillation.
    """
    said = checked(table, setting.recipe)
    task = setting.original.task
    wanted = settled(said, task, kind_of(task), bridged=setting.bridged)
    if not 0 < wanted.held_out < 1:
        raise SpecError(f"a share of {wanted.held_out} cannot be held out", hint="Such as 0.1.")
    total = shape_of(setting.original.model).layers
    numbers = [] if said.layers is None else layer_numbers(said.layers)
    if any(number > total - (len(numbers) > 1) or number < 0 for number in numbers):
        raise SpecError(
            f"layers is {said.layers}, and the model has {total}",
            hint=f"How many to keep, 1 to {total}, or which, 0 to {total - 1}.",
        )
    if setting.rows.training is None:
        raise SpecError("no data to learn from", hint="Name a file of texts with --data.")
    return said


def bridges(said: Recipe) -> bool:
    """Whether the model cuts texts into other tokens afterwards."""
    return False


def run(step: Step, table: dict[str, Any], said: Recipe) -> None:
    """Make the student's folder."""
    training = step.setting.rows.training
    assert training is not None
    distilling.distill(
        step.model,
        [training],
        out=step.out,
        beginning=Beginning(folder=step.folder, layers=said.layers),
        said=said,
        task=step.setting.original.task,
        bridge=True,
        revision=step.revision,
        progress=step.progress,
    )

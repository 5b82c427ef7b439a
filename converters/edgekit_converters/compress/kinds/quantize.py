"""``kind = "quantize"``: the keys of ``edgekit quantize``'s own recipe.

It makes a plan of bits, which cutting or training would make void: it comes last.
"""

from __future__ import annotations

from typing import Any

from edgekit.errors import Unsupported
from edgekit_converters import planning
from edgekit_converters.compress.step import Setting, Step, refuse
from edgekit_converters.quantize.recipe import Recipe, checked
from edgekit_converters.tasks import head_module

MUST_BE_LAST = True
SECONDS = 60.0  # about, on two cores: for an estimate of the rest


def check(table: dict[str, Any], setting: Setting) -> Recipe:
    """Settle the keys.

    Raises:
        SpecError: an unknown key, scheme or method, or a width that no tensor can have.
        Unsupported: the task's models take their bits from the export.
    """
    if hasattr(head_module(setting.original.task), "BUILD"):
        raise Unsupported(
            f"a model for {setting.original.task} has no plan of its own",
            hint='Leave this stage out; the export does it: [export] quantize = "int4-int8".',
        )
    refuse(table, ("data",), "The texts of all stages are the command's: --data FILE.")
    said = checked(table, setting.recipe)
    planning.settled(planning.Options(), said)
    return said


def bits(said: Recipe) -> frozenset[int]:
    """Every width of weights that the plan may have."""
    wanted = planning.settled(planning.Options(), said)
    return wanted.scheme.bits | {override.bits for override in said.overrides}


def bridges(said: Recipe) -> bool:
    """Whether the model cuts texts into other tokens afterwards."""
    return False


def run(step: Step, table: dict[str, Any], said: Recipe) -> None:
    """Make the folder with its plan."""
    rows = step.setting.rows
    planning.quantize(
        options=planning.Options(data=rows.calibration),
        said=said,
        out=step.out,
        task=step.setting.original.task,
        max_length=step.max_length,
        samples_file=rows.held_out,
        progress=step.progress,
        **step.origin,
    )

"""``kind = "prune"``: the keys of ``edgekit prune``'s own recipe."""

from __future__ import annotations

from typing import Any

from edgekit_converters import prune as pruning
from edgekit_converters.compress.step import Setting, Step, refuse
from edgekit_converters.prune import architecture, job
from edgekit_converters.prune.request import VOCAB, Wanted, settled

MUST_BE_LAST = False
SECONDS = 60.0  # about, on two cores: for an estimate of the rest
_OF_THE_JOB = ("data",)
_OF_A_SCAN = ("scan", "amounts", "plot")


def check(table: dict[str, Any], setting: Setting) -> Wanted:
    """Settle the keys, and find whether the architecture has such units.

    Raises:
        SpecError: an unknown name or key, or keys that contradict each other.
        Unsupported: the architecture cannot lose such units.
    """
    refuse(table, _OF_THE_JOB, "The texts of all stages are the command's: --data FILE.")
    refuse(table, _OF_A_SCAN, "edgekit prune --scan shows what each part could spare.")
    wanted = settled({**table, "data": setting.rows.training})
    if not wanted.masks:
        now = architecture.of(setting.original.model)
        if wanted.granularity != VOCAB:
            pruning.module("granularities", wanted.granularity).cut(now, now, wanted.amount)
    return wanted


def bridges(wanted: Wanted) -> bool:
    """Whether the model cuts texts into other tokens afterwards."""
    return wanted.granularity == VOCAB


def run(step: Step, table: dict[str, Any], wanted: Wanted) -> None:
    """Make the pruned folder."""
    rows = step.setting.rows
    job.prune(
        said={**table, "data": rows.training},
        out=step.out,
        task=step.setting.original.task,
        max_length=step.max_length,
        samples_file=rows.held_out,
        progress=step.progress,
        **step.origin,
    )

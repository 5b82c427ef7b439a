"""The stages of a quantization, from a resolved model to a folder with its plan."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgekit.bundle.canonical import dump_bytes
from edgekit.bundle.manifest import HopQuality
from edgekit.bundle.staging import require_space
from edgekit.errors import InputRefused, ParityFailed
from edgekit.stages import Stages
from edgekit.targets import target
from edgekit.verify import refuse_failed
from edgekit_converters import describe, model_files, prepare
from edgekit_converters.budgeted import mixed
from edgekit_converters.calibration import SIMULATED, Calibrated, Work, plain
from edgekit_converters.evaluate import suitability
from edgekit_converters.folder import check
from edgekit_converters.job import Job
from edgekit_converters.planning import NONE, Wanted
from edgekit_converters.quantize import folder as plan_folder
from edgekit_converters.quantize import gates
from edgekit_converters.quantize.ledger import Row, coverage
from edgekit_converters.quantize.record import (
    PLAN,
    TENSORS,
    Calibration,
    Facts,
    OverrideRecord,
    Plan,
    present,
)
from edgekit_converters.quantize.schemes import DEFAULT
from edgekit_converters.quiet import quiet
from edgekit_converters.request import Request
from edgekit_converters.source import Source
from edgekit_converters.tasks import head_module

_MARGIN_BYTES = 16 * 1024 * 1024
_NAMED = 3


def build(
    wanted: Wanted,
    source: Source,
    folder: Path,
    stages: Stages,
    calibration: Sequence[str],
    texts: list[str],
    max_length: int | None,
) -> Plan:
    """Fill ``folder`` with the model and its plan.

    Args:
        wanted: the settled request.
        source: the model.
        folder: a staging folder, empty.
        stages: told of what begins.
        calibration: texts that the plan is made with.
        texts: texts that it is measured with.
        max_length: most tokens in one text; the model's own when None.
    """
    with stages.stage("load"):
        if present(source.folder):
            raise InputRefused(
                f"{source.folder.name} is quantized already: it has a {PLAN}",
                hint="Start from the folder that it was made of, or remove "
                f"{PLAN} and {TENSORS}: the weights beside them are the original ones.",
            )
        request = Request(target("android-arm64"), {}, wanted.scheme, False, wanted.task)
        job = replace(
            prepare.loaded_job(request, source, texts, max_length, folder.name, samples_given=True),
            scheme=wanted.label,
        )
        require_space(folder, 2 * model_files.size(check(source.folder)) + _MARGIN_BYTES)
        fit = suitability.fit(
            calibration, job.loaded.tokenizer, source.folder, job.loaded.max_length
        )
    for note in fit.notes(job.loaded.max_length):
        stages.note(note)
    with quiet(), prepare.one_thread():
        return _build(wanted, job, folder, stages, calibration, fit)


def _build(
    wanted: Wanted,
    job: Job,
    folder: Path,
    stages: Stages,
    calibration: Sequence[str],
    fit: suitability.Fit,
) -> Plan:
    hops, made = _made(wanted, job, stages, calibration)
    hops = [*hops, *made.hops]
    gates.check_coverage(made.decisions.rows)
    _refuse_lost(hops, made.decisions.rows, wanted)
    with stages.stage("write"):
        facts = _facts(wanted, job, calibration, made, hops, fit)
        model_files.copy(check(job.loaded.source.folder), folder)
        earlier = describe.earlier_stages(job.loaded)
        record = dump_bytes([*earlier, _stage(facts)])
        (folder / describe.PROVENANCE).write_bytes(record)
        return plan_folder.save(folder, made.decisions, facts)


def _made(
    wanted: Wanted, job: Job, stages: Stages, calibration: Sequence[str]
) -> tuple[list[HopQuality], Calibrated]:
    """The hops before anything is rounded, and what was decided."""
    own = getattr(head_module(job.task), "BUILD", None)
    if own is not None:
        from edgekit_converters import quantized_decoder

        quantized_decoder.refuse_unfit(wanted, job.task, own)
        tokens, made = quantized_decoder.plain(wanted, job, calibration, stages)
        return tokens.hops, made
    captured, eager, edge, ladder = prepare.rewritten_graph(job, stages)
    refuse_failed(ladder.hops)
    work = Work(job, captured, eager, edge, calibration, ladder)
    made = plain(wanted, work, stages) if wanted.budget is None else mixed(wanted, work, stages)
    return ladder.hops, made


def _refuse_lost(hops: Sequence[HopQuality], rows: Sequence[Row], wanted: Wanted) -> None:
    """Refuse a plan that loses too much, and say where most of it goes.

    Raises:
        ParityFailed: the simulated or the artifact's answers are below the floor of the scheme.
    """
    try:
        refuse_failed(hops)
    except ParityFailed as error:
        named = "; ".join(f"{row.tensor} ({row.scheme}, {_loss(row)} dB)" for row in worst(rows))
        better = DEFAULT if wanted.budget is not None else wanted.scheme.better or NONE
        raise ParityFailed(
            f"{error.message}. Most is lost in {named}",
            hint=f"Nothing was written. Try --scheme {better}, or give these tensors more bits in "
            "a recipe.",
            **error.details,
            tensors=[row.record() for row in worst(rows)],
        ) from None


def worst(rows: Sequence[Row], count: int = _NAMED) -> list[Row]:
    """The rounded tensors that lose most, worst first."""
    lost = [row for row in rows if _loss(row) is not None]
    return sorted(lost, key=lambda row: (_loss(row), row.tensor))[:count]


def _loss(row: Row) -> float | None:
    return row.weight_db if row.output_db is None else row.output_db


def _facts(
    wanted: Wanted,
    job: Job,
    texts: Sequence[str],
    made: Calibrated,
    hops: Sequence[HopQuality],
    fit: suitability.Fit,
) -> Facts:
    return Facts(
        scheme=job.scheme,
        task=job.task,
        max_length=job.loaded.max_length,
        scaling=made.methods.scaling or NONE,
        rounding=f"qat {wanted.qat} steps" if wanted.qat else made.methods.rounding,
        split=made.methods.split,
        tweak=wanted.tweak if made.decisions.vectors else 0,
        overrides=tuple(
            OverrideRecord(match=one.match, bits=one.bits, group=one.group)
            for one in wanted.choice.overrides
        ),
        calibration=Calibration(
            count=fit.texts,
            tokens=fit.tokens,
            cut=fit.cut,
            unknown=fit.unknown,
            built_in=wanted.data is None,
            sha256=hashlib.sha256("\n".join(texts).encode()).hexdigest(),
        ),
        fp32_bytes=made.fp32_bytes,
        forecast_bytes=made.forecast_bytes,
        coverage=coverage(made.decisions.rows),
        quality=tuple(hops),
        search=made.search,
        weights_sha256=job.loaded.weights_sha256,
        toolchain=describe.toolchain(),
    )


def _stage(facts: Facts) -> dict[str, Any]:
    """This stage in ``provenance.json``."""
    data = facts.model_dump(mode="json")
    (measured,) = (hop for hop in data["quality"] if hop["hop"] == SIMULATED)
    settings = (
        "scheme",
        "task",
        "max_length",
        "scaling",
        "rounding",
        "split",
        "tweak",
        "overrides",
    )
    return {
        "stage": "quantize",
        "input_sha256": facts.weights_sha256,
        "config": {name: data[name] for name in settings} | {"calibration": data["calibration"]},
        "toolchain": data["toolchain"],
        "measured": {
            "worst_cosine": measured["worst_cosine"],
            "mean_cosine": measured["mean_cosine"],
            "coverage": facts.coverage,
            "fp32_bytes": facts.fp32_bytes,
            "forecast_bytes": facts.forecast_bytes,
        },
    }

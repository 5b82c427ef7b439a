"""The student's training and that of its controls: equal data, equal steps, equal settings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from edgekit_converters.distill import controls, retraining
from edgekit_converters.distill.beginnings import again, randomised
from edgekit_converters.distill.collate import collate_for
from edgekit_converters.distill.controls import Run
from edgekit_converters.distill.job import Job
from edgekit_converters.distill.measure import Measure
from edgekit_converters.distill.models import Taught
from edgekit_converters.distill.teacher import Live
from edgekit_converters.distill.wanted import has_own_labels


def trained(job: Job) -> list[Run]:
    """Train the student and its controls; the student's model is left trained."""
    live = Live(
        job.teacher.probe(),
        collate_for(job.teacher, job.data.labels, job.wanted.settings.seed, job.wanted.reasons)
        if job.begun.bridged
        else None,
        job.data.every,
    )
    held_out = [job.data.held_out[index] for index in range(len(job.data.held_out))]
    measure = Measure(job.teacher.kind, live, job.collate, held_out)
    runs = [Run(controls.TEACHER, measure(live.probe))] if not job.begun.bridged else []
    before = Run(controls.UNTRAINED, measure(job.begun.taught.probe()))
    found = _controls(job)
    beginners = [randomised(job.begun, 1) if c.random else again(job.begun) for c in found]
    with job.stages.stage("train"):
        student = _run(job, job.begun.taught, job.wanted.terms, "student", measure)
    runs = [replace(student, name=controls.STUDENT), before, *runs]
    with job.stages.stage("controls"):
        for control, model in zip(found, beginners, strict=True):
            job.stages.note(f"control: {control.name}")
            place = control.name.replace(" ", "-")
            made = _run(job, model, control.terms, place, measure)
            runs.append(replace(made, name=control.name))
    return runs


def _controls(job: Job) -> list[controls.Control]:
    if not job.wanted.controls:
        return []
    labels = bool(job.data.labels) or has_own_labels(job.teacher.task)
    return controls.controls(job.wanted.terms, labels=labels, copied=not job.begun.random)


def _run(job: Job, taught: Taught, terms: Any, place: str, measure: Measure) -> Run:
    ask = job.ask if any(term.teacher for term in terms) else None
    made = retraining.retrain(
        taught.probe(),
        ask,
        job.teacher.model,
        terms,
        job.data.train,
        job.data.held_out,
        job.collate,
        job.wanted.settings,
        job.work / place,
        job.stages.note,
        dropout=job.wanted.dropout,
        train_tables=job.wanted.train_tables,
    )
    return Run(place, measure(taught.probe()), made)

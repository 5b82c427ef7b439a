"""The experiment: check, open a place, measure block by block, keep what was measured."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edgekit.bench import inputs, schedule, surroundings, tuning, validity
from edgekit.bench.blocks import Bench
from edgekit.bench.candidates import Entry, open_bundles
from edgekit.bench.gate import CoolDown
from edgekit.bench.record import TIMED, Plan, Record, Setting, read, write
from edgekit.bench.resume import continued, refuse_other_plan, refuse_other_subject
from edgekit.bench.schedule import Request
from edgekit.bench.summary import summarise
from edgekit.bench.where import OpenPlace
from edgekit.device.places import Place
from edgekit.device.places.app import AppPlace
from edgekit.device.places.phone import PhonePlace
from edgekit.errors import EdgekitError, OutputExists, SpecError
from edgekit.stages import ProgressCallback, Stages

_START_SECONDS = 2.0  # a guess at what a block takes besides its timed part


@dataclass
class _Run:
    """One bench under way: the record so far is on the disk after every block."""

    bench: Bench
    record: Record
    path: Path
    stages: Stages

    def keep(self, **changes: Any) -> None:
        """Change the record and write it."""
        self.record = self.record.model_copy(update=changes)
        write(self.path, self.record)


def bench(
    folders: Sequence[Path],
    request: Request,
    open_place: OpenPlace,
    out: Path,
    *,
    force: bool = False,
    resume: bool = False,
    progress: ProgressCallback | None = None,
) -> Record:
    """Measure the artifacts of some bundles at a place.

    Args:
        folders: the bundles; the first is what the others are compared with.
        request: what to measure.
        open_place: opens the place, given the runtimes, when everything else is checked.
        out: the record's file, whole after every block.
        force: replace a record that is there; measure with a nearly empty battery or behind a
            lock screen.
        resume: continue the record in ``out``.
        progress: told of each block.

    Raises:
        SpecError: a length, an artifact or an option that does not fit; a resumed record of
            another experiment.
        OutputExists: ``out`` is there and is not to be replaced.
        DeviceUnready: the battery is nearly empty, or the screen is locked.
        DeviceStorageFull: not all that a phone needs fits there; nothing was copied.
        EdgekitError: what the place raises; the record then has ``complete: false``, the blocks so
            far and the reason.
    """
    before = read(out) if resume else None
    if before is None and not force and out.exists():
        raise OutputExists(
            f"{out} exists", hint="Choose another -o, continue it with --resume, or pass --force."
        )
    if before is not None:
        request = continued(request, before)
    entries = open_bundles(folders, request.runtimes)
    tokens = inputs.tokens(entries, request.tokens)
    lengths = inputs.lengths(entries, request.lengths, tokens)
    runtimes = list(dict.fromkeys(entry.candidate.runtime for entry in entries))
    scratch = tempfile.TemporaryDirectory(prefix="edgekit-bench-")
    with scratch as name, open_place(runtimes) as place:
        if request.threads_auto and place.kind == "emulated":
            raise SpecError(
                "an emulated processor cannot say which thread count is best",
                hint="Name the counts, such as --threads 1,2.",
            )
        now = place.health()
        warnings = validity.check_battery(now, force=force) + validity.check_lock(now, force=force)
        environment = place.environment()
        processors = surroundings.processors(environment)
        planned = schedule.plan(request, lengths, processors, tokens)
        ready = _prepare(place, planned, entries, Path(name))
        if before is not None:
            refuse_other_plan(before, planned)
            refuse_other_subject(before, entries, place, environment)
            record = before.model_copy(update={"complete": False, "stopped": None})
        else:
            record = _begin(ready, entries, environment, warnings, progress)
        return _measure(ready, record, out, progress)


def _prepare(place: Place, planned: Plan, entries: Sequence[Entry], scratch: Path) -> Bench:
    """Bring every model and every input stream to the place."""
    files: dict[str, Path] = {}
    models, streams = {}, {}
    for entry in entries:
        name = entry.candidate.id
        models[name] = (entry.candidate.runtime, entry.stored_as)
        files[entry.stored_as] = entry.path
        for length in planned.lengths:
            # The same bundle gives the same inputs, whatever the artifact.
            stored = f"inputs-{entry.candidate.ordinal}-{length}"
            if stored not in files:
                inputs.write(scratch / stored, entry, length)
                files[stored] = scratch / stored
            streams[name, length] = stored
    if isinstance(place, PhonePlace | AppPlace):
        sizes = {name: path.stat().st_size for name, path in files.items()}
        place.require_room(sizes, list(dict.fromkeys(runtime for runtime, _ in models.values())))
    place.put(files)
    contexts = {
        entry.candidate.id: entry.candidate.context
        for entry in entries
        if entry.candidate.context is not None
    }
    return Bench(place, planned, models, streams, contexts)


def _begin(
    ready: Bench,
    entries: Sequence[Entry],
    environment: dict[str, Any],
    warnings: Sequence[str],
    progress: ProgressCallback | None,
) -> Record:
    """The record before its first block, with the sweep of thread counts where one is wanted."""
    planned, candidates = ready.planned, tuple(entry.candidate for entry in entries)
    started = _now()
    swept: tuple[dict[str, Any], ...] = ()
    if planned.threads_auto:
        tried = tuning.counts(surroundings.processors(environment), planned.cores)
        stages = Stages({"threads": 1.0}, progress)
        with stages.stage("threads"):
            swept = tuning.sweep(ready, candidates, tried, stages.note)
    chosen = tuning.best(swept) if swept else None
    settings = schedule.settings(planned, candidates, chosen)
    return Record(
        started=started,
        place=ready.place.name,
        place_kind=ready.place.kind,
        environment=environment,
        software=surroundings.software(Path.cwd()),
        plan=planned,
        candidates=candidates,
        settings=settings,
        order=schedule.order(planned, settings),
        sweep=swept,
        warnings=tuple(warnings),
    )


def _measure(ready: Bench, record: Record, path: Path, progress: ProgressCallback | None) -> Record:
    """Every block that the record lacks, in its order."""
    done = {(block.setting, block.round) for block in record.blocks}
    settings = {setting.id: setting for setting in record.settings}
    left = [
        (number, settings[name])
        for number, names in enumerate(record.order)
        for name in names
        if (name, number) not in done
    ]
    seconds = schedule.share(record.plan)[1] + _START_SECONDS
    stages = Stages({_title(number, setting): seconds for number, setting in left}, progress)
    run = _Run(ready, record, path, stages)
    try:
        run.keep()
        _blocks(run, left)
        run.stages.finish()
        run.keep(complete=True, finished=_now(), summary=summarise(run.record))
    except BaseException as error:
        _stop(run, error)
        raise
    return run.record


def _blocks(run: _Run, left: Sequence[tuple[int, Setting]]) -> None:
    first = next(s for s in run.record.settings if s.series in TIMED)
    emulated = run.bench.place.kind == "emulated"
    gate = CoolDown(
        run.bench.place.health,
        None if emulated else lambda: run.bench.probe(first),
        run.record.plan.cooldown_minutes,
        say=run.stages.note,
    )
    gate.first = run.record.first_probe_ms
    for number, setting in left:
        with run.stages.stage(_title(number, setting)):
            entry = gate.wait()
            clock = next(
                (c for block in run.record.blocks if (c := validity.end_clock(block.clocks))), None
            )
            block = run.bench.block(setting, number, entry, clock)
            changes: dict[str, Any] = {"first_probe_ms": gate.first}
            if not run.record.blocks:  # a place knows its runners once they have run
                changes["environment"] = run.bench.place.environment()
            run.keep(blocks=(*run.record.blocks, block), **changes)
            if not block.valid:
                run.stages.note(f"does not count: {'; '.join(block.reasons)}")


def _stop(run: _Run, error: BaseException) -> None:
    """Keep what was measured and why it ended; say where, unless even that is impossible."""
    if isinstance(error, EdgekitError):
        reason = error.as_dict()
    else:
        reason = {"code": "stopped", "message": type(error).__name__}
    with suppress(EdgekitError):
        summary = summarise(run.record) if run.record.blocks else {}
        run.keep(complete=False, stopped=reason, finished=_now(), summary=summary)
        if isinstance(error, EdgekitError):
            kept = f"{len(run.record.blocks)} blocks are in {run.path}"
            error.hint = f"{error.hint} {kept}; continue with --resume {run.path}".strip()
            error.details["record"] = str(run.path)


def _title(number: int, setting: Setting) -> str:
    return f"round {number + 1}: {setting.id}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")

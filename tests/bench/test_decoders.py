"""A decoder's bench: its prompt and its tokens are series of their own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgekit.bench import inputs
from edgekit.bench.candidates import Entry, open_bundles
from edgekit.bench.compare import compare
from edgekit.bench.forecast import forecast
from edgekit.bench.record import Record
from edgekit.bench.schedule import Request
from edgekit.device import stream
from edgekit.device.job import Job
from edgekit.device.protocol import Event
from edgekit.errors import DeviceReplyRefused, SpecError
from tests.bench.scripted import ScriptedPlace, bundle, measured
from tests.bundle import small
from tests.support.refusals import refused

CONTEXT = 64
GENERATION = {
    "context": CONTEXT,
    "cache": {"layers": 2, "bytes_per_token": 10, "bytes": 10 * CONTEXT},
}
REQUEST = Request(quick=True, lengths=(8,), threads=(2,), cooldown_minutes=0, tokens=16)


def decoder(folder: Path, **changes: Any) -> Path:
    return bundle(folder, generation=GENERATION, task="text-generation", **changes)


def record_of(folder: Path, milliseconds: float = 2.0, **options: Any) -> Record:
    folder.mkdir(parents=True)
    decoder(folder / "bundle")
    place = options.pop("place", None) or ScriptedPlace(lambda job: milliseconds)
    return measured(folder, place, options.pop("request", REQUEST))


def entries(folder: Path) -> list[Entry]:
    return open_bundles([decoder(folder)])


def test_jobs_of_a_decoder(tmp_path: Path) -> None:
    place = ScriptedPlace()
    record = record_of(tmp_path / "a", place=place)
    assert record.plan.tokens == 16
    series = [(s.candidate, s.series, s.length) for s in record.settings]
    assert series == [
        (name, kind, 8)
        for name in ("model.pte", "model.onnx")
        for kind in ("prefill", "decode", "load")
    ]
    timed = [job for job in place.jobs if job.mode == "generate" and job.seconds != 0.3]
    assert sorted({job.tokens for job in timed if job.tokens}) == [1, 16]
    assert {job.context for job in place.jobs} == {CONTEXT}
    assert {job.eos for job in place.jobs} == {()}  # every answer is of the same length
    for name, data in place.files.items():
        if data.startswith(stream.MAGIC):
            (tmp_path / name).write_bytes(data)
            assert [[t.shape for t in one] for one in stream.read(tmp_path / name)] == [[(1, 8)]]


def test_prompt_and_tokens_are_told_apart(tmp_path: Path) -> None:
    rows = {
        (row["artifact"], row["series"]): row
        for row in record_of(tmp_path / "a").summary["latency"]
    }
    prefill, decode = rows["model.pte", "prefill"], rows["model.pte", "decode"]
    assert prefill["median"] == pytest.approx(20, rel=0.05)
    assert prefill["tokens_per_second"] == pytest.approx(8 / 0.02, rel=0.05)
    assert decode["median"] == pytest.approx(2, rel=0.05)
    assert decode["tokens_per_second"] == pytest.approx(500, rel=0.05)
    assert decode["n"] == 2 * 40 * 15
    assert decode["p95"] > decode["median"]


def test_each_series_is_compared_with_its_own(tmp_path: Path) -> None:
    def slower_onnx(job: Job) -> float:
        return 2.0 * (1.5 if job.runtime == "onnx" and job.tokens != 1 else 1.0)

    record = record_of(tmp_path / "a", place=ScriptedPlace(slower_onnx))
    told = {row["series"]: row for row in record.summary["comparison"]}
    assert told["prefill"]["ratio"] == pytest.approx(1.0, rel=0.05)
    assert told["decode"]["ratio"] == pytest.approx(1.5, rel=0.05)
    assert "model.onnx against model.pte, decode: slower" in told["decode"]["sentence"]
    again = record_of(tmp_path / "b", place=ScriptedPlace(lambda job: 2 * slower_onnx(job)))
    rows = {row.what: (row.series, row.verdict.word) for row in compare(record, again).rows}
    assert rows["model.pte, decode after 8 tokens, 2 threads"] == ("decode", "slower")
    assert rows["model.pte, prefill of 8 tokens, 2 threads"] == ("prefill", "slower")


def test_answers_of_another_length_are_another_experiment(tmp_path: Path) -> None:
    first = record_of(tmp_path / "a")
    second = record_of(tmp_path / "b", request=replace(REQUEST, tokens=17))
    refused(SpecError, 64, "tokens are 16 and 17", lambda: compare(first, second))


def test_prompt_and_answer_fit_the_context(tmp_path: Path) -> None:
    made = entries(tmp_path / "a")
    assert inputs.tokens(made, None) == CONTEXT // 2
    assert inputs.lengths(made, None, 32) == (16,)
    assert inputs.lengths(made, (1, 48), 16) == (1, 48)
    failure = refused(SpecError, 64, "49 tokens", lambda: inputs.lengths(made, (49,), 16))
    assert "1 to 48" in failure.hint
    for wrong in (1, CONTEXT):
        refused(SpecError, 64, f"of {wrong} tokens", lambda n=wrong: inputs.tokens(made, n))


def test_tokens_are_about_decoders(tmp_path: Path) -> None:
    encoders = open_bundles([bundle(tmp_path / "e")])
    assert inputs.tokens(encoders, None) is None
    refused(SpecError, 64, "the bundle has none", lambda: inputs.tokens(encoders, 9))
    both = [*encoders, *entries(tmp_path / "d")]
    refused(SpecError, 64, "no time in common", lambda: inputs.tokens(both, None))


@pytest.mark.parametrize("steps", [None, 7, [1.0, -1.0], ["1"], [float("inf")], [1.0] * 2048])
def test_times_that_are_none_are_refused(tmp_path: Path, steps: object) -> None:
    class Lying(ScriptedPlace):
        def _answers(self, job: Job) -> list[Event]:
            return [{"event": "answer", "first_ms": 1.0, "step_ms": steps}]

    with pytest.raises(DeviceReplyRefused, match="the runner gave"):
        record_of(tmp_path / "a", place=Lying())


def test_memory_that_a_decoder_should_take(tmp_path: Path) -> None:
    planned = {**small.artifact("executorch", "model.pte"), "planned_memory": 1000}
    made = decoder(tmp_path / "a", artifacts=[planned, small.artifact("onnx", "model.onnx")])
    manifest = open_bundles([made])[0].manifest
    pte, onnx = (forecast(manifest, artifact) for artifact in manifest.artifacts)
    assert (pte.planned, pte.cache, pte.workspace) == (1000, 0, 2 * 360)
    assert (onnx.planned, onnx.cache, onnx.workspace) == (0, 640, 0)
    assert pte.total == pte.program + 300 + 1000 + 720
    twice = manifest.artifacts[0].model_copy(update={"shared_bytes": 40})
    assert forecast(manifest, twice).total == pte.total + 40

"""A decoder's bundle where it will run: its goldens replayed, its tokens timed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgekit import api
from edgekit.bench import experiment
from edgekit.bench import where as places
from edgekit.bench.schedule import Request as Measure
from edgekit.device import stream
from edgekit.device.places.host import open_host
from edgekit.errors import DeviceReplyRefused
from edgekit.testing.checks import check_goldens
from edgekit.testing.plan import prepare
from edgekit.testing.replay import model_name
from edgekit.testing.run import Request, check_bundle
from tests.support.decoders import decoder

pytestmark = [pytest.mark.slow, pytest.mark.long]
CONTEXT = 64


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("decoders")
    texts = folder / "texts.txt"
    texts.write_text("The sun rises.\nTurn on the lamp.\nhello you\n")
    model = decoder(folder / "model", max_position_embeddings=128)
    out = folder / "bundle"
    api.export(model, out=out, quantize="none", samples=texts, max_context=CONTEXT)
    return out


@pytest.mark.parametrize(
    "place", ["host", *(pytest.param(name, marks=pytest.mark.arm64) for name in ("arm64", "phone"))]
)
def test_goldens_of_both_artifacts(
    bundle: Path, request: pytest.FixtureRequest, place: str
) -> None:
    machine = "host" if place == "host" else "arm64"
    for runtime in ("", "_onnx"):
        request.getfixturevalue(f"{machine}{runtime}_runner")
    serial = None
    if place == "phone":
        request.getfixturevalue("adb_environment")
        serial = request.getfixturevalue("phone").serial
    [visit] = check_bundle(bundle, Request(place=place, serial=serial))  # type: ignore[arg-type]
    assert [check.artifact for check in visit.checks] == ["model.pte", "model.onnx"]
    for check in visit.checks:
        assert check.status == "passed"
        assert check.hop is not None
        assert check.hop.tokens is not None
        assert check.hop.tokens.max_difference <= 1e-4
        assert check.hop.agreement == 1.0


@pytest.mark.parametrize("wrong", ["shape", "numbers", "missing"])
def test_other_logits_are_not_taken(
    bundle: Path, host_runner: Path, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    plan = prepare(bundle, ["executorch"])
    artifact = plan.artifacts[0]

    def lie(name: str, into: Path) -> None:
        answers = stream.read(place.folder / name)
        if wrong == "shape":
            answers = [[one[:, 1:]] for [one] in answers]
        elif wrong == "numbers":
            answers = [[np.roll(one, 1, axis=1)] for [one] in answers]
        else:
            answers.pop()
        stream.write(into, answers)

    with open_host() as place:
        place.put({model_name(artifact): bundle / artifact.file})
        monkeypatch.setattr(place, "fetch", lie)
        if wrong == "numbers":
            hop = check_goldens(place, plan, artifact, timeout=120, on_event=lambda event: None)
            assert not hop.passed
            return
        with pytest.raises(DeviceReplyRefused, match="not those of the texts"):
            check_goldens(place, plan, artifact, timeout=120, on_event=lambda event: None)


def test_a_bench_has_both_times(
    bundle: Path, host_runner: Path, host_onnx_runner: Path, tmp_path: Path
) -> None:
    request = Measure(quick=True, lengths=(8,), threads=(1,), cooldown_minutes=0, tokens=4)
    record = experiment.bench(
        [bundle], request, places.opener("host", None), tmp_path / "record.json"
    )
    assert record.complete
    rows = {(row["artifact"], row["series"]): row for row in record.summary["latency"]}
    assert len(rows) == 4
    for (_, series), row in rows.items():
        assert 0 < row["minimum"] <= row["median"] <= row["p95"]
        assert row["n"] >= (10 if series == "prefill" else 30)
        assert row["tokens_per_second"] > 0
    for row in record.summary["artifacts"]:
        assert 0.5 < row["peak_to_forecast"] < 1.5
        assert row["cold_load_ms"] > 0

"""Answers of a place are held against the signature before anything is computed with them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgekit.bundle.manifest import ArtifactInfo
from edgekit.device import stream
from edgekit.device.places.host import LocalPlace, open_host
from edgekit.errors import DeviceReplyRefused
from edgekit.runtime.replay import replay as replay_in_python
from edgekit.testing.checks import check_goldens, parity_failure
from edgekit.testing.plan import Plan, prepare
from edgekit.testing.replay import model_name, replay

Tensor = NDArray[np.float32] | NDArray[np.int64]


@pytest.fixture(scope="module")
def plan(tiny_bundle: Path) -> Plan:
    return prepare(tiny_bundle, ["executorch"])


@pytest.fixture
def place(plan: Plan, host_runner: Path) -> Iterator[LocalPlace]:
    with open_host() as opened:
        artifact = plan.artifacts[0]
        opened.put({model_name(artifact): plan.folder / artifact.file})
        yield opened


def lie(place: LocalPlace, monkeypatch: pytest.MonkeyPatch, answers: list[list[Tensor]]) -> None:
    """The place really runs the job, and gives other answers back."""
    monkeypatch.setattr(place, "fetch", lambda name, into: stream.write(into, answers))


def of(plan: Plan) -> tuple[ArtifactInfo, list[dict[str, NDArray[np.int64]]]]:
    return plan.artifacts[0], [golden.inputs for golden in plan.goldens[:3]]


def test_the_same_answers_as_in_python(plan: Plan, place: LocalPlace) -> None:
    artifact, samples = of(plan)
    signature = plan.manifest.signature
    path = plan.folder / artifact.file
    expected = replay_in_python("executorch", path, signature, samples)
    for made, wanted in zip(
        replay(place, artifact, signature, samples, timeout=60), expected, strict=True
    ):
        assert made.keys() == wanted.keys()
        for name in wanted:
            np.testing.assert_allclose(made[name], wanted[name], atol=1e-4)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: rows[:2], "2 outputs came back for 3 samples"),
        (lambda rows: [[], *rows[1:]], "sample 0: 0 outputs came back, the signature has 1"),
        (lambda rows: [*rows[:2], rows[2] * 2], "sample 2: 2 outputs"),
        (lambda rows: [[rows[0][0][:, :-1]], *rows[1:]], "sample 0: 'sentence_embedding' came"),
        (lambda rows: [[rows[0][0][0]], *rows[1:]], "not float32"),
        (lambda rows: [[rows[0][0].astype(np.int64)], *rows[1:]], "came back as int64"),
    ],
)
def test_other_shapes_are_refused(
    plan: Plan, place: LocalPlace, monkeypatch: pytest.MonkeyPatch, change: object, said: str
) -> None:
    _artifact, samples = of(plan)
    signature = plan.manifest.signature
    width = signature.outputs[0].dims[1].maximum
    rows: list[list[Tensor]] = [[np.ones((1, width), np.float32)] for _ in samples]
    lie(place, monkeypatch, change(rows))  # type: ignore[operator]
    error = refused_here(plan, place)
    assert said in error.message


def refused_here(plan: Plan, place: LocalPlace) -> DeviceReplyRefused:
    artifact, samples = of(plan)
    with pytest.raises(DeviceReplyRefused) as caught:
        replay(place, artifact, plan.manifest.signature, samples, timeout=60)
    assert caught.value.exit_status == 65
    assert caught.value.hint
    return caught.value


def test_rubbish_for_outputs_is_refused(
    plan: Plan, place: LocalPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    rubbish = b"EKTENSOR" + b"\xff" * 1000
    monkeypatch.setattr(place, "fetch", lambda name, into: into.write_bytes(rubbish))
    assert "its outputs" in refused_here(plan, place).message


def test_done_without_outputs_is_refused(
    plan: Plan, place: LocalPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, "run", lambda job, **more: {"event": "done"})
    assert "done, and its outputs are missing" in refused_here(plan, place).message


def test_a_difference_names_artifact_place_golden_and_what_was_before(
    plan: Plan, place: LocalPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    width = plan.manifest.signature.outputs[0].dims[1].maximum
    draw = np.random.default_rng(0)
    rows: list[list[Tensor]] = [
        [draw.standard_normal((1, width), np.float32)] for _ in plan.goldens
    ]
    rows[5] = [np.full((1, width), np.nan, np.float32)]
    lie(place, monkeypatch, rows)
    hop = check_goldens(place, plan, plan.artifacts[0], timeout=60, on_event=lambda event: None)
    assert not hop.passed
    assert hop.worst_sample == plan.goldens[5].text
    failure = parity_failure(hop, plan)
    assert failure.exit_status == 1
    for named in ("model.pte", place.name, plan.goldens[5].text[:60], "the first hop that misses"):
        assert named in failure.message
    assert failure.details["hops"][0]["hop"] == place.name


def test_a_sound_place_passes(plan: Plan, place: LocalPlace) -> None:
    hop = check_goldens(place, plan, plan.artifacts[0], timeout=60, on_event=lambda event: None)
    assert hop.passed
    assert hop.hop == place.name
    assert hop.same_artifact is not None
    assert hop.same_artifact > 0.9999

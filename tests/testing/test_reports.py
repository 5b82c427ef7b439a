"""JUnit XML and the JSON record: every check a case, nothing that a parser chokes on."""

from __future__ import annotations

import json
import os
from pathlib import Path
from xml.etree import ElementTree

import pytest

from edgekit.bundle.manifest import HopQuality
from edgekit.device.inventory import Listed
from edgekit.errors import (
    CannotWrite,
    DeviceOffline,
    EdgekitError,
    InternalError,
    ParityFailed,
    RunnerKilled,
)
from edgekit.testing import junit, record
from edgekit.testing.labelled import score
from edgekit.testing.report import Check, Visit, failure_of, worst
from tests.support.refusals import refused

HOSTILE = "a\x00b\x1b[31m<&\"']]>\ud800\ufffe\u202e"
PHONE = Listed("R5CT", "device", "Pixel_8", "")


def hop(place: str, *, passed: bool = True) -> HopQuality:
    return HopQuality(
        hop=place,
        artifact="model.pte",
        samples=64,
        worst_cosine=0.99,
        mean_cosine=0.999,
        snr_db=None,
        agreement=1.0,
        agreement_kind="same nearest neighbour",
        worst_sample=HOSTILE.replace("\ud800", ""),
        floor_worst=0.98,
        floor_mean=0.99,
        same_artifact=1.0,
        passed=passed,
    )


@pytest.fixture
def visits() -> list[Visit]:
    failed = ParityFailed(f"model.pte on B: worst golden: {HOSTILE}", hops=[])
    killed = RunnerKilled("the program was ended by SIGKILL", signal="SIGKILL")
    return [
        Visit(
            f"A {HOSTILE}",
            "phone",
            "R5CT",
            environment={"soc": HOSTILE, "sdk": 35, "abis": ["arm64-v8a"]},
            copied={"files": 3, "bytes": 9, "resumed": 1, "sent": 6, "seconds": 0.5},
            remarks=["one"],
            checks=[
                Check("goldens", "executorch", "model.pte", 1.5, hop=hop("A")),
                Check("labelled", "executorch", "model.pte", score=score([0, 1], [0, 0], 2)),
                Check("goldens", "onnx", "model.onnx", skipped="not built"),
            ],
            seconds=2.0,
        ),
        Visit(
            "B",
            "phone",
            "OTHER",
            checks=[
                Check(
                    "goldens", "executorch", "model.pte", hop=hop("B", passed=False), error=failed
                ),
                Check("goldens", "onnx", "model.onnx", error=killed),
            ],
        ),
        Visit("C", "phone", "GONE", error=DeviceOffline("C is offline", hint="plug it in")),
    ]


def test_every_check_is_a_case(visits: list[Visit], tmp_path: Path) -> None:
    path = tmp_path / "report.xml"
    path.write_text("old")
    junit.write(path, f"bundle {HOSTILE}", visits)
    top = ElementTree.parse(path).getroot()
    assert os.listdir(tmp_path) == ["report.xml"]
    counts = {name: top.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "6", "failures": "1", "errors": "2", "skipped": "1"}
    first, second, third = top
    assert [case.get("name", "").split(" on ")[0] for case in first.iter("testcase")] == [
        "model.pte goldens",
        "model.pte labelled",
        "model.onnx goldens",
    ]
    assert "accuracy 0.5000 [" in "".join(first.itertext())
    failure = second.find("testcase/failure")
    assert failure is not None
    assert failure.get("type") == "parity-failed"
    for named in ("model.pte", "on B", "worst golden"):
        assert named in failure.get("message", "")
    error = third.find("testcase/error")
    assert error is not None
    assert (error.get("type"), error.text) == ("device-offline", "C is offline\nplug it in")


def test_a_report_that_cannot_be_written_is_refused_first(tmp_path: Path) -> None:
    refused(
        CannotWrite, 73, "no such folder", lambda: junit.require_writable(tmp_path / "x" / "y.xml")
    )
    refused(CannotWrite, 73, "cannot write", lambda: junit.require_writable(tmp_path))
    junit.require_writable(tmp_path / "y.xml")
    refused(CannotWrite, 73, "cannot write", lambda: junit.write(tmp_path / "no" / "x", "b", []))


def test_the_record_comes_back(visits: list[Visit], tmp_path: Path) -> None:
    for visit in visits:
        made = record.document(tmp_path, [visit], visit.failure)
        text = json.dumps(made, allow_nan=False)
        back = record.visit_from(json.loads(text), PHONE)
        assert back.as_dict() == visit.as_dict()
        assert (back.failure is None) == (visit.failure is None)
        if visit.failure is not None:
            assert type(back.failure) is type(visit.failure)


def test_a_failure_alone_is_a_failed_visit() -> None:
    error = DeviceOffline("gone", hint="plug it in")
    back = record.visit_from({"error": error.as_dict()}, PHONE)
    assert isinstance(back.error, DeviceOffline)
    assert back.place == "R5CT (Pixel_8)"
    usage = {"code": "usage", "exit_status": 2, "message": "m", "hint": "", "details": {}}
    assert isinstance(record.visit_from({"error": usage}, PHONE).error, InternalError)


@pytest.mark.parametrize(
    "document",
    [None, [], {}, {"places": [1]}, {"places": [{}]}, {"error": 3}, {"places": [{}, {}]}, "x"],
)
def test_no_record_at_all(document: object) -> None:
    with pytest.raises(record.Malformed):
        record.visit_from(document, PHONE)


def test_the_worst_status_wins_and_every_phone_is_named(visits: list[Visit]) -> None:
    failure = failure_of(visits)
    assert isinstance(failure, DeviceOffline)
    assert failure.exit_status == 75
    assert failure.message.startswith("2 of 3 phones failed: B: the program was ended by SIGKILL")
    assert "C: C is offline" in failure.message
    assert [phone["code"] for phone in failure.details["phones"]] == [
        "runner-killed",
        "device-offline",
    ]
    assert failure_of(visits[:1]) is None
    assert failure_of(visits[2:]) is visits[2].error
    assert worst([]) is None
    errors: list[EdgekitError] = [ParityFailed("a"), ParityFailed("b")]
    assert worst(errors) is errors[0]

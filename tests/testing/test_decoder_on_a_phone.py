"""A trained decoder through real adb: its goldens replayed on a phone, its tokens timed there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgekit import api
from examples.tiny_decoder import folder
from tests.conftest import Program
from tests.support.phone import AdbServer, ScriptedPhone

# The model is trained where no earlier run has kept it.
pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.arm64, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, arm64_runner: Path) -> Path:
    """Four-bit linears and an eight-bit table, as export makes it unless told otherwise."""
    out = tmp_path_factory.mktemp("trained") / "bundle"
    api.export(folder(), out=out, runtimes=["executorch"])
    return out


def as_it_was(phone: ScriptedPhone) -> bool:
    return (
        phone.files() == []
        and phone.settings == phone.settings_at_start
        and phone.unknown == []
        and phone.sandbox.escapes == []
    )


def test_it_writes_the_same_tokens_there(
    edgekit: Program, adb_server: AdbServer, phone: ScriptedPhone, bundle: Path
) -> None:
    done = edgekit("test", bundle, "--json", env=adb_server.environment)
    assert done.returncode == 0, done.stderr
    [place] = json.loads(done.stdout)["places"]
    assert place["serial"] == phone.serial
    [check] = place["checks"]
    assert check["status"] == "passed"
    hop = check["hop"]
    assert hop["agreement"] > 0.95
    assert hop["tokens"]["count"] > 500
    assert hop["same_artifact"] > 0.999
    assert as_it_was(phone)


def test_prompt_and_tokens_are_timed_there(
    edgekit: Program, adb_server: AdbServer, phone: ScriptedPhone, bundle: Path
) -> None:
    words = ("--lengths", "16", "--tokens", "8", "--threads", "1", "--cooldown", "0")
    done = edgekit("bench", bundle, "--quick", *words, "--json", env=adb_server.environment)
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert (record["complete"], record["place_kind"]) == (True, "phone")
    rows = {row["series"]: row for row in record["summary"]["latency"]}
    assert set(rows) == {"prefill", "decode"}
    assert rows["prefill"]["n"] + rows["decode"]["n"] >= 10
    assert all(row["tokens_per_second"] > 0 for row in rows.values())
    [artifact] = record["summary"]["artifacts"]
    assert artifact["cold_load_ms"] > 0
    assert artifact["peak_to_forecast"] > 0
    assert as_it_was(phone)

"""``edgekit bench`` as a user types it: the real runner on this computer, and every refusal."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from edgekit.bench.record import read, write
from edgekit.bench.summary import summarise
from edgekit.cli import bench_view
from edgekit.cli.output import Output
from edgekit.device import runner
from tests.bench.scripted import BLOCKS, COOL, ScriptedPlace, bundle, measured
from tests.conftest import Program, clean_environment
from tests.device.conftest import arm64_runner as arm64_runner

ON_HOST = ("--place", "host", "--runtime", "executorch", "--quick", "--cooldown", "0")
SHORT = ("--lengths", "8", "--threads", "1")


@pytest.fixture(scope="module", autouse=True)
def host_runner() -> Path:
    """The runner of this machine's own architecture."""
    if os.uname().machine != "x86_64":
        pytest.skip("the host-built runner is tested on x86_64")
    return runner.build(machine="x86_64")


def test_the_report_fits_a_screen(edgekit: Program, tiny_bundle: Path, tmp_path: Path) -> None:
    done = edgekit("bench", tiny_bundle, *ON_HOST, "--threads", "1,2", "-o", "r.json")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 80
    assert "CONDITIONS: measured on this computer: not a phone's speed; quick run" in done.stdout
    assert "A = model.pte: executorch" in done.stdout
    assert lines[-1] == "record: r.json"
    record = read(tmp_path / "r.json")
    assert record.complete
    rows = [line.split() for line in lines if line.startswith("A ") and "=" not in line]
    assert len(rows) == len(record.summary["latency"]) + 1
    assert "round 2: model.pte, load" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_record_has_what_the_report_left_out(
    edgekit: Program, tiny_bundle: Path, tmp_path: Path
) -> None:
    done = edgekit("bench", tiny_bundle, *ON_HOST, *SHORT, "--seed", "4", "--json", "-q")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    document = json.loads(done.stdout)
    record = read(tmp_path / document["record"])
    assert document["record"].startswith("bench-20")
    assert document["summary"] == json.loads(json.dumps(record.summary))
    assert document["plan"]["seed"] == 4
    assert record.environment["runners"]["executorch"].startswith("x86_64-executorch-")
    assert record.software["edgekit"]
    (candidate,) = record.candidates
    manifest = json.loads((tiny_bundle / "edgekit.json").read_bytes())
    assert candidate.bundle_digest == manifest["seal"]
    timed = [block for block in record.blocks if block.times is not None]
    assert len(timed) == 2
    for block in timed:
        assert block.times is not None
        assert block.times.count >= 10 / 2
        assert block.seconds >= 0.5
        assert block.memory_kb["vm_hwm_kb"] > 1000
        assert block.driver_cpu < 0.5
        assert [reading["when"] for reading in block.clocks] == ["before", "after"]
        assert block.before["memory_free"] > 0
    loads = [block for block in record.blocks if block.cold_loads_ms]
    assert len(loads) == 2
    assert all(len(b.cold_loads_ms) == len(b.warm_loads_ms) == 2 for b in loads)


def test_csv_and_markdown(edgekit: Program, tiny_bundle: Path) -> None:
    words = ("bench", tiny_bundle, *ON_HOST, *SHORT, "-q")
    done = edgekit(*words, "--csv", "-o", "c.json")
    (row,) = csv.DictReader(io.StringIO(done.stdout))
    assert row["artifact"] == "model.pte"
    assert float(row["low"]) <= float(row["median"]) <= float(row["high"])
    assert "not a phone's speed" in row["conditions"]
    page = edgekit(*words, "--markdown", "-o", "m.json").stdout
    assert "| artifact | series | texts | tokens | threads | n | median |" in page
    assert "not a phone's speed" in page


def faster(path: Path, name: str) -> None:
    """A record like the one in ``path`` whose times are a twentieth."""
    record = read(path)
    blocks = [
        block.model_copy(
            update={
                "times": block.times
                and block.times.model_copy(
                    update={"points": tuple(ms / 20 for ms in block.times.points)}
                )
            }
        )
        for block in record.blocks
    ]
    write(path.with_name(name), record.model_copy(update={"blocks": tuple(blocks)}))


def test_a_baseline_is_held_against_at_the_end(
    edgekit: Program, tiny_bundle: Path, tmp_path: Path
) -> None:
    words = ("bench", tiny_bundle, *ON_HOST, *SHORT, "-q", "--force", "-o", "r.json")
    assert edgekit(*words).returncode == 0
    faster(tmp_path / "r.json", "base.json")
    done = edgekit(*words, "--baseline", "base.json")
    assert done.returncode == 1, done.stdout
    assert "model.pte, 8 tokens, 1 threads" in done.stderr
    assert "record: r.json" in done.stdout
    assert "against the baseline:" in done.stdout
    other = edgekit(*words[:-3], "-o", "o.json", "--threads", "2", "--baseline", "base.json")
    assert other.returncode == 64
    assert "threads are 1 and 2" in other.stderr
    assert "record: o.json" in other.stdout  # what was measured is shown all the same


@pytest.mark.arm64
def test_emulated_time_is_called_no_speed(
    edgekit: Program, tiny_bundle: Path, tmp_path: Path, arm64_runner: Path
) -> None:
    words = ("--place", "arm64", "--runtime", "executorch", "--quick", *SHORT)
    done = edgekit("bench", tiny_bundle, *words, "-o", "r.json")
    assert done.returncode == 0, done.stderr
    assert "CONDITIONS: emulated: not a speed" in done.stdout
    assert "(emulated)" in done.stdout
    assert "no speed\n" in done.stdout
    assert "none is a speed" in done.stdout
    assert read(tmp_path / "r.json").first_probe_ms is None
    compared = edgekit("compare", "r.json", "r.json", "--force")
    assert "emulated: not a speed" in compared.stdout
    searched = edgekit("bench", tiny_bundle, *words, "--threads", "auto", "-o", "s.json")
    assert searched.returncode == 64
    assert "an emulated processor cannot say" in searched.stderr


def test_a_length_over_the_limit_is_refused_by_name(edgekit: Program, tiny_bundle: Path) -> None:
    done = edgekit("bench", tiny_bundle, "--lengths", "8,5000", "--place", "host", "--json")
    assert done.returncode == 64
    error = json.loads(done.stdout)["error"]
    assert "does not take 5000 tokens" in error["message"]
    assert error["details"]["length"] == 5000
    assert "--lengths" in error["hint"]


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("--lengths", "8,x"), 2, "no list of numbers"),
        (("--threads", "0"), 2, "0 is not within 1 and 64"),
        (("--cores", "-1"), 2, "no list of numbers"),
        (("--place", "moon"), 2, "moon"),
        (("--tuning", "t.json"), 2, "--tuning needs --threads auto"),
        (("--csv", "--json"), 2, "choose one"),
        (("--resume", "a", "-o", "b"), 2, "leave -o out"),
        (("--resume", "none.json"), 66, "no such record: none.json"),
        (("--baseline", "none.json"), 66, "no such record: none.json"),
        (("--place", "host", "--serial", "x"), 64, "--serial names a phone"),
        (("--runtime", "tflite"), 64, "no tflite artifact"),
        (("--place", "host", "-o", "no/r.json"), 73, "cannot write no/r.json"),
    ],
)
def test_refusals(
    edgekit: Program,
    tiny_bundle: Path,
    tmp_path: Path,
    words: tuple[str, ...],
    status: int,
    said: str,
) -> None:
    done = edgekit("bench", tiny_bundle, "--quick", "--cooldown", "0", *words)
    assert done.returncode == status, done.stderr
    assert said in (done.stderr if "--json" not in words else done.stdout)
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_runner_that_is_not_built_is_named(
    edgekit: Program, tiny_bundle: Path, tmp_path: Path
) -> None:
    words = (tiny_bundle, *ON_HOST, *SHORT, "-o", "r.json")
    done = edgekit("bench", *words, env={"EDGEKIT_HOME": str(tmp_path / "empty")})
    assert done.returncode == 69
    assert "edgekit runner build" in done.stderr
    assert not (tmp_path / "r.json").exists()


def test_a_stopped_bench_is_continued(tiny_bundle: Path, edgekit: Program, tmp_path: Path) -> None:
    words = ["bench", str(tiny_bundle), *ON_HOST, "--lengths", "4,8,16", "-o", "r.json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "edgekit", *words],
        cwd=tmp_path,
        env=clean_environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    path = tmp_path / "r.json"
    deadline = time.monotonic() + 120
    while not (path.exists() and read(path).blocks) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    half = read(path)
    assert not half.complete
    assert half.stopped == {"code": "stopped", "message": "KeyboardInterrupt"}
    refused = edgekit("bench", tiny_bundle, "--resume", "r.json", "--place", "host", "--seed", "9")
    assert refused.returncode == 64
    assert "another --seed" in refused.stderr
    done = edgekit("bench", tiny_bundle, "--resume", "r.json", "--place", "host", "-q")
    assert done.returncode == 0, done.stderr
    whole = read(path)
    assert whole.complete
    assert whole.blocks[: len(half.blocks)] == half.blocks
    assert len(whole.blocks) == 2 * 4


def test_a_dead_runner_leaves_a_record(tiny_bundle: Path, edgekit: Program, tmp_path: Path) -> None:
    """The model is no program: sealed well, refused by the runtime at its first job."""
    broken = tmp_path / "broken"
    made = bundle(broken)
    done = edgekit("bench", made, *ON_HOST, *SHORT, "-o", "r.json", "--json")
    assert done.returncode == 65, done.stderr
    error = json.loads(done.stdout)["error"]
    assert "0 blocks are in r.json; continue with --resume r.json" in error["hint"]
    record = read(tmp_path / "r.json")
    assert record.stopped is not None
    assert record.stopped["code"] == error["code"]


def test_auto_threads_write_a_tuning_file(
    edgekit: Program, tiny_bundle: Path, tmp_path: Path
) -> None:
    words = (*ON_HOST, "--lengths", "8", "--threads", "auto", "--tuning", "tuning.json", "-q")
    done = edgekit("bench", tiny_bundle, *words)
    assert done.returncode == 0, done.stderr
    tuning = json.loads((tmp_path / "tuning.json").read_bytes())
    (entry,) = tuning["bundles"].values()
    assert entry["threads"]["executorch"] in (1, 2, 4, os.cpu_count())
    assert tuning["conditions"]["place_kind"] == "host"


# The view alone, on records whose times are scripted.


def shown(record: Any, path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    bench_view.show(Output(), record, path, "screen", None)
    return capsys.readouterr().out


def test_what_does_not_count_is_shown_as_such(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hot = {**COOL, "thermal_status": 3}
    record = measured(tmp_path, ScriptedPlace(health=[COOL, hot]))
    text = shown(record, tmp_path / "record.json", capsys)
    assert text.count("INVALID") == 2 * 2 + 2
    assert f"left out: {BLOCKS} of {BLOCKS} blocks" in text
    assert "not cooled down: thermal status 3" in text
    assert "cannot tell" in text
    assert "thermal status 3 to 3" in text


def test_many_settings_still_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from dataclasses import replace

    from tests.bench.scripted import QUIET

    request = replace(QUIET, lengths=tuple(range(4, 20)), threads=(1, 2))
    record = measured(tmp_path, request=request)
    text = shown(record, tmp_path / "r.json", capsys)
    assert len(text.splitlines()) <= 40
    assert "more settings: in the record" in text


def test_hostile_names_stay_in_their_cell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "a|b<script>\n# x\x1b[31m"
    record = measured(tmp_path, ScriptedPlace(environment={"soc": name, "machine": "m"}))
    hostile = record.candidates[0].model_copy(update={"id": name})
    record = record.model_copy(
        update={
            "place": name,
            "candidates": (hostile, *record.candidates[1:]),
            "settings": tuple(
                s.model_copy(update={"candidate": name}) if s.candidate == "model.pte" else s
                for s in record.settings
            ),
        }
    )
    record = record.model_copy(update={"summary": summarise(record)})
    text = shown(record, tmp_path / "r", capsys)
    assert "\x1b" not in text
    page = bench_view.as_markdown(record)
    assert "<script>" not in page
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert {row.replace("\\|", "").count("|") for row in rows[:6]} == {rows[0].count("|")}
    write(tmp_path / "hostile.json", record)
    assert read(tmp_path / "hostile.json") == record


def test_a_bundle_that_was_changed_is_not_measured(
    edgekit: Program, tiny_bundle: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(tiny_bundle, copy)
    raw = bytearray((copy / "model.pte").read_bytes())
    raw[len(raw) // 2] ^= 1
    (copy / "model.pte").write_bytes(raw)
    done = edgekit("bench", copy, *ON_HOST)
    assert done.returncode == 65
    assert "'model.pte' was changed" in done.stderr

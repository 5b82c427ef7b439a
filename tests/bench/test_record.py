"""Records: canonical on the disk, refused when they are something else."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edgekit.bench.record import Record, read, write
from edgekit.bench.surroundings import git_state, machine, processors, software
from edgekit.bundle.canonical import dump_bytes
from edgekit.errors import CannotWrite, InputMissing, InputRefused, StorageFull
from tests.bench.scripted import measured
from tests.support.refusals import refused


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    return measured(tmp_path_factory.mktemp("record"))


def test_a_record_is_canonical_json_and_comes_back(record: Record, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    write(path, record)
    raw = path.read_bytes()
    assert raw == dump_bytes(json.loads(raw))
    assert read(path) == record
    write(path, read(path))
    assert path.read_bytes() == raw
    assert [entry.name for entry in tmp_path.iterdir()] == ["r.json"]


def test_a_record_names_no_folder_of_this_machine(record: Record, tmp_path: Path) -> None:
    write(tmp_path / "r.json", record)
    text = (tmp_path / "r.json").read_text()
    assert str(tmp_path.parents[1]) not in text
    assert str(Path.cwd()) not in text


def changed(record: Record, **fields: Any) -> bytes:
    return dump_bytes({**record.model_dump(mode="json"), **fields})


def test_what_is_no_record_is_refused(record: Record, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    refused(InputMissing, 66, "no such record", lambda: read(path))
    for raw, word in (
        (b"", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b"\xff{}", "not valid JSON"),
        (b"[]", "of another kind"),
        (b'{"schema_version": 1}', "of another kind"),
        (changed(record, schema_version=2), "schema version 2"),
        (changed(record, plan={}), "at plan."),
        (changed(record, more=1), "at more"),
        (changed(record, candidates=[]), "names an artifact that is not in it"),
        (changed(record, settings=[]), "names a setting that is not in it"),
    ):
        path.write_bytes(raw)
        refused(InputRefused, 65, word, lambda: read(path))
    path.unlink()
    path.mkdir()
    refused(InputRefused, 65, "directory", lambda: read(path))


def test_a_record_that_is_far_too_long_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "long.json"
    with path.open("wb") as file:
        file.truncate(300 * 2**20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(InputRefused, 65, "longer than", lambda: read(path))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


def test_where_it_cannot_be_written(record: Record, tmp_path: Path) -> None:
    refused(CannotWrite, 73, "cannot write", lambda: write(tmp_path / "no" / "r.json", record))
    (tmp_path / "taken").mkdir()
    refused(CannotWrite, 73, "cannot write", lambda: write(tmp_path / "taken", record))
    assert [entry.name for entry in tmp_path.iterdir()] == ["taken"]


FULL = """
import resource, sys
from pathlib import Path
from edgekit.bench.record import read, write
from edgekit.errors import StorageFull
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path = Path(sys.argv[1])
record = read(path)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write(path, record.model_copy(update={"complete": False}))
except StorageFull as error:
    sys.exit(error.exit_status)
"""


def test_a_full_disk_leaves_the_record_as_it_was(record: Record, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    write(path, record)
    before = path.read_bytes()
    done = subprocess.run([sys.executable, "-c", FULL, str(path)], check=False)
    assert done.returncode == StorageFull.exit_status
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["r.json"]


def test_git_state_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert git_state(tmp_path) is None
    assert git_state(tmp_path / "none") is None
    words = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(tmp_path)]
    subprocess.run([*words, "init", "-q"], check=True)
    assert git_state(tmp_path) is None  # no commit yet
    (tmp_path / "file").write_text("1")
    subprocess.run([*words, "add", "file"], check=True)
    subprocess.run([*words, "commit", "-qm", "one"], check=True)
    found = git_state(tmp_path)
    assert found is not None
    assert (len(found["commit"]), found["dirty"]) == (40, False)
    (tmp_path / "file").write_text("2")
    assert software(tmp_path)["git"] == {**found, "dirty": True}
    monkeypatch.setenv("PATH", os.devnull)
    assert git_state(tmp_path) is None


def test_what_makes_a_machine() -> None:
    phone = {"manufacturer": "A", "model": "B", "soc": "C", "serial": "x", "memory_free": 3}
    assert machine(phone) == {"manufacturer": "A", "model": "B", "soc": "C"}
    assert machine({"soc": None}) == {}
    assert processors({"cores": [None] * 8}) == 8
    assert processors({"processors": 2}) == 2
    assert processors({"processors": True, "cpus": [], "cores": "x"}) is None

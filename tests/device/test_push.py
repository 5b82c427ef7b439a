"""Copies through the real adb to the scripted phone: checked there, resumed, bounded, named."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edgekit.device.adb import Adb
from edgekit.device.pull import pull
from edgekit.device.push import Pushed, check_name, free_bytes, push, require_room_for
from edgekit.device.shell import Shell
from edgekit.errors import (
    DevicePermission,
    DeviceReplyRefused,
    DeviceStorageFull,
    InputMissing,
    SpecError,
    StorageFull,
    TransferBroken,
    Unsupported,
)
from tests.support.phone import AdbServer, ScriptedPhone
from tests.support.phone.fixtures import MakePhone
from tests.support.phone.interpreter import Process
from tests.support.refusals import refused

FOLDER = "/data/local/tmp/edgekit/0123456789ab"
Push = Callable[..., Pushed]


@pytest.fixture
def shell(adb: Adb, phone: ScriptedPhone) -> Shell:
    return Shell(adb, phone.serial)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Some files, the local names of which are nobody's business."""
    found = {}
    for index, size in enumerate((0, 1, 70_000, 1_000_000)):
        path = tmp_path / f"--odd name; $({index}) 'quoted'\n"
        path.write_bytes(os.urandom(size))
        found[f"file-{index}.bin"] = path
    return found


def lying(phone: ScriptedPhone) -> dict[str, bytes]:
    return {
        name.rsplit("/", 1)[1]: (phone.root / name).read_bytes()
        for name in phone.files()
        if not name.endswith("/")
    }


@pytest.mark.parametrize("shell_v2", [True, False])
def test_everything_arrives_and_only_once(
    adb: Adb, make_phone: MakePhone, files: dict[str, Path], shell_v2: bool
) -> None:
    phone = make_phone(24, shell_v2=shell_v2, terminal=not shell_v2)
    shell = Shell(adb, phone.serial)
    first = push(adb, shell, files, FOLDER)
    assert (first.files, first.resumed, first.sent) == (4, 0, 1_070_001)
    assert lying(phone) == {name: path.read_bytes() for name, path in files.items()}
    again = push(adb, shell, files, FOLDER)
    assert (again.files, again.resumed, again.sent) == (4, 4, 0)
    files["file-1.bin"].write_bytes(b"other")
    assert push(adb, shell, files, FOLDER).resumed == 3
    assert lying(phone)["file-1.bin"] == b"other"
    assert phone.unknown == []
    assert phone.sandbox.escapes == []


def sha1sum(process: Process) -> int:
    for name in process.words[1:]:
        real = process.phone.sandbox.real(name)
        if real is not None and real.is_file():
            process.say(f"{hashlib.sha1(real.read_bytes()).hexdigest()}  {name}\n")
    return 0


def test_a_phone_with_sha1_only(
    adb: Adb, phone: ScriptedPhone, shell: Shell, files: dict[str, Path], tmp_path: Path
) -> None:
    assert push(adb, shell, files, FOLDER).checksum == "sha256"
    del phone.tools["sha256sum"]
    phone.tools["sha1sum"] = sha1sum
    done = push(adb, shell, files, FOLDER)
    assert (done.checksum, done.resumed) == ("sha1", 4)
    files["file-1.bin"].write_bytes(b"other")
    phone.faults.corrupt = "file-1*"
    refused(TransferBroken, 75, "file-1.bin arrived", lambda: push(adb, shell, files, FOLDER))
    phone.faults.corrupt = None
    push(adb, shell, files, FOLDER)
    pull(adb, shell, f"{FOLDER}/file-1.bin", tmp_path / "back", most=9)
    assert (tmp_path / "back").read_bytes() == b"other"
    del phone.tools["sha1sum"]
    refused(Unsupported, 78, "no command sha1sum", lambda: push(adb, shell, files, FOLDER))


def test_a_flipped_bit_is_found_on_the_phone(
    adb: Adb, shell: Shell, phone: ScriptedPhone, files: dict[str, Path]
) -> None:
    phone.faults.corrupt = "file-2*"
    error = refused(
        TransferBroken, 75, "file-2.bin arrived", lambda: push(adb, shell, files, FOLDER)
    )
    assert error.details["files"] == ["file-2.bin"]
    assert sorted(lying(phone)) == ["file-0.bin", "file-1.bin", "file-3.bin"]
    phone.faults.corrupt = None
    assert push(adb, shell, files, FOLDER).resumed == 3


def test_the_cable_comes_out_and_the_rest_is_copied_later(
    adb: Adb, adb_server: AdbServer, phone: ScriptedPhone, shell: Shell, tmp_path: Path
) -> None:
    files = {}
    for index in range(4):
        path = tmp_path / str(index)
        path.write_bytes(os.urandom(400_000))
        files[f"part-{index}"] = path
    phone.faults.drop_push_after = 1_000_000
    began = time.monotonic()
    refused(TransferBroken, 75, "broke off", lambda: push(adb, shell, files, FOLDER))
    assert time.monotonic() - began < 5
    assert not any("/.part/" not in name for name in phone.files() if "part-" in name)
    phone.faults.drop_push_after = None
    adb_server.replug(phone)
    done = push(adb, shell, files, FOLDER)
    assert (done.resumed, done.sent) == (2, 800_000)
    assert lying(phone) == {name: path.read_bytes() for name, path in files.items()}


def test_a_full_phone_is_named_before_and_during(
    adb: Adb, shell: Shell, phone: ScriptedPhone, tmp_path: Path
) -> None:
    path = tmp_path / "big"
    path.write_bytes(bytes(3_000_000))
    phone.storage_free = 3_200_000
    error = refused(
        DeviceStorageFull, 74, "need 3.1 MiB", lambda: push(adb, shell, {"big": path}, FOLDER)
    )
    assert error.details["have_bytes"] == pytest.approx(3_200_000, abs=1024)
    assert not any(name.endswith("big") for name in phone.files()), "nothing was tried"
    phone.storage_free = 8 << 30
    phone.faults.storage_full_after = 1_000_000
    refused(DeviceStorageFull, 74, "have", lambda: push(adb, shell, {"big": path}, FOLDER))
    phone.faults.storage_full_after = None
    push(adb, shell, {"big": path}, FOLDER)
    assert list(lying(phone)) == ["big"]


@pytest.mark.parametrize("shell_v2", [True, False])
def test_one_sum_for_several_pushes(
    adb: Adb, make_phone: MakePhone, tmp_path: Path, shell_v2: bool
) -> None:
    """What lies there, also half of it in .part, needs no more room than it has."""
    phone = make_phone(24, shell_v2=shell_v2, terminal=not shell_v2)
    shell = Shell(adb, phone.serial)
    there = phone.root / FOLDER.removeprefix("/data/local/tmp/")
    (there / ".part").mkdir(parents=True)
    (there / "whole").write_bytes(bytes(1_000_000))
    (there / ".part" / "half").write_bytes(bytes(600_000))
    (there / "larger").write_bytes(bytes(900_000))
    sizes = {"whole": 1_000_000, "half": 1_000_000, "larger": 1, "new": 500_000}
    copies = {f"{FOLDER}/{name}": size for name, size in sizes.items()}
    lying = 2_500_000  # df counts these as used
    phone.storage_free = lying + 1_000_000
    require_room_for(shell, copies)
    phone.storage_free = lying + 980_000
    error = refused(DeviceStorageFull, 74, "have 0.9 MiB", lambda: require_room_for(shell, copies))
    assert error.details["need_bytes"] == 990_000
    assert error.details["have_bytes"] == pytest.approx(980_000, abs=1024)
    assert phone.unknown == []


def test_a_refusing_phone(
    adb: Adb, shell: Shell, phone: ScriptedPhone, files: dict[str, Path]
) -> None:
    phone.faults.refused = ("/data/local/tmp/edgekit*",)
    refused(DevicePermission, 77, "refuses", lambda: push(adb, shell, files, FOLDER))


def test_local_faults_come_before_anything_is_sent(
    adb: Adb, shell: Shell, phone: ScriptedPhone, tmp_path: Path
) -> None:
    missing = {"a": tmp_path / "nowhere"}
    refused(InputMissing, 66, "no such file", lambda: push(adb, shell, missing, FOLDER))
    folder = {"a": tmp_path}
    refused(InputMissing, 66, "no such file", lambda: push(adb, shell, folder, FOLDER))
    for name in ("", "..", ".part", "a/b", "a b", "$(x)", "-rf", "a" * 200, "é", "a\n"):
        refused(SpecError, 64, "plain file name", lambda name=name: check_name(name))
        with pytest.raises(SpecError):
            push(adb, shell, {name: tmp_path}, FOLDER)
    assert phone.executed == []


def test_pull_gives_the_same_bytes(
    adb: Adb, shell: Shell, phone: ScriptedPhone, files: dict[str, Path], tmp_path: Path
) -> None:
    push(adb, shell, files, FOLDER)
    for name, path in files.items():
        into = tmp_path / f"back-{name}"
        into.write_bytes(b"old")
        pull(adb, shell, f"{FOLDER}/{name}", into, most=2_000_000)
        assert into.read_bytes() == path.read_bytes()
    assert not list(tmp_path.glob("*.part"))
    into = tmp_path / "none"
    refused(InputMissing, 66, "there is no", lambda: pull(adb, shell, f"{FOLDER}/x", into, most=9))
    big = f"{FOLDER}/file-3.bin"
    refused(
        DeviceReplyRefused, 65, "1000000 bytes", lambda: pull(adb, shell, big, into, most=999_999)
    )
    assert not into.exists()


@pytest.mark.parametrize("said", [b"-1\n", b"1e3\n", "٣\n".encode(), b"", b"1" * 30])
def test_a_size_that_is_none(
    adb: Adb, shell: Shell, phone: ScriptedPhone, tmp_path: Path, said: bytes
) -> None:
    path = f"{FOLDER}/x"
    phone.faults.answers["stat", "-c", "%s", path] = said
    refused(DeviceReplyRefused, 65, "says", lambda: pull(adb, shell, path, tmp_path / "x", most=9))


def test_a_phone_that_sends_more_than_it_said(
    adb: Adb, shell: Shell, phone: ScriptedPhone, tmp_path: Path
) -> None:
    path = tmp_path / "big"
    path.write_bytes(bytes(30_000_000))
    push(adb, shell, {"big": path}, FOLDER)
    phone.faults.answers["stat", "-c", "%s", f"{FOLDER}/big"] = b"1000\n"
    phone.faults.bytes_per_second = 20e6
    into = tmp_path / "x"
    refused(
        DeviceReplyRefused,
        65,
        "more than",
        lambda: pull(adb, shell, f"{FOLDER}/big", into, most=2000),
    )
    assert not list(tmp_path.glob("x*"))


def test_no_room_here(adb: Adb, shell: Shell, phone: ScriptedPhone, tmp_path: Path) -> None:
    path = f"{FOLDER}/x"
    phone.faults.answers["stat", "-c", "%s", path] = b"99999999999999\n"
    into = tmp_path / "x"
    refused(StorageFull, 74, "need", lambda: pull(adb, shell, path, into, most=10**15))


@pytest.mark.parametrize("api", [24, 30, 35])
def test_free_space_of_each_android(adb: Adb, make_phone: MakePhone, api: int) -> None:
    phone = make_phone(api)
    phone.storage_free = 123 << 20
    assert free_bytes(Shell(adb, phone.serial)) == 123 << 20


@pytest.mark.parametrize(
    ("said", "free"),
    [
        (b"Filesystem 1K-blocks Used Available Use% Mounted on\n/dev/x 9 4 5 44% /data\n", 5120),
        (b"Filesystem 1K-blocks Used Avail Use% Mounted on\n/dev/x 9 4 -5 44% /data\n", None),
        (b"Filesystem 1K-blocks Used Available\n/dev/with-a-long-name\n", None),
        (b"Filesystem 1K-blocks Used Available Use% Mounted on\n/long\n 9 4 5 44% /data\n", 5120),
        (b"", None),
        (b"\xff\xfe$(reboot)\n`x`\n", None),
    ],
)
def test_free_space_in_odd_words(
    adb: Adb, shell: Shell, phone: ScriptedPhone, said: bytes, free: int | None
) -> None:
    phone.faults.answers["df", "-k", "/data/local/tmp"] = said
    assert free_bytes(shell) == free

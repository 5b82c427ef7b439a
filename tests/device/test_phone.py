"""What a phone is: three Android versions, and phones that lie."""

from __future__ import annotations

import json

import pytest

from edgekit.device import phone as facts
from edgekit.device.adb import Adb
from edgekit.device.shell import Shell
from tests.support.phone import AdbServer, ScriptedPhone
from tests.support.phone.fixtures import MakePhone


def shell_of(server: AdbServer, phone: ScriptedPhone) -> Shell:
    return Shell(Adb(server.program, server.whole_environment()), phone.serial)


@pytest.mark.parametrize(
    ("api", "more", "model", "cores"),
    [
        (24, {}, "Lark One", (1593600, 2150400)),
        (24, {"shell_v2": False, "terminal": True}, "Lark One", (1593600, 2150400)),
        (30, {}, "Wren 5", (1804800, 2208000)),
        (35, {}, "Finch 8 Pro", (1704000, 2914000)),
    ],
)
def test_three_versions(
    adb_server: AdbServer,
    make_phone: MakePhone,
    api: int,
    more: dict[str, bool],
    model: str,
    cores: tuple[int, int],
) -> None:
    phone = make_phone(api, **more)
    found = facts.about(shell_of(adb_server, phone))
    assert (found.serial, found.sdk, found.model) == (phone.serial, api, model)
    assert found.abis[0] == "arm64-v8a"
    assert (found.cores[0], found.cores[-1]) == cores
    assert {"asimd", "fp"} <= set(found.cpu_features)
    assert found.memory_total is not None
    assert found.memory_free is not None
    assert 2**30 < found.memory_free < found.memory_total
    assert found.storage_free == phone.storage_free
    assert found.soc
    assert found.kernel
    assert found.fingerprint.startswith("example/")
    assert json.loads(json.dumps(found.as_dict()))["model"] == model
    assert phone.unknown == []


EVIL = 'x"; $(reboot) `id`\n\x1b[2J\x1b]0;owned\x07\u202e' + "A" * 1_000_000


def test_hostile_properties(adb_server: AdbServer, phone: ScriptedPhone) -> None:
    for keys in facts.PROPERTIES.values():
        for key in keys:
            phone.faults.properties[key] = EVIL
    found = facts.about(shell_of(adb_server, phone))
    for text in (found.manufacturer, found.model, found.soc, found.android, found.fingerprint):
        assert text.isprintable()
        assert len(text) <= 121
    assert found.sdk is None
    assert {words[0] for words in phone.executed} <= {"getprop", "cat", "uname", "df", "echo"}


def test_a_phone_that_answers_nonsense(adb_server: AdbServer, phone: ScriptedPhone) -> None:
    for words in (facts.MEMINFO, facts.CPUINFO, facts.PRESENT, facts.DF, facts.UNAME):
        phone.faults.answers[words] = b"\xff\xfe\x00 9999999999999999999999-0,,,\n" * 1000
    found = facts.about(shell_of(adb_server, phone))
    assert found.memory_total is None
    assert found.memory_free is None
    assert found.storage_free is None
    assert found.cpu_features == ()
    assert found.cores == ()
    assert found.kernel.isprintable()


def test_a_core_that_is_switched_off(adb_server: AdbServer, phone: ScriptedPhone) -> None:
    """One file of many is missing: the others keep their places."""
    del phone.sandbox.virtual[f"{facts.CPUS}/cpu2/cpufreq/cpuinfo_max_freq"]
    found = facts.about(shell_of(adb_server, phone))
    assert found.cores[2] is None
    assert found.cores[1] == 1704000
    assert found.cores[-1] == 2914000


@pytest.mark.parametrize(
    ("text", "indexes"),
    [
        ("0-3\n", [0, 1, 2, 3]),
        ("0-1,4,6-7", [0, 1, 4, 6, 7]),
        ("0", [0]),
        ("0-9999", list(range(64))),
        ("", []),
        ("0-x", []),
        (None, []),
    ],
)
def test_lists_of_cores(text: str | None, indexes: list[int]) -> None:
    assert facts.core_indexes(text) == indexes


@pytest.mark.parametrize(
    ("df", "count"),
    [
        ("Filesystem 1K-blocks Used Available Use% Mounted on\n/dev/a 10 4 6 40% /data\n", 6144),
        ("Filesystem 1K-blocks Used Available Use% M\n/dev/long/name\n  10 4 6 40% /data\n", 6144),
        ("df: /data: Permission denied\n", None),
        ("", None),
        ("a\nb c d -5 e f", None),
        (None, None),
    ],
)
def test_df(df: str | None, count: int | None) -> None:
    assert facts.storage_bytes(df) == count

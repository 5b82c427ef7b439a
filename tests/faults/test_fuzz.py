"""Thousands of hostile words, names and properties: what reaches the phone is what was meant."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgekit.device import health, inventory, push
from edgekit.device import phone as phones
from edgekit.device.adb import Adb
from edgekit.device.session import ROOT, Session
from edgekit.device.shell import Shell
from edgekit.errors import DeviceReplyRefused, SpecError
from tests.device.hostile_words import hostile_words
from tests.faults.program import Program
from tests.support.phone import AdbServer, ScriptedPhone
from tests.support.phone.fixtures import MakePhone

WORDS = 2000
PROPERTIES = 350
TOOLS = {"getprop", "cat", "uname", "df", "dumpsys", "settings", "echo"}


@pytest.fixture
def shell(adb_server: AdbServer, phone: ScriptedPhone) -> Shell:
    return Shell(Adb(adb_server.program, adb_server.whole_environment()), phone.serial)


def batches(words: list[str], size: int) -> Iterator[list[str]]:
    rest = iter(words)
    while batch := list(itertools.islice(rest, size)):
        yield batch


def only(phone: ScriptedPhone, tools: set[str]) -> None:
    """No command ran but these, none was unknown, and nothing was written outside."""
    assert {words[0] for words in phone.executed} <= tools
    assert phone.unknown == []
    assert phone.sandbox.escapes == []
    assert phone.files() == []


def test_words_arrive_as_they_are(shell: Shell, phone: ScriptedPhone) -> None:
    words = hostile_words(WORDS, seed=11)
    for batch in batches(words, 100):
        reply = shell.run(["printf", "%s\\0", *batch])
        told = reply.stdout.decode("utf-8", "surrogateescape").split("\0")[:-1]
        assert told == batch
        assert phone.executed[-2] == ("printf", "%s\\0", *batch)
    only(phone, {"printf", "echo"})


def test_names_stay_in_their_folder(
    shell: Shell, phone: ScriptedPhone, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Names of files: plain ones are pushed, all others refused here, before adb is started."""
    local = tmp_path_factory.mktemp("local") / "f"
    local.write_bytes(b"x")
    plain = 0
    for word in hostile_words(WORDS, seed=12):
        try:
            push.check_name(word)
        except SpecError:
            continue
        plain += 1
        assert "/" not in word
        assert word not in {"", ".", ".."}
        push.push(shell.adb, shell, {word: local}, f"{ROOT}/fuzz")
        assert (phone.root / "edgekit/fuzz" / word).read_bytes() == b"x"
    assert plain < 20
    shell.run(["rm", "-rf", ROOT])
    assert phone.files() == []


def test_folders_that_a_phone_lists(shell: Shell, phone: ScriptedPhone) -> None:
    """Hostile names beside ours: a session neither reads, runs nor removes any of them."""
    folder = phone.root / "edgekit"
    folder.mkdir()
    names = {word for word in hostile_words(WORDS, seed=13) if "/" not in word and "\0" not in word}
    names -= {"", ".", ".."}
    for name in names:
        os.mkdir(os.fsencode(folder) + b"/" + os.fsencode(name))
    with Session(shell.adb, phone.serial):
        pass
    assert {os.fsdecode(name) for name in os.listdir(os.fsencode(folder))} == names
    flat = {word for words in phone.executed for word in words}
    assert "INJECTED" not in flat
    assert not [line for line in phone.unknown if "touch" in line or "reboot" in line]
    assert phone.sandbox.escapes == []


def test_properties_are_only_text(shell: Shell, phone: ScriptedPhone) -> None:
    """Every property and many answers hostile at once; what comes out is short and printable."""
    keys = [key for keys in phone_properties() for key in keys]
    words = hostile_words(PROPERTIES, seed=14)
    asked = 0
    for batch in batches(words, len(keys)):
        phone.faults.properties = dict(zip(keys, batch, strict=False))
        for key, word in phone.faults.properties.items():
            told = shell.ask(["getprop", key])
            assert told is not None
            assert (
                told.encode()
                == word.encode("utf-8", "surrogateescape").decode("utf-8", "replace").encode()
                + b"\n"
            )
            asked += 1
        if asked % 100 < len(keys):
            about = phone_about(shell)
            assert all(text.isprintable() and len(text) <= 130 for text in about)
    assert asked == PROPERTIES
    only(phone, TOOLS)


def phone_properties() -> list[tuple[str, ...]]:
    return list(phones.PROPERTIES.values())


def phone_about(shell: Shell) -> list[str]:
    return [text for text in phones.about(shell).as_dict().values() if isinstance(text, str)]


@pytest.mark.parametrize("size", [1 << 20, 40 << 20])
def test_an_answer_that_is_far_too_long(shell: Shell, phone: ScriptedPhone, size: int) -> None:
    phone.faults.answers[("getprop", "ro.product.model")] = b"\x1b]0;x\x07" + b"M" * size
    phone.faults.answers[("dumpsys", "battery")] = b"  level: " + b"9" * size
    if size > 16 << 20:
        with pytest.raises(DeviceReplyRefused, match="longer than"):
            phone_about(shell)
        with pytest.raises(DeviceReplyRefused, match="longer than"):
            health.read(shell)
        return
    assert max(map(len, phone_about(shell))) <= 130
    assert health.read(shell).battery_percent is None


def test_models_that_a_phone_announces(
    adb_server: AdbServer, shell: Shell, make_phone: MakePhone
) -> None:
    """The name in adb's own list of phones, at the connection."""
    for word in hostile_words(200, seed=15)[::10]:
        announcing = make_phone(connect=False)
        announcing.faults.properties["ro.product.model"] = word
        announcing.faults.properties["ro.product.device"] = f"x device usb:1 {word}"
        adb_server.connect(announcing)
        rows = {row.serial: row for row in inventory.listed(shell.adb)}
        assert set(rows) == {shell.serial, announcing.serial}
        assert rows[announcing.serial].usable
        assert rows[announcing.serial].model.isprintable()
        adb_server.disconnect(announcing)
        announcing.close()


def test_a_hostile_phone_on_the_screen(tmp_path: Path) -> None:
    """The whole program: its table and its JSON stay whole, and drive no terminal."""
    with AdbServer() as server, ScriptedPhone() as phone:
        server.connect(phone)
        keys = [key for keys in phone_properties() for key in keys]
        phone.faults.properties = dict.fromkeys(
            keys, "\x1b[2J\x1b]0;owned\x07\u202e│\n" + "M" * 999
        )
        phone.faults.properties["ro.product.cpu.abilist"] = "arm64-v8a,\x1b[31m"
        program = Program(server, tmp_path, lambda ended: None)
        table, document = program("devices"), program("devices", "--json")
    assert (table.status, document.status) == (0, 0)
    assert all(line.isprintable() for line in table.out.splitlines())
    assert len(table.out) < 3000
    told = document.document["devices"][0]["phone"]
    assert all(len(value) <= 130 for value in told.values() if isinstance(value, str))

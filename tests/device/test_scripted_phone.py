"""The scripted phone itself: what the real adb program sees of it, and how it fails on purpose."""

from __future__ import annotations

import hashlib
import shlex
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests.device.conftest import required
from tests.device.hostile_words import hostile_words
from tests.support.phone import AdbServer, ScriptedPhone
from tests.support.phone.faults import exactly, long_line, repeated
from tests.support.phone.fixtures import MakePhone, adb_server, make_phone, phone
from tests.support.phone.interpreter import Interpreter, Wires

__all__ = ["adb_server", "make_phone", "phone"]
HOME = "/data/local/tmp"
Completed = subprocess.CompletedProcess[str]


def shell(server: AdbServer, phone: ScriptedPhone, line: str) -> Completed:
    return server.adb("-s", phone.serial, "shell", line)


def push(server: AdbServer, phone: ScriptedPhone, path: Path, name: str) -> Completed:
    return server.adb("-s", phone.serial, "push", str(path), name)


@pytest.fixture
def megabytes(tmp_path: Path) -> Path:
    path = tmp_path / "megabytes"
    path.write_bytes(bytes(range(256)) * 4096 * 8)
    return path


@pytest.fixture
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real arm64 program that prints its arguments, then counts until it is ended."""
    compiler = shutil.which("aarch64-linux-gnu-gcc")
    if compiler is None or shutil.which("qemu-aarch64-static") is None:
        required(
            "no aarch64 compiler or qemu: sudo apt-get install g++-aarch64-linux-gnu qemu-user"
        )
    assert compiler is not None
    folder = tmp_path_factory.mktemp("program")
    (folder / "p.c").write_text(
        "#include <stdio.h>\n#include <unistd.h>\n"
        'int main(int n, char** v) { setbuf(stdout, 0); fprintf(stderr, "err\\n");\n'
        'for (int i = 1; i < n; ++i) printf("[%s]\\n", v[i]);\n'
        "for (int i = 0; n > 1 && v[1][2] == 'j'; ++i) { printf(\"%d\\n\", i); usleep(20000); }\n"
        "return 7; }\n"
    )
    subprocess.run([compiler, "-static", "p.c", "-o", "p"], cwd=folder, check=True, timeout=60)
    return folder / "p"


@pytest.mark.parametrize("api", [24, 30, 35])
def test_adb_sees_a_phone(adb_server: AdbServer, make_phone: MakePhone, api: int) -> None:
    phone = make_phone(api)
    listed = adb_server.adb("devices", "-l").stdout
    assert f"{phone.serial}        device product:" in listed
    told = shell(adb_server, phone, "getprop ro.build.version.sdk; uname -m; id -u")
    assert told.stdout.split() == [str(api), "aarch64", "2000"]
    thermal = shell(adb_server, phone, "dumpsys thermalservice")
    assert ("Thermal Status: 0" in thermal.stdout) == (api >= 30)
    assert phone.unknown == []


def test_exit_status_and_both_outputs(adb_server: AdbServer, phone: ScriptedPhone) -> None:
    done = shell(adb_server, phone, "echo out; ls /data/local/tmp/nope; exit 7")
    assert (done.returncode, done.stdout) == (7, "out\n")
    assert done.stderr == "ls: /data/local/tmp/nope: No such file or directory\n"


def test_without_shell_v2_the_status_is_lost(adb_server: AdbServer, make_phone: MakePhone) -> None:
    old = make_phone(24, shell_v2=False, terminal=True)
    done = adb_server.adb("-s", old.serial, "shell", "echo out; nope; exit 7")
    assert done.returncode == 0
    assert done.stdout.startswith("out\n/system/bin/sh: nope")
    assert "shell_v2" not in adb_server.adb("-s", old.serial, "features").stdout
    assert old.unknown == ["nope"]


def test_a_list_of_words_protects_nothing(adb_server: AdbServer, phone: ScriptedPhone) -> None:
    done = adb_server.adb("-s", phone.serial, "shell", "ls", "x; echo INJECTED; reboot")
    assert done.stdout == "INJECTED\n"
    assert ("reboot",) in phone.executed
    assert phone.unknown == ["reboot"]


def test_substituted_commands_are_seen(adb_server: AdbServer, phone: ScriptedPhone) -> None:
    done = shell(adb_server, phone, "echo \"$(echo in) `echo back` $HOME\" '$(reboot)' $?")
    assert done.stdout == "in back / $(reboot) 0\n"
    assert ("reboot",) not in phone.executed


def test_files_are_real(adb_server: AdbServer, phone: ScriptedPhone) -> None:
    line = (
        f"cd {HOME} && mkdir -p a/b && echo one > a/b/x && echo two >> a/b/x && cp a/b/x y && "
        "mv -f y z && chmod 755 z && stat -c '%s %a' z && cmp z a/b/x && ls -1 && sha256sum z && "
        "cat z | head -n 1; rm -rf a; [ -d a ] || echo gone; (cd / && echo sub); cat < z; ls -1 *"
    )
    done = shell(adb_server, phone, line)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "8 755",
        "a",
        "z",
        hashlib.sha256(b"one\ntwo\n").hexdigest() + "  z",
        "one",
        "gone",
        "sub",
        "one",
        "two",
        "z",
    ]
    assert (phone.root / "z").read_bytes() == b"one\ntwo\n"
    assert phone.files() == ["z"]


def test_nothing_leaves_the_sandbox(
    adb_server: AdbServer, phone: ScriptedPhone, tmp_path: Path
) -> None:
    (tmp_path / "f").write_bytes(b"x")
    for target in (f"{HOME}/../../../../../../{tmp_path}/out", "/sdcard/x", f"{HOME}/a/../../b"):
        assert push(adb_server, phone, tmp_path / "f", target).returncode == 1
    for line in (f"cd {HOME} && echo x > ../out", f"rm -rf {HOME}/.. /sdcard", f"mv {HOME} /b"):
        assert shell(adb_server, phone, line).returncode == 1
    assert len(phone.sandbox.escapes) == 6
    assert [path.name for path in tmp_path.iterdir()] == ["f"]
    assert sorted(path.name for path in phone.root.parent.iterdir()) == ["prefix", "tmp"]


def test_the_toy_shell_reads_lines_as_sh_does(tmp_path: Path) -> None:
    with ScriptedPhone() as phone:
        words = [word for word in hostile_words(600) if "\0" not in word]
        for word in words:
            double = '"' + "".join("\\" + c if c in '"$`\\' else c for c in word) + '"'
            slashed = "".join(f"\\{c}" if c != "\n" else "'\n'" for c in word) or "''"
            for quoted in (shlex.quote(word), double, slashed):
                line = f"printf '<%s>' {quoted} {quoted}a; printf %s $?"
                kept = bytearray()
                Interpreter(phone).run(line, _wires(kept))
                raw = line.encode("utf-8", "surrogateescape")
                real = subprocess.run(["sh", "-c", raw], capture_output=True, cwd=tmp_path)
                assert bytes(kept) == real.stdout, line
        assert {words[0] for words in phone.executed} == {"printf"}
    assert list(tmp_path.iterdir()) == []


def _wires(kept: bytearray) -> Wires:
    return Wires(lambda: b"", kept.extend, kept.extend, threading.Event(), lambda call: None)


def test_a_push_is_as_fast_as_the_wire(
    adb_server: AdbServer, phone: ScriptedPhone, tmp_path: Path
) -> None:
    big = tmp_path / "big"
    big.write_bytes(b"x" * 100_000_000)
    begin = time.monotonic()
    assert push(adb_server, phone, big, f"{HOME}/big").returncode == 0
    seconds = time.monotonic() - begin
    print(f"100 MB in {seconds:.2f} s")
    assert (phone.root / "big").stat().st_size == 100_000_000
    assert seconds < 2.5, "less than 40 MB/s"


def test_storage_full(adb_server: AdbServer, phone: ScriptedPhone, megabytes: Path) -> None:
    phone.storage_free = 100 << 20
    assert push(adb_server, phone, megabytes, f"{HOME}/a").returncode == 0
    free = shell(adb_server, phone, f"df -k {HOME}").stdout.splitlines()[-1].split()[3]
    assert int(free) == 92 << 10
    phone.faults.storage_full_after = 12 << 20
    done = push(adb_server, phone, megabytes, f"{HOME}/b")
    assert done.returncode == 1
    assert "No space left on device" in done.stdout


def test_a_bit_flips_on_the_way(
    adb_server: AdbServer, phone: ScriptedPhone, megabytes: Path
) -> None:
    phone.faults.corrupt = "model*"
    assert push(adb_server, phone, megabytes, f"{HOME}/model.pte").returncode == 0
    assert push(adb_server, phone, megabytes, f"{HOME}/other").returncode == 0
    before, after = megabytes.read_bytes(), (phone.root / "model.pte").read_bytes()
    assert sum(a != b for a, b in zip(before, after, strict=True)) == 1
    assert (phone.root / "other").read_bytes() == before


def test_refused_and_read_only(
    adb_server: AdbServer, phone: ScriptedPhone, megabytes: Path
) -> None:
    phone.faults.refused = (f"{HOME}/no*",)
    assert "Permission denied" in push(adb_server, phone, megabytes, f"{HOME}/nope").stdout
    phone.faults.read_only = (f"{HOME}/*",)
    assert "Read-only file system" in shell(adb_server, phone, f"mkdir {HOME}/x").stderr
    assert phone.files() == []


def test_the_cable_comes_out(adb_server: AdbServer, phone: ScriptedPhone, megabytes: Path) -> None:
    phone.faults.drop_push_after = 3 << 20
    done = push(adb_server, phone, megabytes, f"{HOME}/a")
    assert done.returncode == 1
    assert "couldn't read from device" in done.stdout
    assert 0 < (phone.root / "a").stat().st_size < megabytes.stat().st_size
    assert adb_server.state(phone) == "offline"
    phone.faults.drop_push_after = None
    adb_server.replug(phone)
    assert adb_server.state(phone) == "device"


def test_unauthorized_then_allowed(adb_server: AdbServer, make_phone: MakePhone) -> None:
    phone = make_phone(connect=False)
    phone.faults.unauthorized = True
    said = adb_server.adb("connect", phone.serial)
    assert (said.returncode, "failed to authenticate" in said.stdout) == (0, True)
    assert adb_server.state(phone) == "unauthorized"
    phone.allow()
    adb_server.wait(phone, "device", 3)
    assert shell(adb_server, phone, "echo hi").stdout == "hi\n"


def test_a_silent_phone(adb_server: AdbServer, phone: ScriptedPhone) -> None:
    phone.faults.offline = True
    with pytest.raises(subprocess.TimeoutExpired):
        adb_server.adb("-s", phone.serial, "shell", "echo", timeout=0.5)


def test_several_phones(adb_server: AdbServer, make_phone: MakePhone) -> None:
    phones = [make_phone(api, serial=f"S{api}") for api in (24, 30, 35)]
    assert "more than one device" in adb_server.adb("shell", "echo").stderr
    told = [shell(adb_server, each, "getprop ro.serialno").stdout.strip() for each in phones]
    assert told == ["S24", "S30", "S35"]


def test_what_changes_is_told(adb_server: AdbServer, phone: ScriptedPhone) -> None:
    phone.faults.battery_percent = 9
    phone.faults.thermal = [3, 0]
    phone.faults.locked = True
    phone.faults.properties["ro.product.model"] = "$(reboot)'\"\n\x1b[2J"
    line = "dumpsys battery; dumpsys thermalservice; dumpsys thermalservice; dumpsys window"
    said = shell(adb_server, phone, line).stdout
    assert "\n  level: 9\n" in said
    assert [n for n in said.splitlines() if n.startswith("Thermal S")] == [
        "Thermal Status: 3",
        "Thermal Status: 0",
    ]
    assert "mKeyguardShowing=true" in said
    assert shell(adb_server, phone, "getprop ro.product.model").stdout == "$(reboot)'\"\n\x1b[2J\n"


def test_settings_are_kept(adb_server: AdbServer, phone: ScriptedPhone) -> None:
    key = "global stay_on_while_plugged_in"
    line = f"settings get {key}; settings put {key} 7; settings get {key}; svc power stayon usb"
    said = shell(adb_server, phone, f"{line}; settings get {key}; settings delete {key}")
    assert said.stdout.split()[:3] == ["0", "7", "2"]
    assert phone.settings != phone.settings_at_start


def start(server: AdbServer, phone: ScriptedPhone, program: Path) -> None:
    assert push(server, phone, program, f"{HOME}/p").returncode == 0


@pytest.mark.arm64
def test_an_arm64_program_really_runs(
    adb_server: AdbServer, phone: ScriptedPhone, program: Path
) -> None:
    start(adb_server, phone, program)
    done = shell(adb_server, phone, f"cd {HOME} && taskset f ./p 'a b' '$(x)'")
    assert (done.returncode, done.stdout, done.stderr) == (7, "[a b]\n[$(x)]\n", "err\n")
    shell(adb_server, phone, f"chmod 644 {HOME}/p")
    denied = shell(adb_server, phone, f"{HOME}/p x")
    assert (denied.returncode, "Permission denied" in denied.stderr) == (126, True)


@pytest.mark.arm64
@pytest.mark.parametrize(("number", "status"), [(9, 137), (11, 139), (4, 132)])
def test_an_ended_program(
    adb_server: AdbServer, phone: ScriptedPhone, program: Path, number: int, status: int
) -> None:
    start(adb_server, phone, program)
    phone.faults.kill, phone.faults.kill_after, phone.faults.out_of_memory = number, 4, True
    done = shell(adb_server, phone, f"cd {HOME} && ./p --job x")
    assert done.returncode == status
    assert "lowmemorykiller" in shell(adb_server, phone, "logcat -d").stdout


@pytest.mark.arm64
def test_a_program_ends_with_its_stream(
    adb_server: AdbServer, phone: ScriptedPhone, program: Path
) -> None:
    start(adb_server, phone, program)
    with pytest.raises(subprocess.TimeoutExpired):
        adb_server.adb("-s", phone.serial, "shell", f"cd {HOME} && ./p --job x", timeout=1)
    end = time.monotonic() + 5
    while phone.processes and time.monotonic() < end:
        time.sleep(0.02)
    assert phone.processes == {}
    phone.faults.drop_run_after = 5
    done = shell(adb_server, phone, f"cd {HOME} && ./p --job x")
    assert 5 <= done.stdout.count("\n") < 200


@pytest.mark.arm64
def test_hostile_lines(adb_server: AdbServer, phone: ScriptedPhone, program: Path) -> None:
    start(adb_server, phone, program)
    line = f"cd {HOME} && ./p --job x"
    phone.faults.lines = long_line(20_000_000)
    assert len(shell(adb_server, phone, line).stdout) > 19_900_000
    phone.faults.lines = repeated(b"{}\n", 100_003)
    assert shell(adb_server, phone, line).stdout.count("\n") == 100_003
    phone.faults.lines, phone.faults.status = exactly(b"a\n", b"b"), 3
    done = shell(adb_server, phone, line)
    assert (done.stdout, done.returncode) == ("a\nb", 3)


def test_a_recorded_transcript_is_replayed(
    adb_server: AdbServer, make_phone: MakePhone, tmp_path: Path
) -> None:
    path = tmp_path / "phone.json"
    path.write_text(
        '{"schema":1,"api":31,"answers":[{"words":["getprop","ro.product.model"],"status":0,'
        '"stdout":"Robin\\n","stderr":""},{"words":["cat","/proc/meminfo"],"status":1,'
        '"stdout":"","stderr":"cat: /proc/meminfo: Permission denied\\n"}]}'
    )
    phone = make_phone(transcript=path)
    done = shell(adb_server, phone, "getprop ro.product.model; cat /proc/meminfo")
    assert (done.stdout, done.returncode) == ("Robin\n", 1)
    assert done.stderr == "cat: /proc/meminfo: Permission denied\n"

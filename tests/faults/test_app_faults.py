"""``edgekit test --app`` and ``edgekit bench --app`` as a user types them, and how they fail."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.device.conftest import arm64_onnx_runner as arm64_onnx_runner
from tests.faults.conftest import assert_clean
from tests.faults.program import PROMISE, Program, until
from tests.support.phone import ScriptedPhone, apps

pytestmark = pytest.mark.arm64
APP = ("--app", "edgekit.demo")


@pytest.fixture
def app(phone: ScriptedPhone, arm64_onnx_runner: Path) -> apps.App:
    return apps.install(phone)


def assert_as_it_was(phone: ScriptedPhone, app: apps.App) -> None:
    assert_clean(phone)
    assert list((app.root / "files").iterdir()) == []


def test_a_bundle_inside_an_app(
    program: Program, phone: ScriptedPhone, app: apps.App, tiny_bundle: Path
) -> None:
    ended = program("test", tiny_bundle, *APP, "--json")
    assert ended.status == 0, ended.err
    (place,) = ended.document["places"]
    assert place["place"].endswith(", in edgekit.demo")
    assert place["environment"]["app"] == "edgekit.demo"
    status = {check["artifact"]: check["status"] for check in place["checks"]}
    assert status == {"model.onnx": "passed", "model.pte": "skipped"}
    assert_as_it_was(phone, app)


@pytest.mark.slow
def test_a_bench_inside_an_app(
    program: Program, phone: ScriptedPhone, app: apps.App, tiny_bundle: Path
) -> None:
    words = ("--quick", "--lengths", "8", "--threads", "1", "--cooldown", "0", "-o", "app.json")
    ended = program("bench", tiny_bundle, *APP, *words)
    assert ended.status == 0, ended.err
    assert "CONDITIONS: inside an app" in ended.out
    record = json.loads((program.folder / "app.json").read_bytes())
    assert (record["complete"], record["environment"]["app"]) == (True, "edgekit.demo")
    assert [candidate["runtime"] for candidate in record["candidates"]] == ["onnx"]
    assert_as_it_was(phone, app)
    # A program of its own is another experiment.
    del record["environment"]["app"]
    (program.folder / "shell.json").write_text(json.dumps(record))
    other = program("compare", "shell.json", "app.json", "--json")
    other.failed("spec", 64, "app is none and edgekit.demo")


def test_there_is_no_such_app(
    program: Program, phone: ScriptedPhone, arm64_onnx_runner: Path, tiny_bundle: Path
) -> None:
    ended = program("test", tiny_bundle, *APP, "--json")
    ended.failed("unavailable", 69, "edgekit.demo is not installed", "edgekit android build")
    assert_clean(phone)


def test_no_debug_build(
    program: Program, phone: ScriptedPhone, app: apps.App, tiny_bundle: Path
) -> None:
    app.debuggable = False
    ended = program("test", tiny_bundle, *APP, "--json")
    ended.failed("device-permission", 77, "not debuggable", "debug build")
    assert_as_it_was(phone, app)


def test_the_app_is_killed(
    program: Program, phone: ScriptedPhone, app: apps.App, tiny_bundle: Path
) -> None:
    phone.faults.kill, phone.faults.kill_after = signal.SIGKILL, 2
    phone.faults.out_of_memory = True
    ended = program("test", tiny_bundle, *APP, "--json")
    ended.failed("runner-killed", 70, "the phone killed it for low memory")
    assert_as_it_was(phone, app)


def test_stopped_while_the_app_works(
    program: Program, phone: ScriptedPhone, app: apps.App, tiny_bundle: Path
) -> None:
    phone.faults.hang = True
    running = program.start("test", tiny_bundle, *APP)
    until(lambda: any(words[:2] == ("am", "instrument") for words in phone.executed))
    running.send(signal.SIGINT)
    ended = running.end()
    assert ended.status == 130, ended.err
    assert ended.seconds < PROMISE
    assert app.stopped.is_set()
    assert_as_it_was(phone, app)


@pytest.mark.parametrize("verb", ["test", "bench"])
@pytest.mark.parametrize(
    ("words", "code", "status", "says"),
    [
        ((*APP, "--place", "host"), "spec", 64, "--app"),
        (("--app", "a.$(reboot)"), "spec", 64, "not the name of an Android package"),
        ((*APP, "--runtime", "executorch"), "unavailable", 69, "no executorch"),
    ],
)
def test_words_that_do_not_fit(
    program: Program,
    phone: ScriptedPhone,
    tiny_bundle: Path,
    verb: str,
    words: tuple[str, ...],
    code: str,
    status: int,
    says: str,
) -> None:
    program(verb, tiny_bundle, *words, "--json").failed(code, status, says)
    assert phone.executed == []

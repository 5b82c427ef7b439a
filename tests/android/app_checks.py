"""The library, the app and its APK: Maven's one run, and what ``edgekit android`` makes of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgekit.android import checks, maven, project, signing, template
from edgekit.android.apk import Apk
from edgekit.device import stream
from edgekit.errors import CheckFailed, InputRefused
from tests.android import jobs
from tests.android.conftest import DEMO, ROOT, Outcome

pytestmark = pytest.mark.timeout(2_400)
MOST_CODE = 1_000_000


@pytest.mark.slow
def test_the_apk_holds_what_it_must(apk: Path) -> None:
    found = {(one.name, one.state): one.said for one in checks.check(apk)}
    assert [key for key in found if key[1] == "failed"] == []
    assert found["signature", "ok"] == "v2"
    assert found["permissions", "ok"] == "none"
    assert found["manifest", "ok"] == "edgekit.demo, API 26 to 36"
    # The desktop's natives are no use on a phone: none are packed, and that is said.
    assert "cannot answer" in found["libraries", "note"]


@pytest.mark.slow
def test_the_code_is_small_and_the_names_of_jni_survive(apk: Path) -> None:
    opened = Apk(apk)
    try:
        code = opened.read("classes.dex")
        assert opened.entries["classes.dex"].bytes <= MOST_CODE
        for name in ("ai/onnxruntime/OrtSession", "edgekit/demo/RunnerInstrumentation"):
            assert f"L{name};".encode() in code, name
        # What nobody finds by name was renamed: the shrinker ran.
        assert b"Ledgekit/core/regex/PatternParser;" not in code
        assert "edgekit/core/unicode.bin" in opened.entries
    finally:
        opened.close()


@pytest.mark.slow
def test_every_changed_byte_is_found(apk: Path, tmp_path: Path) -> None:
    data = bytearray(apk.read_bytes())
    changed = tmp_path / "changed.apk"
    for place in (200, len(data) // 2, len(data) // 3):
        before, data[place] = data[place], data[place] ^ 1
        changed.write_bytes(data)
        try:
            opened = Apk(changed)
        except InputRefused:
            pass
        else:
            assert signing.problem(opened), place
            opened.close()
        data[place] = before


@pytest.mark.slow
@pytest.mark.parametrize("mode", jobs.MODES)
def test_the_runner_speaks_the_protocol_of_phones(
    outcomes: dict[str, Outcome], expectations: Path, tiny_bundle: Path, mode: str
) -> None:
    assert not outcomes["RunnerTest.everyModeRunsToItsEnd"].problem
    said = jobs.events(expectations / "jobs", mode)
    kinds = [event["event"] for event in said]
    assert kinds[0] == "hello"
    assert kinds[-1] == "done"
    assert said[0]["protocol"] == 3
    assert {"environment", "loaded", "memory"} <= set(kinds)
    if mode == "load":
        assert [event["cold"] for event in said if event["event"] == "loaded"] == [True, False] * 3
    else:
        rounds = 1 if mode == "goldens" else 3
        assert said[-1]["samples"] == kinds.count("sample") == 8 * rounds
        placed = [event for event in said if event["event"] == "placement"]
        assert len(placed) == (mode == "goldens")
        for event in placed:
            assert event["delegate"] == "cpu"
            assert event["nodes"]["CPUExecutionProvider"] > 10
        assert jobs.worst_difference(expectations / "jobs", mode, tiny_bundle) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("mode", jobs.DECODER_MODES)
def test_the_runner_reads_decoders(
    outcomes: dict[str, Outcome], expectations: Path, mode: str
) -> None:
    assert not outcomes["RunnerTest.everyModeOfADecoderRunsToItsEnd"].problem
    folder, bundle = expectations / "jobs", expectations / "decoder/bundle"
    said = jobs.events(folder, f"decoder-{mode}")
    kinds = [event["event"] for event in said]
    assert (kinds[0], kinds[-1]) == ("hello", "done")
    assert {"environment", "loaded", "memory"} <= set(kinds)
    if mode == "goldens":
        assert jobs.decoder_difference(folder, bundle) < 1e-4
        assert kinds.count("sample") == len(jobs.PASSAGES)
    elif mode == "load":
        loads = [event for event in said if event["event"] == "loaded"]
        assert [event["cold"] for event in loads] == [True, False] * 2
        assert all(event["first_ms"] > 0 for event in loads)
    else:
        wanted = jobs.greedy_answers(bundle)
        assert [ids.tolist()[0] for [ids] in stream.read(folder / "decoder-generate/outputs")] == (
            wanted
        )
        told = [event for event in said if event["event"] == "answer"]
        assert [(one["round"], one["index"]) for one in told] == [
            (r, i) for r in (0, 1) for i in range(3)
        ]
        for one in told:
            assert one["ids"] == wanted[one["index"]]
            assert one["ended_by"] == "length"
            assert 0 < one["prefill_ms"] <= one["first_ms"]
            assert len(one["step_ms"]) == jobs.TOKENS - 1
            assert min(one["step_ms"]) <= one["step_p50_ms"] <= one["step_p95_ms"]


@pytest.mark.slow
@pytest.mark.long
def test_a_project_is_made_and_built(
    outcomes: dict[str, Outcome], tiny_bundle: Path, tmp_path: Path
) -> None:
    assert outcomes  # Maven has what it needs
    made = project.new(tmp_path / "app", tiny_bundle, package="com.example.notes")
    built = maven.build(made, offline=True)
    found = {one.name: one for one in checks.check(built.apk)}
    assert found["manifest"].said.startswith("com.example.notes,")
    assert found["bundle"].state == "ok"
    assert [one for one in found.values() if one.state == "failed"] == []
    source = made / "app/src/main/kotlin/com/example/notes/DemoApp.kt"
    source.write_text(source.read_text(encoding="utf-8") + "\nfun broken( {\n", encoding="utf-8")
    with pytest.raises(CheckFailed, match=r"DemoApp\.kt"):
        maven.build(made, offline=True)


def test_a_project_brings_no_tests_outputs_or_keys() -> None:
    names = template.files(("core", "sdk", "packer", "app"))
    assert "app/build.gradle.kts" in names
    assert "core/src/main/resources/edgekit/core/unicode.bin" in names
    wrong = [name for name in names if re.search(r"src/test|target/|\.keystore|executorch/", name)]
    assert wrong == []


def test_the_app_asks_for_nothing() -> None:
    manifest = (DEMO / "app/src/main/AndroidManifest.xml").read_text(encoding="utf-8")
    assert "uses-permission" not in manifest


def test_the_library_names_no_class_by_reflection() -> None:
    for module in ("sdk", "app", "executorch"):
        for path in (DEMO / module / "src/main").rglob("*.kt"):
            assert "forName" not in path.read_text(encoding="utf-8"), path


def test_the_example_of_the_page_is_the_one_that_compiles() -> None:
    page = (ROOT / "docs/android.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```kotlin\n(.*?)```", page, re.DOTALL)
    test = (DEMO / "sdk/src/test/kotlin/edgekit/sdk/UsageTest.kt").read_text(encoding="utf-8")
    lines = [line.strip() for line in example.splitlines() if line.strip()]
    assert 10 <= len(lines) <= 20
    assert [line for line in lines if line not in test] == []

"""The Kotlin core against Python: the same tokens, answers and refusals. Maven runs once."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

import pytest

from edgekit.bundle.canonical import dump_bytes
from edgekit.bundle.schema import json_schema
from tests.android import unicode_tables

# One file for a worker: Maven builds once, and nobody else clears its folder meanwhile.
from tests.android.app_checks import (  # noqa: F401
    test_a_project_brings_no_tests_outputs_or_keys,
    test_a_project_is_made_and_built,
    test_every_changed_byte_is_found,
    test_the_apk_holds_what_it_must,
    test_the_app_asks_for_nothing,
    test_the_code_is_small_and_the_names_of_jni_survive,
    test_the_example_of_the_page_is_the_one_that_compiles,
    test_the_library_names_no_class_by_reflection,
    test_the_runner_reads_decoders,
    test_the_runner_speaks_the_protocol_of_phones,
)
from tests.android.conftest import DEMO, Outcome, lacking

# The first test waits for bundles, expectations and Maven.
pytestmark = pytest.mark.timeout(1_800)
SOURCES = DEMO / "core/src/test/kotlin"
RESOURCES = DEMO / "core/src/main/resources/edgekit/core"


def kotlin_tests() -> list[str]:
    """``Class.name`` of every test in the sources: none may be missing from the reports."""
    found = []
    for path in sorted(DEMO.glob("*/src/test/**/*Test.kt")):
        names = re.findall(
            r"@Test[^\n]*\n(?:\s+@[^\n]*\n)*\s+fun (\w+)", path.read_text(encoding="utf-8")
        )
        found += [f"{path.stem}.{name}" for name in names]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", kotlin_tests())
def test_kotlin(name: str, outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes[name]
    assert not outcome.problem, outcome.problem
    assert not outcome.skipped, "it was skipped"


def test_the_core_brings_the_published_schema() -> None:
    assert (RESOURCES / "bundle-schema.json").read_bytes() == dump_bytes(json_schema()), (
        "copy docs/bundle-schema.json"
    )


@pytest.mark.slow
def test_the_tables_are_what_the_library_says() -> None:
    assert unicode_tables.TABLES.read_bytes() == unicode_tables.tables(), (
        "python -m tests.android.unicode_tables"
    )


def test_both_builds_name_the_same_versions() -> None:
    pom = (DEMO / "pom.xml").read_text(encoding="utf-8")
    catalogue = (DEMO / "gradle/libs.versions.toml").read_text(encoding="utf-8")
    for name in ("kotlin", "onnxruntime", "junit", "robolectric"):
        (maven,) = re.findall(rf"<{name}\.version>(.*?)</", pom)
        (gradle,) = re.findall(rf'^{name} = "(.*?)"$', catalogue, re.MULTILINE)
        assert maven == gradle, name


def test_the_app_brings_the_exporter_s_executorch() -> None:
    # A runtime promises to read files of its own version and of older ones, not of newer ones.
    catalogue = (DEMO / "gradle/libs.versions.toml").read_text(encoding="utf-8")
    (found,) = re.findall(r'^executorch = "(.*?)"$', catalogue, re.MULTILINE)
    assert found == importlib.metadata.version("executorch").partition("+")[0]


def undocumented(text: str) -> list[str]:
    """The public declarations of a Kotlin source without a comment of their own.

    What a constructor takes may stand in its class's comment, as ``@property`` or by its name.
    """
    found, comment, lines = [], "", text.splitlines()
    for index, line in enumerate(lines):
        declared = re.match(
            r"\s*public ((?:[a-z]+ )*?)(class|interface|object|fun|val|var)\b(.*)", line
        )
        if declared is None or "override" in declared[1] or declared[1] == "companion ":
            continue
        above = index - 1
        while above >= 0 and re.match(r"\s*@\w", lines[above]):
            above -= 1
        last = lines[above].strip() if above >= 0 else ""
        if last.endswith("*/"):
            if declared[2] in ("class", "interface", "object"):
                begin = max(i for i in range(above + 1) if lines[i].strip().startswith("/**"))
                comment = "\n".join(lines[begin : above + 1])
            continue
        name = re.match(r"\s*(?:<.*?>\s*)?(\w+)", declared[3])
        if name is None or not re.search(rf"@property {name[1]}\b|\[{name[1]}\]", comment):
            found.append(f"{index + 1}: {line.strip()}")
    return found


def test_the_public_parts_are_documented() -> None:
    for module in ("core", "sdk", "executorch"):
        for path in sorted((DEMO / module / "src/main/kotlin").rglob("*.kt")):
            assert undocumented(path.read_text(encoding="utf-8")) == [], path
    bare = "/** A thing. @property a its size */\npublic class Thing(\n    public val a: Int,\n"
    assert undocumented(bare + "    public val b: Int,\n)") == ["4: public val b: Int,"]


def test_the_core_is_free_of_android_and_reflection() -> None:
    for path in (DEMO / "core/src/main/kotlin").rglob("*.kt"):
        imports = re.findall(r"^import (\S+)", path.read_text(encoding="utf-8"), re.MULTILINE)
        outside = [
            name for name in imports if not name.startswith(("java.", "kotlin.", "edgekit."))
        ]
        engine = path.name.startswith("Onnx")
        assert all(engine and name.startswith("ai.onnxruntime.") for name in outside), path
        assert not any("reflect" in name for name in imports), path


def test_the_example_of_the_readme_is_one_that_runs() -> None:
    readme = (DEMO / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```kotlin\n(.*?)```", readme, re.DOTALL)
    test = (SOURCES / "edgekit/core/UsageTest.kt").read_text(encoding="utf-8")
    lines = [line.strip() for line in example.splitlines() if line.strip()]
    assert len(lines) >= 5
    assert [line for line in lines if line not in test] == []


def test_sources_are_short() -> None:
    sources = [path for path in DEMO.glob("*/src/**/*.kt")]
    assert len(sources) > 80
    for path in sources:
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 300, path


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert lacking() == "mvn is not installed"
    tools = {"mvn": "", "javac": "echo javac 11.0.2"}
    for name, says in tools.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{says}\n")
        (tmp_path / name).chmod(0o755)
    assert lacking() == "the JDK is older than 17"
    (tmp_path / "javac").write_text("#!/bin/sh\necho javac 21\n")
    assert lacking() == ""
    (tmp_path / "javac").unlink()
    assert lacking() == "no JDK is installed"

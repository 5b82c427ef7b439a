"""One run of Maven for all tests of the Android side: Python writes, Kotlin compares."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

import pytest

import edgekit
from tests.android import (
    bundle_expectations,
    corruptions,
    decoder_expectations,
    jobs,
    text_expectations,
    tokenizer_expectations,
    tunings,
)

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "android-demo"
MODULES = ("core", "sdk", "packer", "app")
APK = DEMO / "app/target/app-debug.apk"
REQUIRED = "EDGEKIT_REQUIRE_ANDROID"


@dataclass(frozen=True)
class Outcome:
    """What one Kotlin test did; ``problem`` is empty where it passed."""

    problem: str
    skipped: bool


def lacking() -> str:
    """What is not here of what the build needs."""
    if shutil.which("mvn") is None:
        return "mvn is not installed"
    java = shutil.which("javac")
    if java is None:
        return "no JDK is installed"
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    found = re.search(r"javac (\d+)", said.stdout + said.stderr)
    return "" if found and int(found[1]) >= 17 else "the JDK is older than 17"


@pytest.fixture(scope="session")
def expectations(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_bundles: dict[str, Path],
) -> Path:
    """A folder with all that the Kotlin tests read."""
    home = tmp_path_factory.mktemp("android")
    bundles = dict(tiny_bundles) | bundle_expectations.more_bundles(home / "more")
    with edgekit.export("minilm", out=home / "minilm", runtimes=["onnx"]) as bundle:
        bundles["minilm"] = bundle.path
    made = home / "expectations"
    tokenizer_expectations.write(made / "tokenizers")
    bundle_expectations.write(made / "bundles", bundles)
    corruptions.write(made / "corrupt", tiny_bundles["fill-mask"])
    jobs.write(made / "jobs", tiny_bundles["sentence-similarity"])
    decoder_expectations.write(made / "decoder", decoder_expectations.bundle(home / "decoder"))
    bundles["text-generation"] = made / "decoder/bundle"
    jobs.write_decoder(made / "jobs", made / "decoder/bundle")
    text_expectations.write(made / "text", text_expectations.bundle(home / "text"))
    bundles["summarization"] = made / "text/bundle"
    for task, path in bundles.items():
        shutil.copytree(path, made / "assets/edgekit" / task)
    tuning = tunings.write(made / "tuning", tiny_bundles["sentence-similarity"])
    shutil.copyfile(tuning, made / "assets/edgekit/tuning.json")
    (made / "assets/broken").mkdir()
    (made / "assets/broken/tuning.json").write_text('{"kind": "edgekit-tuning"')
    return made


@pytest.fixture(scope="session")
def outcomes(request: pytest.FixtureRequest) -> dict[str, Outcome]:
    """Every Kotlin test by ``Class.name``, from one run of Maven."""
    reason = lacking()
    if reason and os.environ.get(REQUIRED) != "1":
        pytest.skip(f"{reason}; {REQUIRED}=1 makes this a failure")
    assert not reason, reason
    expectations: Path = request.getfixturevalue("expectations")
    # Kotlin's plugin leaves classes of removed sources behind.
    for module in MODULES:
        shutil.rmtree(DEMO / module / "target", ignore_errors=True)
    words = ["mvn", "-B", "-q", "-f", str(DEMO / "pom.xml"), "package"]
    words += ["-Dmaven.test.failure.ignore=true", f"-Dedgekit.expectations={expectations}"]
    words += [f"-Dedgekit.assets={expectations / 'assets'}", "-Dedgekit.witness"]
    words += [f"-Dedgekit.pictures={DEMO / 'app/target/pictures'}"]
    # Maven is gone before a better compiler of its own code would have paid for itself.
    environment = {"MAVEN_OPTS": "-Xmx1g -XX:TieredStopAtLevel=1 -XX:+UseSerialGC", **os.environ}
    done = subprocess.run(
        words, capture_output=True, text=True, env=environment, timeout=1_800, check=False
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    found = {}
    for report in DEMO.glob("*/target/surefire-reports/*.xml"):
        for case in ElementTree.parse(report).getroot().iter("testcase"):
            name = f"{case.attrib['classname'].rpartition('.')[2]}.{case.attrib['name']}"
            wrong = [*case.iter("failure"), *case.iter("error")]
            problem = "\n".join(str(each.text) for each in wrong)[:6000]
            found[name] = Outcome(problem, case.find("skipped") is not None)
    return found


@pytest.fixture(scope="session")
def apk(outcomes: dict[str, Outcome]) -> Path:
    """The signed demo with every tiny bundle among its assets."""
    assert outcomes
    return APK

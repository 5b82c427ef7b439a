"""The pages are executable: every command and every Python block of README and guides is run.

Commands run as a reader types them, through the shell, in a folder that holds a model called
``my-model``, its bundle and a file of texts. Links between pages must lead somewhere.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edgekit.device import runner
from edgekit.device.job import RUNTIMES
from edgekit.errors import EdgekitError
from edgekit.runtime.arm64 import ensure_available
from tests.conftest import clean_environment
from tests.support.models import tiny_sentence_bert
from tests.support.vocabulary import SENTENCES
from tests.test_house import ROOT, files_of

Completed = subprocess.CompletedProcess[str]

PAGES = [name for name in sorted(files_of(ROOT)) if name.endswith(".md") and "/adr/" not in name]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]+)(#[\w-]+)?\)")
SHELL = {"sh", "console", "bash"}
ACTIVATE = ". .venv/bin/activate"


def blocks(page: str, languages: set[str]) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return [body for language, body in FENCE.findall(text) if language in languages]


def commands(*pages: str) -> list[str]:
    """Every line of the shell blocks, once each, in order."""
    lines = (line for page in pages for body in blocks(page, SHELL) for line in body.splitlines())
    return list(dict.fromkeys(line for line in lines if line and not line.startswith("#")))


ALL = commands(*PAGES)
EXPORTS = [line for line in ALL if line.startswith("edgekit export ")]
ARM64 = [line for line in ALL if re.search(r"--arm64|--isa|runner build", line)]
MAKES = [line for line in ALL if line.startswith("make ")]
CHEAP = [
    line
    for line in ALL
    if line.startswith("edgekit ") and line not in EXPORTS and line not in ARM64
]


def typed(line: str, folder: Path, **environment: str) -> Completed:
    """Run a line in the shell, with this environment's programs first in the path."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env=clean_environment(PATH=path, **environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


@pytest.fixture(scope="module")
def desk(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a reader who has exported ``my-model``."""
    folder = tmp_path_factory.mktemp("desk")
    shutil.copytree(tiny_bundle, folder / "my-model-android-arm64")
    tiny_sentence_bert(folder / "my-model")
    (folder / "my-texts.txt").write_text("\n".join(SENTENCES), encoding="utf-8")
    return folder


def test_no_command_is_left_out() -> None:
    assert set(ALL) == {*EXPORTS, *ARM64, *MAKES, *CHEAP, ACTIVATE}
    assert {"make demo", "make test"} <= set(MAKES)
    assert "edgekit export ./my-model --target android-arm64" in EXPORTS
    assert CHEAP
    assert ARM64


def test_the_two_commands_stand_alone_in_the_readme() -> None:
    assert blocks("README.md", SHELL)[:2] == ["make demo\n", "make test\n"]


@pytest.mark.parametrize("line", MAKES)
def test_make_knows_the_target(line: str) -> None:
    assert typed(f"{line} --dry-run", ROOT).returncode == 0


def test_the_environment_is_where_the_pages_say() -> None:
    plan = typed("make --dry-run --always-make demo", ROOT).stdout
    assert "-m venv --clear .venv" in plan


def wanted(line: str) -> list[str]:
    """The exports above a line whose bundles it names."""
    outs = {line.split(" -o ")[1].split()[0]: line for line in EXPORTS if " -o " in line}
    return [export for out, export in outs.items() if out in line.split()]


def or_slow(line: str) -> Any:
    """A limit on time measures kinds of layers, and every pick; some need another export first."""
    dear = "--max-latency" in line or wanted(line)
    return pytest.param(line, marks=pytest.mark.slow) if dear else line


@pytest.mark.parametrize("line", [or_slow(line) for line in CHEAP])
def test_command(line: str, desk: Path) -> None:
    for export in wanted(line):
        assert typed(export, desk).returncode == 0
    done = typed(line, desk)
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.arm64
@pytest.mark.parametrize("line", ARM64)
def test_arm64_command(line: str, desk: Path) -> None:
    try:
        for runtime in RUNTIMES:
            runner.build(runtime=runtime)
            ensure_available(runtime=runtime)
    except EdgekitError as lack:
        if os.environ.get("EDGEKIT_REQUIRE_ARM64") == "1":
            raise
        pytest.skip(f"{lack} {lack.hint}")
    done = typed(line, desk)
    assert done.returncode == 0, done.stderr
    assert "runner" in line or "arm64" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("line", EXPORTS)
def test_export_command(line: str, desk: Path, tmp_path: Path) -> None:
    tiny_sentence_bert(tmp_path / "my-model")
    shutil.copy(desk / "my-texts.txt", tmp_path)
    before = set(os.listdir(tmp_path))
    done = typed(line, tmp_path)
    assert done.returncode == 0, done.stderr
    (made,) = set(os.listdir(tmp_path)) - before
    assert (tmp_path / made / "edgekit.json").is_file()
    if " -o " not in line:
        assert made == "my-model-android-arm64"


@pytest.mark.parametrize(
    ("page", "number"),
    [(page, i) for page in PAGES for i, _ in enumerate(blocks(page, {"python"}))],
)
def test_python_block(page: str, number: int, desk: Path) -> None:
    code = blocks(page, {"python"})[number]
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=desk,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_tree_in_the_readme_is_a_bundle(desk: Path) -> None:
    (tree,) = (body for body in blocks("README.md", {"text"}) if "edgekit.json" in body)
    shown = {line.split()[0] for line in tree.splitlines()[1:]}
    real = set(os.listdir(desk / "my-model-android-arm64"))
    assert shown <= real
    assert all(name.startswith(("tokenizer", "special_tokens")) for name in real - shown)


@pytest.mark.parametrize("page", [name for name in sorted(files_of(ROOT)) if name.endswith(".md")])
def test_links_lead_somewhere(page: str) -> None:
    text = FENCE.sub("", (ROOT / page).read_text(encoding="utf-8"))
    targets = [target for target, _ in LINK.findall(text) if "://" not in target]
    missing = [target for target in targets if not ((ROOT / page).parent / target).exists()]
    assert missing == []


def test_every_decision_is_listed() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = sorted(path.name for path in (ROOT / "docs" / "adr").glob("*.md"))
    assert pages
    assert re.findall(r"\(adr/([^)]+)\)", index) == pages

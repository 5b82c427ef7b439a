"""The group: quick, light, and its verbs are exactly the files."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

import edgekit.cli.verbs
from edgekit.cli.group import root, verb_help, verb_names
from tests.conftest import Program, clean_environment

HEAVY = {
    "torch",
    "transformers",
    "onnx",
    "onnxruntime",
    "executorch",
    "numpy",
    "rich",
    "pydantic",
    "tokenizers",
    "safetensors",
}
LOADED = """
import json, sys
{code}
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def modules_after(code: str, **env: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", LOADED.format(code=code)],
        capture_output=True,
        text=True,
        env=clean_environment(**env),
        check=True,
    )
    return set(json.loads(done.stderr.splitlines()[-1]))


def test_importing_edgekit_imports_nothing_heavy() -> None:
    loaded = modules_after("import edgekit")
    assert not loaded & (HEAVY | {"click"})
    assert not {name for name in loaded if name.startswith("edgekit.")}


@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], *([v, "--help"] for v in verb_names())]
)
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    loaded = modules_after(f"from edgekit.cli import main; assert main({words!r}) == 0")
    assert "edgekit.cli.group" in loaded
    assert not loaded & HEAVY


def test_group_help_imports_no_verb() -> None:
    loaded = modules_after("from edgekit.cli import main; main(['--help'])")
    assert not {name for name in loaded if name.startswith("edgekit.cli.verbs")}


def test_verbs_are_the_files() -> None:
    folder = Path(edgekit.cli.verbs.__file__).parent
    files = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert set(verb_names()) == files
    assert {"export", "verify", "run", "inspect", "doctor", "runner", "completion"} <= files


@pytest.mark.parametrize("name", verb_names())
def test_verb_is_a_command_whose_help_begins_like_its_file(name: str) -> None:
    command = importlib.import_module(f"edgekit.cli.verbs.{name}").command
    assert isinstance(command, click.Command)
    assert verb_help(name).endswith(".")
    assert (command.help or "").partition("\n")[0] == verb_help(name)


def test_help_lists_every_verb(edgekit: Program) -> None:
    done = edgekit("--help")
    listed = {line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")}
    assert set(verb_names()) <= listed
    assert (done.returncode, done.stderr) == (0, "")


def test_a_name_of_no_verb_file_is_never_imported() -> None:
    context = click.Context(root)
    for name in ("__init__", "../output", "os", "edgekit.errors"):
        assert root.get_command(context, name) is None


def test_misspelt_verb_gets_the_nearest(edgekit: Program) -> None:
    done = edgekit("exprot", "x")
    assert done.returncode == 2
    assert "Did you mean 'export'?" in done.stderr
    assert done.stdout == ""


def test_version_is_the_installed_one(edgekit: Program) -> None:
    from importlib.metadata import version

    assert edgekit("--version").stdout.split()[-1] == version("edgekit")


def test_completion_of_names_needs_no_torch(edgekit: Program) -> None:
    for words, expected in {
        "edgekit ex": "export",
        "edgekit export --task fill": "fill-mask",
        "edgekit export --target and": "android-arm64",
        "edgekit export --runtime executorch,o": "executorch,onnx",
        "edgekit export --delegate nn": "nnapi",
        "edgekit export --quantize int8-i": "int8-int4",
        "edgekit verify --isa a53,a7": "a53,a76",
    }.items():
        asked = {
            "_EDGEKIT_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split()) - 1),
        }
        assert edgekit(env=asked).stdout.split(",", 1)[1].split() == [expected], words
        code = "from edgekit.cli import main; main([])"
        assert not modules_after(code, **asked) & {"torch", "transformers", "onnx", "onnxruntime"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_names_the_program(edgekit: Program, shell: str) -> None:
    done = edgekit("completion", shell)
    assert done.returncode == 0
    assert f"_EDGEKIT_COMPLETE={shell}_complete" in done.stdout
    assert shell in edgekit("completion", "--help").stdout


def test_completion_script_is_valid_bash(edgekit: Program) -> None:
    script = edgekit("completion", "bash").stdout
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)

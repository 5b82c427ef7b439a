"""House rules that no linter knows. Each finds a planted violation, and none in this repository."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# What each unit may import besides itself: the one table of directions. A unit is a module or
# package directly under edgekit, or the whole of edgekit_converters. `edgekit` itself is the lazy
# front, `export` in api is the one way from edgekit into the converters.
_DATA = {"errors", "bundle", "targets", "tasks", "stages"}
_MEASURED = _DATA | {"floors", "parity", "runtime", "verify"}
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "bundle": {"errors"},
    "columns": {"errors"},
    "targets": {"errors"},
    "tasks": {"errors"},
    "stages": {"errors"},
    "packs": {"errors", "bundle"},
    "floors": {"bundle"},
    "parity": {"bundle", "tasks"},
    "device": _DATA,
    "runtime": _DATA | {"device"},
    "verify": _MEASURED,
    "bench": _DATA | {"device"},
    "testing": _MEASURED | {"columns", "device"},
    "doctor": {"errors", "device"},
    "android": {"errors", "bundle", "targets", "stages"},
    "scoring": _DATA | {"columns", "device", "runtime", "bench", "testing"},
    "report": _DATA | {"scoring"},
    "api": _MEASURED | {"doctor", "scoring", "report", "edgekit_converters"},
    "edgekit_converters": _MEASURED | {"columns", "scoring"},
    "cli": _DATA | {"android", "api", "bench", "device", "doctor", "packs", "scoring", "testing"},
    "edgekit": {"api", "errors", "stages"},
    "__main__": {"cli"},
}
HEAVY = {"executorch", "onnx", "onnxruntime", "onnxscript", "optimum"}
HEAVY |= {"torch", "torchao", "transformers"}
HEAVY_INSIDE_FUNCTIONS = {
    "edgekit/runtime/executorch.py",
    "edgekit/runtime/generation/executorch.py",
    "edgekit/runtime/onnx.py",
}
RUNS_WHAT_IT_READS = {"cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve"}
SHELLS = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"}
PRODUCT = ("edgekit/", "converters/", "examples/", "benchmarks/")
MAY_PRINT = ("edgekit/cli/", "examples/", "benchmarks/", "tests/")

MOST_LINES = 400
MOST_FUNCTION_LINES = 60
MOST_BYTES = 1_000_000
COUNTED = {".py", ".cpp", ".h", ".md", ".sh", ".cmake", ".mk"}
COUNTED_NAMES = {"Makefile", "run"}
GENERATED = {"docs/cli.md", "docs/errors.md"}
TOOL_CACHES = {".mypy_cache", ".pytest_cache", ".ruff_cache"}
GRAB_BAGS = re.compile(r"(^|_)(utils?|helpers?|managers?)(_|$)")
# In parts, so that this file does not name them.
HOSTS = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("files", "pythonhosted", "org"),
        ("registry", "npmjs", "org"),
        ("repo1", "maven", "org"),
        ("deb", "debian", "org"),
        ("crates", "io"),
        ("proxy", "golang", "org"),
    )
]
OWN_PLACES = re.compile(r"(?<![\w.>}*-])/(?:work|root|tmp|home/\w+|Users/\w+)/")

Files = dict[str, Path]
Rule = Callable[[Files], list[str]]
RULES: list[Rule] = []


def rule(check: Callable[[Files], Iterator[str]]) -> Rule:
    def found(files: Files) -> list[str]:
        return list(check(files))

    found.__name__ = check.__name__
    RULES.append(found)
    return found


def files_of(root: Path) -> Files:
    """Name -> path of what git has or would take; of every file where there is no repository."""
    names = _git_names(root)
    if names is None:
        passing = {".git", ".venv", "build", "dist", "__pycache__", *TOOL_CACHES}
        paths = (path.relative_to(root) for path in sorted(root.rglob("*")))
        names = [path.as_posix() for path in paths if not passing & set(path.parts)]
    return {name: root / name for name in names if (root / name).is_file()}


def _git_names(root: Path) -> list[str] | None:
    """None without git, or outside a repository, or where git distrusts the folder's owner."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    if not (root / ".git").exists():
        return None
    try:
        done = subprocess.run(listing, cwd=root, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return sorted(set(filter(None, done.stdout.split("\0"))))


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def trees(files: Files, *under: str) -> Iterator[tuple[str, ast.Module]]:
    for name, path in files.items():
        if name.endswith(".py") and name.startswith(under):
            yield name, _parsed(path)


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and full name of everything that is imported, at any depth."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def calls(tree: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    """Every call with its dotted name as written."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield node, ast.unparse(node.func)


def inside_functions(tree: ast.Module) -> set[int]:
    """Lines that belong to the body of a function."""
    return {
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }


def unit_of(name: str) -> str:
    """The row of the table that a file or a dotted module name belongs to."""
    parts = [part.removesuffix(".py") for part in re.split(r"[/.](?!py$)", name)]
    parts = parts[1:] if parts[0] == "converters" else parts
    if parts[0] == "edgekit_converters":
        return "edgekit_converters"
    return parts[1] if len(parts) > 1 and parts[1] in MAY_IMPORT else "edgekit"


@rule
def imports_point_one_way(files: Files) -> Iterator[str]:
    for name, tree in trees(files, "edgekit/", "converters/"):
        unit = unit_of(name)
        if name.startswith("edgekit/") and unit == "edgekit" and name != "edgekit/__init__.py":
            yield f"{name}: a new unit; give it a row in MAY_IMPORT"
            continue
        for line, module in imports(tree):
            if module.startswith("."):
                yield f"{name}:{line}: a relative import"
            elif module.split(".")[0] in {"edgekit", "edgekit_converters"}:
                other = unit_of(module)
                if other != unit and other not in MAY_IMPORT[unit]:
                    yield f"{name}:{line}: {unit} may not import {other}"


@rule
def heavy_packages_stay_out_of_edgekit(files: Files) -> Iterator[str]:
    for name, tree in trees(files, "edgekit/"):
        lazy = inside_functions(tree) if name in HEAVY_INSIDE_FUNCTIONS else set()
        for line, module in imports(tree):
            if module.split(".")[0] in HEAVY and line not in lazy:
                yield f"{name}:{line}: imports {module}"


@rule
def nothing_runs_what_it_reads(files: Files) -> Iterator[str]:
    for name, tree in trees(files, *PRODUCT):
        for line, module in imports(tree):
            if module.split(".")[0] in RUNS_WHAT_IT_READS:
                yield f"{name}:{line}: imports {module}"
        for call, function in calls(tree):
            words = {word.arg: ast.unparse(word.value) for word in call.keywords}
            if function in {"torch.load", "eval", "exec", "builtins.eval", "builtins.exec"}:
                yield f"{name}:{call.lineno}: calls {function}"
            elif words.get("allow_pickle", "False") != "False":
                yield f"{name}:{call.lineno}: allows pickle"
            elif function in {"np.load", "numpy.load"} and "allow_pickle" not in words:
                yield f"{name}:{call.lineno}: says nothing of allow_pickle"


@rule
def no_shell_is_started(files: Files) -> Iterator[str]:
    for name, tree in trees(files, *PRODUCT):
        for call, function in calls(tree):
            words = {word.arg: ast.unparse(word.value) for word in call.keywords}
            if words.get("shell", "False") != "False" or function in SHELLS:
                yield f"{name}:{call.lineno}: {function} starts a shell"


@rule
def one_place_prints(files: Files) -> Iterator[str]:
    for name, tree in trees(files, ""):
        if not name.startswith(MAY_PRINT):
            for call, function in calls(tree):
                if function in {"print", "sys.stdout.write"}:
                    yield f"{name}:{call.lineno}: prints"


@rule
def files_are_short(files: Files) -> Iterator[str]:
    for name, path in files.items():
        if (path.suffix in COUNTED or path.name in COUNTED_NAMES) and name not in GENERATED:
            lines = len(path.read_text(encoding="utf-8").splitlines())
            if lines > MOST_LINES:
                yield f"{name}: {lines} lines, {MOST_LINES} are the most"


@rule
def functions_are_short(files: Files) -> Iterator[str]:
    for name, tree in trees(files, ""):
        for node in ast.walk(tree):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if ast.get_docstring(node) is not None:  # code is counted, words are not
                words = node.body[0]
                lines -= (words.end_lineno or words.lineno) - words.lineno + 1
            if lines > MOST_FUNCTION_LINES:
                yield f"{name}:{node.lineno}: {node.name} has {lines} lines"


@rule
def names_say_what_is_inside(files: Files) -> Iterator[str]:
    for name in files:
        parts = [part.partition(".")[0] for part in name.lower().split("/")]
        if any(GRAB_BAGS.search(part) for part in parts):
            yield f"{name}: a name for anything"


@rule
def files_are_small(files: Files) -> Iterator[str]:
    for name, path in files.items():
        if path.stat().st_size > MOST_BYTES:
            yield f"{name}: {path.stat().st_size} bytes"


@rule
def no_registry_is_named(files: Files) -> Iterator[str]:
    for name, line, text in _lines(files):
        yield from (f"{name}:{line}: names {host}" for host in HOSTS if host in text.lower())


@rule
def no_path_of_a_developer(files: Files) -> Iterator[str]:
    for name, line, text in _lines(files):
        if not name.startswith("tests/") and OWN_PLACES.search(text):
            yield f"{name}:{line}: {text.strip()}"


def _lines(files: Files) -> Iterator[tuple[str, int, str]]:
    for name, path in files.items():
        text = path.read_bytes().decode("utf-8", "replace")
        yield from ((name, number, line) for number, line in enumerate(text.splitlines(), start=1))


@pytest.fixture(scope="module")
def repository() -> Files:
    files = files_of(ROOT)
    assert {"Makefile", "pyproject.toml", "edgekit/errors.py", "tests/test_house.py"} <= set(files)
    return files


@pytest.mark.parametrize("check", RULES, ids=lambda check: check.__name__)
def test_the_repository_holds(check: Rule, repository: Files) -> None:
    assert check(repository) == []


LONG = "\n".join(f"    x = {i}" for i in range(MOST_FUNCTION_LINES))
PLANTED: list[tuple[Rule, str, str]] = [
    (imports_point_one_way, "edgekit/errors.py", "from edgekit.bundle import seal"),
    (imports_point_one_way, "edgekit/bundle/seal.py", "def f():\n    import edgekit.api"),
    (imports_point_one_way, "edgekit/runtime/x.py", "from edgekit import cli"),
    (imports_point_one_way, "edgekit/runtime/x.py", "from edgekit import export"),
    (imports_point_one_way, "edgekit/cli/x.py", "from edgekit_converters.load import load"),
    (imports_point_one_way, "converters/edgekit_converters/x.py", "from edgekit.cli import main"),
    (imports_point_one_way, "converters/edgekit_converters/x.py", "import edgekit.device.sdk"),
    (imports_point_one_way, "edgekit/novelty.py", "VALUE = 1"),
    (imports_point_one_way, "edgekit/bundle/seal.py", "from . import hashing"),
    (heavy_packages_stay_out_of_edgekit, "edgekit/parity.py", "import torch"),
    (heavy_packages_stay_out_of_edgekit, "edgekit/parity.py", "def f():\n    import onnx.helper"),
    (heavy_packages_stay_out_of_edgekit, "edgekit/runtime/onnx.py", "import onnxruntime"),
    (nothing_runs_what_it_reads, "edgekit/x.py", "import pickle"),
    (nothing_runs_what_it_reads, "examples/x.py", "def f():\n    from pickle import loads"),
    (nothing_runs_what_it_reads, "converters/x.py", "import torch\ntorch.load('x')"),
    (nothing_runs_what_it_reads, "edgekit/x.py", "eval('1')"),
    (nothing_runs_what_it_reads, "edgekit/x.py", "exec('1')"),
    (nothing_runs_what_it_reads, "edgekit/x.py", "np.load('x.npy')"),
    (nothing_runs_what_it_reads, "edgekit/x.py", "np.load('x.npy', allow_pickle=True)"),
    (no_shell_is_started, "edgekit/x.py", "subprocess.run('ls', shell=True)"),
    (no_shell_is_started, "benchmarks/x.py", "os.system('ls')"),
    (one_place_prints, "edgekit/api.py", "print('x')"),
    (one_place_prints, "converters/edgekit_converters/x.py", "def f():\n    print('x')"),
    (files_are_short, "edgekit/x.py", "\n" * (MOST_LINES + 1)),
    (files_are_short, "Makefile", "\n" * (MOST_LINES + 1)),
    (functions_are_short, "edgekit/x.py", f"def f():\n{LONG}"),
    (functions_are_short, "edgekit/x.py", f"async def f():\n    '''Words.'''\n{LONG}"),
    (names_say_what_is_inside, "edgekit/bundle/file_utils.py", ""),
    (names_say_what_is_inside, "edgekit/helpers/x.py", ""),
    (names_say_what_is_inside, "edgekit/manager.py", ""),
    (files_are_small, "docs/picture.svg", "x" * (MOST_BYTES + 1)),
    (no_registry_is_named, "README.md", f"See https://{HOSTS[0]}/project/edgekit."),
    (no_registry_is_named, "tests/x.py", f"HOST = '{HOSTS[-1].upper()}'"),
    (no_path_of_a_developer, "edgekit/x.py", "PATH = '/work/main'"),
    (no_path_of_a_developer, "docs/x.md", "Look into /root/.cache first."),
]


@pytest.mark.parametrize(("check", "name", "text"), PLANTED)
def test_a_planted_violation_is_found(check: Rule, name: str, text: str, tmp_path: Path) -> None:
    planted = tmp_path / name
    planted.parent.mkdir(parents=True, exist_ok=True)
    planted.write_text(text, encoding="utf-8")
    (found,) = check(files_of(tmp_path))
    assert found.startswith(name)


def test_every_rule_has_a_planted_violation() -> None:
    assert {check.__name__ for check, _, _ in PLANTED} == {check.__name__ for check in RULES}


@pytest.mark.parametrize(
    ("check", "name", "text"),
    [
        (imports_point_one_way, "edgekit/cli/x.py", "from edgekit import api, errors"),
        (
            heavy_packages_stay_out_of_edgekit,
            "edgekit/runtime/onnx.py",
            "def f():\n    import onnx",
        ),
        (nothing_runs_what_it_reads, "edgekit/x.py", "np.load('x', allow_pickle=False)"),
        (nothing_runs_what_it_reads, "edgekit/x.py", "model.eval()"),
        (
            functions_are_short,
            "edgekit/x.py",
            "def f():\n '''" + "\n" * 99 + "'''",
        ),
        (no_path_of_a_developer, "docs/x.md", "A phone has /data/local/tmp/ for that."),
    ],
)
def test_what_is_allowed_passes(check: Rule, name: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    assert check(files_of(tmp_path)) == []

"""Set up the other tools, each in an environment under ``build/peers``.

    .venv/bin/python -m benchmarks.peers.environments [NAME ...]

An environment holds what a tool needs and this project does not have in that version; the rest is
read from this project's own environment, behind it. So PyTorch and the two runtimes are of the same
version for all, and are not on the disk four times.

What cannot be installed is said with its reason, and tried again the next time.
"""

from __future__ import annotations

import argparse
import importlib
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HOME = Path("build/peers")
_READY = "requires.txt"
_SHOWN_LINES = 6


def main() -> None:
    """Install what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", nargs="*", help=f"of {', '.join(names())}; all unless given")
    failed = False
    for name in parser.parse_args().name or names():
        fault = set_up(name)
        failed = failed or bool(fault)
        print(f"{peer(name).TITLE}: {fault or 'ready'}", flush=True)
    raise SystemExit(int(failed))


def names() -> list[str]:
    """The tools, by their files."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return [path.stem for path in files if "\nREQUIRES = " in path.read_text(encoding="utf-8")]


def peer(name: str) -> Any:
    """A tool's module; nothing of the tool itself is imported before it is used.

    Raises:
        SystemExit: there is no such tool.
    """
    if name not in names():
        raise SystemExit(f"unknown tool {name!r}; there are: {', '.join(names())}")
    return importlib.import_module(f"benchmarks.peers.{name}")


def set_up(name: str) -> str:
    """Make a tool's environment where it is missing or other versions are asked for.

    Returns:
        Why there is none; empty where there is one.
    """
    wanted, folder = "\n".join(peer(name).REQUIRES), HOME / name
    ready = folder / _READY
    if ready.is_file() and ready.read_text(encoding="utf-8") == wanted:
        return ""
    folder.parent.mkdir(parents=True, exist_ok=True)
    python = str(folder / "bin" / "python")
    fault = _said([sys.executable, "-m", "venv", "--clear", str(folder)])
    if not fault:
        _lend(folder)
        words = [python, "-m", "pip", "install", "--quiet", *peer(name).REQUIRES]
        fault = _said(words, getattr(peer(name), "INSTALLED_WITH", {}))
    if fault:
        return f"not installed: {fault}"
    ready.write_text(wanted, encoding="utf-8")
    return ""


def _lend(folder: Path) -> None:
    """Let an environment read this one's packages behind its own."""
    own = sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)})
    lent = sysconfig.get_path("purelib")
    (Path(own) / "lent.pth").write_text(f"{lent}\n", encoding="utf-8")


def _said(command: list[str], more: Mapping[str, str] | None = None) -> str:
    """What a command that failed said last; empty where it did not fail."""
    variables = {**os.environ, **(more or {})}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=variables)
    if not done.returncode:
        return ""
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return " | ".join(lines[-_SHOWN_LINES:]) or f"exit status {done.returncode}"


def model(name: str, source: Path, context: int) -> Path:
    """A tool's files, made from a Hugging Face folder where they are missing.

    Raises:
        RuntimeError: the tool failed; with its last lines.
    """
    folder = HOME / "models" / f"{name}-{source.name}-{context}"
    if not folder.is_dir():
        part = folder.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        run(name, "make", str(source.resolve()), str(part), str(context))
        part.rename(folder)
    return folder


def run(name: str, verb: str, *words: str) -> str:
    """What ``process`` prints in a tool's environment, which knows of no hub.

    Raises:
        RuntimeError: it failed; with its last lines.
    """
    python = str(HOME / name / "bin" / "python")
    done = subprocess.run(
        [python, "-m", "benchmarks.peers.process", verb, name, *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": ""},
    )
    if done.returncode:
        last = (done.stdout + done.stderr).strip().splitlines()[-_SHOWN_LINES:]
        raise RuntimeError(f"{peer(name).TITLE}: {' | '.join(last)}")
    return done.stdout


if __name__ == "__main__":
    main()

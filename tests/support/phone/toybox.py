"""The phone's tools for files. Only what edgekit sends; the rest is unknown, not guessed."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import signal
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from tests.support.phone.interpreter import Process, Tool

_PIECE = 1 << 20


def cat(process: Process) -> int:
    if len(process.words) == 1:
        while data := process.wires.read():
            process.wires.out(data)
        return 0
    status = 0
    for name in process.words[1:]:
        try:
            said = process.phone.sandbox.contents(process.absolute(name))
        except OSError as error:
            status = process.refused(name, error)
            continue
        for piece in _pieces(said):
            process.wires.out(piece)
    return status


def _pieces(said: bytes | Path) -> Iterator[bytes]:
    if isinstance(said, bytes):
        yield said
        return
    with said.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece


def digest(process: Process) -> int:
    """``sha256sum`` and ``sha1sum``."""
    kind = process.words[0].removesuffix("sum")
    status = 0
    for name in _operands(process):
        try:
            pieces = _pieces(process.phone.sandbox.contents(process.absolute(name)))
            found = hashlib.new(kind)
            for piece in pieces:
                found.update(piece)
        except OSError as error:
            status = process.refused(name, error)
            continue
        process.say(f"{found.hexdigest()}  {name}\n")
    return status


def stat_(process: Process) -> int:
    """``stat -c FORMAT``, with %s %a %n %Y %F."""
    words = process.words[1:]
    if words[:1] != ["-c"] or len(words) < 3:
        process.phone.unknown.append(" ".join(process.words))
        return process.complain("only -c FORMAT is known here")
    status = 0
    for name in words[2:]:
        try:
            info = process.phone.sandbox.readable(process.absolute(name)).stat()
        except OSError as error:
            status = process.complain(f"'{name}': {os.strerror(error.errno or 0)}")
            continue
        kind = "directory" if stat.S_ISDIR(info.st_mode) else "regular file"
        shown = {"%s": info.st_size, "%a": f"{info.st_mode & 0o7777:o}", "%n": name}
        shown |= {"%Y": int(info.st_mtime), "%F": kind}
        line = words[1]
        for mark, value in shown.items():
            line = line.replace(mark, str(value))
        process.say(line + "\n")
    return status


def ls(process: Process) -> int:
    """``ls -1`` and ``ls -1a``; the names alone, one a line."""
    options = "".join(word[1:] for word in process.words[1:] if word.startswith("-"))
    if set(options) - set("1aAd"):
        process.phone.unknown.append(" ".join(process.words))
    status = 0
    for name in _operands(process) or ["."]:
        path = process.absolute(name)
        if process.phone.is_folder(path) and "d" not in options:
            inside = [n.rsplit("/", 1)[1] for n in process.phone.names() if _in(n, path)]
            shown = [n for n in sorted(inside) if {"a", "A"} & set(options) or n[0] != "."]
            process.say("".join(f"{n}\n" for n in shown))
        elif path in process.phone.names():
            process.say(f"{name}\n")
        else:
            status = process.complain(f"{name}: No such file or directory")
    return status


def _in(name: str, folder: str) -> bool:
    return name.rsplit("/", 1)[0] == folder.rstrip("/")


def mkdir(process: Process) -> int:
    parents = "-p" in process.words
    for name in _operands(process):
        target = process.phone.sandbox.writable(process.absolute(name))
        try:
            target.mkdir(parents=parents, exist_ok=parents)
        except OSError as error:
            return process.complain(f"'{name}': {os.strerror(error.errno or 0)}")
    return 0


def mv(process: Process) -> int:
    *names, last = _operands(process)
    sandbox = process.phone.sandbox
    for name in names:
        source = sandbox.writable(process.absolute(name))
        target = sandbox.writable(process.absolute(last))
        if not source.exists():
            return process.complain(f"bad '{name}': No such file or directory")
        os.replace(source, target / source.name if target.is_dir() else target)
    return 0


def cp(process: Process) -> int:
    source, target = _operands(process)
    sandbox = process.phone.sandbox
    into = sandbox.writable(process.absolute(target))
    if into.is_dir():
        into /= Path(source).name
    shutil.copyfile(sandbox.readable(process.absolute(source)), into)
    return 0


def cmp(process: Process) -> int:
    first, second = _operands(process)
    sandbox = process.phone.sandbox
    one = sandbox.readable(process.absolute(first)).read_bytes()
    other = sandbox.readable(process.absolute(second)).read_bytes()
    if one == other:
        return 0
    process.say(f"{first} {second} differ\n")
    return 1


def rm(process: Process) -> int:
    options = {letter for word in process.words[1:] if word[:1] == "-" for letter in word[1:]}
    status = 0
    for name in _operands(process):
        target = process.phone.sandbox.writable(process.absolute(name))
        if target.is_dir() and not target.is_symlink():
            if not {"r", "R"} & options:
                status = process.complain(f"{name}: is directory")
            elif target == process.phone.sandbox.root:
                raise OSError(errno.EACCES, "", name)
            else:
                shutil.rmtree(target)
        elif target.exists() or target.is_symlink():
            target.unlink()
        elif "f" not in options:
            status = process.complain(f"{name}: No such file or directory")
    return status


def rmdir(process: Process) -> int:
    for name in _operands(process):
        try:
            process.phone.sandbox.writable(process.absolute(name)).rmdir()
        except OSError as error:
            return process.complain(f"'{name}': {os.strerror(error.errno or 0)}")
    return 0


def chmod(process: Process) -> int:
    mode, *names = _operands(process)
    for name in names:
        target = process.phone.sandbox.writable(process.absolute(name))
        before = target.stat().st_mode
        after = before | 0o111 if mode in {"+x", "a+x"} else int(mode, 8)
        target.chmod(after)
    return 0


def touch(process: Process) -> int:
    for name in _operands(process):
        process.phone.sandbox.writable(process.absolute(name)).touch()
    return 0


def date(process: Process) -> int:
    shape = process.words[1] if len(process.words) > 1 else "+%a %b %e %H:%M:%S UTC %Y"
    process.say(time.strftime(shape[1:].replace("%s", str(int(time.time()))), time.gmtime()) + "\n")
    return 0


def head(process: Process) -> int:
    """``head -c N [FILE]`` and ``head -n N [FILE]``."""
    unit, count = process.words[1], int(process.words[2])
    names = process.words[3:]
    if names:
        data = b"".join(_pieces(process.phone.sandbox.contents(process.absolute(names[0]))))
    else:
        data = b"".join(iter(process.wires.read, b""))
    kept = data[:count] if unit == "-c" else b"".join(data.splitlines(keepends=True)[:count])
    process.wires.out(kept)
    return 0


def kill(process: Process) -> int:
    words = process.words[1:]
    number = int(signal.SIGTERM)
    if words and words[0].startswith("-"):
        name = words.pop(0)[1:]
        number = int(name) if name.isdigit() else int(signal.Signals["SIG" + name])
    for pid in map(int, words):
        if pid not in process.phone.processes:
            return process.complain(f"{pid}: No such process")
        # Signal 0 asks only; never anything but what this phone itself started.
        process.phone.processes[pid][1].send_signal(number)
    return 0


def _operands(process: Process) -> list[str]:
    """Words after the options; all of them after ``--``."""
    words = process.words[1:]
    if "--" in words:
        at = words.index("--")
        return [w for w in words[:at] if not w.startswith("-")] + words[at + 1 :]
    return [word for word in words if word == "-" or not word.startswith("-")]


TOOLS: dict[str, Tool] = {
    "cat": cat, "sha256sum": digest, "sha1sum": digest, "stat": stat_, "ls": ls, "mkdir": mkdir,
    "mv": mv, "cp": cp, "cmp": cmp, "rm": rm, "rmdir": rmdir, "chmod": chmod, "touch": touch,
    "date": date, "head": head, "kill": kill, "sync": lambda process: 0,
}  # fmt: skip

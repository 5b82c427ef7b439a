"""The toy shell: runs what the grammar found, the way a phone's /system/bin/sh would."""

from __future__ import annotations

import contextlib
import errno
import fnmatch
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from tests.support.phone import grammar
from tests.support.phone.grammar import (
    CommandList,
    Group,
    Pipeline,
    Redirection,
    Simple,
    Unclear,
    Word,
)

if TYPE_CHECKING:
    from tests.support.phone.device import ScriptedPhone

Write = Callable[[bytes], None]
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126
_GLOB = set("*?[")


class Exit(Exception):
    """``exit``: ends the shell."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass(frozen=True)
class Wires:
    """Where a command reads and writes; ``ended`` is set when the adb stream is gone."""

    read: Callable[[], bytes]
    out: Write
    err: Write
    ended: threading.Event
    at_end: Callable[[Callable[[], None]], None]


@dataclass(frozen=True)
class Process:
    """One command about to run: what a program gets from its shell."""

    shell: Interpreter
    words: list[str]
    wires: Wires

    @property
    def phone(self) -> ScriptedPhone:
        return self.shell.phone

    def say(self, text: str) -> None:
        self.wires.out(text.encode("utf-8", "surrogateescape"))

    def complain(self, text: str) -> int:
        """One line on stderr, as toybox words it; the status is 1."""
        self.wires.err(f"{self.words[0]}: {text}\n".encode("utf-8", "surrogateescape"))
        return 1

    def absolute(self, path: str) -> str:
        return self.phone.sandbox.absolute(path, self.shell.cwd)

    def refused(self, path: str, error: OSError) -> int:
        return self.complain(f"{path}: {os.strerror(error.errno or errno.EIO)}")


Tool = Callable[[Process], int]


class Interpreter:
    """One shell with its folder, variables and last status."""

    def __init__(self, phone: ScriptedPhone, cwd: str = "/") -> None:
        self.phone = phone
        self.cwd = cwd
        self.variables = {"HOME": "/", "PATH": "/system/bin", "TMPDIR": "/data/local/tmp"}
        self.status = 0

    def run(self, text: str, wires: Wires) -> int:
        """The status of a whole command line."""
        try:
            return self._list(grammar.parse(text), wires)
        except Unclear as error:
            self.phone.unknown.append(text)
            wires.err(f"/system/bin/sh: {error}\n".encode())
            return 1
        except Exit as ended:
            return ended.status

    def invoke(self, words: list[str], wires: Wires) -> int:
        """Run one command of the phone: a builtin, a tool or a file."""
        if not words:
            return 0
        self.phone.executed.append(tuple(words))
        process = Process(self, words, wires)
        if (told := self.phone.faults.answers.get(tuple(words))) is not None:
            wires.out(told)
            return 0
        if "/" in words[0] and not words[0].startswith("/system/bin/"):
            return self.phone.start(process)
        name = words[0].removeprefix("/system/bin/")
        absent = name in self.phone.absent or name in self.phone.faults.missing
        tool = None if absent else self.phone.tools.get(name)
        if tool is None:
            if not absent:
                self.phone.unknown.append(" ".join(words))
            wires.err(f"/system/bin/sh: {words[0]}: inaccessible or not found\n".encode())
            return _NOT_FOUND
        try:
            return tool(process)
        except OSError as error:
            return process.refused(str(error.filename or ""), error)

    def _list(self, commands: CommandList, wires: Wires) -> int:
        for index, (before, pipeline) in enumerate(commands.steps):
            skip = (before == "&&" and self.status != 0) or (before == "||" and self.status == 0)
            if skip:
                continue
            if wires.ended.is_set():
                raise Exit(129)
            if index in commands.background:
                child = self._copy()
                work = threading.Thread(target=child._quietly, args=(pipeline, wires), daemon=True)
                work.start()
                self.status = 0
            else:
                self.status = self._pipeline(pipeline, wires)
        return self.status

    def _quietly(self, pipeline: Pipeline, wires: Wires) -> None:
        with contextlib.suppress(Exit, Unclear):
            self._pipeline(pipeline, wires)

    def _pipeline(self, pipeline: Pipeline, wires: Wires) -> int:
        status = 0
        for index, command in enumerate(pipeline.commands):
            last = index == len(pipeline.commands) - 1
            kept = bytearray()
            here = wires if last else replace(wires, out=kept.extend)
            if isinstance(command, Group):
                status = self._group(command, here)
            else:
                status = self._simple(command, here)
            wires = replace(wires, read=_once(bytes(kept)))
        return int(status == 0) if pipeline.negated else status

    def _group(self, group: Group, wires: Wires) -> int:
        with self._redirected(group.redirections, wires) as inner:
            if inner is None:
                return 1
            if not group.subshell:
                return self._list(group.body, inner)
            child = self._copy()
            try:
                return child._list(group.body, inner)
            except Exit as ended:
                return ended.status

    def _simple(self, command: Simple, wires: Wires) -> int:
        words = [text for word in command.words for text in self.expand(word, wires)]
        assigned = {
            name: "".join(self.expand(word, wires, split=False))
            for name, word in command.assignments
        }
        with self._redirected(command.redirections, wires) as inner:
            if inner is None:
                return 1
            if not words:
                self.variables.update(assigned)
                return 0
            before = dict(self.variables)
            self.variables.update(assigned)
            try:
                return self.invoke(words, inner)
            finally:
                if assigned:
                    self.variables = before

    @contextlib.contextmanager
    def _redirected(self, redirections: list[Redirection], wires: Wires):
        with contextlib.ExitStack() as files:
            writes = {1: wires.out, 2: wires.err}
            read = wires.read
            for each in redirections:
                if isinstance(each.target, int):
                    writes[each.fd] = writes[each.target]
                    continue
                name = "".join(self.expand(each.target, wires, split=False))
                path = self.phone.sandbox.absolute(name, self.cwd)
                try:
                    if each.mode == "<":
                        read = _reader(self.phone.sandbox.contents(path), files)
                    elif path == "/dev/null":
                        writes[each.fd] = _nowhere
                    else:
                        real = self.phone.sandbox.writable(path)
                        mode = "ab" if each.mode == ">>" else "wb"
                        writes[each.fd] = files.enter_context(real.open(mode)).write
                except OSError as error:
                    what = "can't open" if each.mode == "<" else "can't create"
                    said = f"/system/bin/sh: {what} {name}: {os.strerror(error.errno or 0)}\n"
                    wires.err(said.encode("utf-8", "surrogateescape"))
                    yield None
                    return
            yield replace(wires, read=read, out=writes[1], err=writes[2])

    def expand(self, word: Word, wires: Wires, *, split: bool = True) -> list[str]:
        """A word's fields: variables, substituted commands, splitting and names by pattern."""
        fields = [""]
        exists = False
        pattern = False
        for part in word:
            if part.kind == "text":
                text = part.text
            elif part.kind == "variable":
                text = self._variable(part.text)
            else:
                text = self._substituted(part.text, wires)
            exists = exists or part.quoted or bool(text)
            if part.kind == "text" or part.quoted or not split:
                fields[-1] += text
                pattern = pattern or (not part.quoted and bool(_GLOB & set(text)))
                continue
            pieces = text.split()
            fields[-1] += pieces[0] if pieces else ""
            fields += pieces[1:]
        if not exists:
            return [] if split else [""]
        if pattern and split:
            fields = [name for field in fields for name in self._matching(field)]
        return fields

    def _variable(self, name: str) -> str:
        special = {"?": str(self.status), "$": "4242", "#": "0", "!": "4243", "0": "sh"}
        return special.get(name) or self.variables.get(name, "")

    def _substituted(self, text: str, wires: Wires) -> str:
        kept = bytearray()
        self._copy().run(text, replace(wires, out=kept.extend))
        return kept.decode("utf-8", "surrogateescape").rstrip("\n")

    def _matching(self, pattern: str) -> list[str]:
        absolute = self.phone.sandbox.absolute(pattern, self.cwd)
        depth = absolute.count("/")
        found = [
            name
            for name in self.phone.names()
            if name.count("/") == depth and fnmatch.fnmatchcase(name, absolute)
        ]
        if not pattern.startswith("/"):
            found = [name[len(self.cwd.rstrip("/")) + 1 :] for name in found]
        return sorted(found) or [pattern]

    def _copy(self) -> Interpreter:
        child = Interpreter(self.phone, self.cwd)
        child.variables = dict(self.variables)
        child.status = self.status
        return child

    def leave(self, status: int) -> NoReturn:
        raise Exit(status)


def _nowhere(data: bytes) -> None:
    del data


def _once(data: bytes) -> Callable[[], bytes]:
    rest = [data]

    def read() -> bytes:
        return rest.pop() if rest else b""

    return read


def _reader(contents: bytes | Path, files: contextlib.ExitStack) -> Callable[[], bytes]:
    if isinstance(contents, bytes):
        return _once(contents)
    file = files.enter_context(contents.open("rb"))
    return lambda: file.read(1 << 16)

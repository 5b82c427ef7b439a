"""What the phone's shell does itself, and the programs that only start another."""

from __future__ import annotations

import re

from tests.support.phone.interpreter import Exit, Process, Tool


def cd(process: Process) -> int:
    target = process.absolute(process.words[1] if len(process.words) > 1 else "/")
    if not process.phone.is_folder(target):
        return process.complain(f"{process.words[1]}: No such file or directory") + 1
    process.shell.cwd = target
    return 0


def echo(process: Process) -> int:
    words = process.words[1:]
    bare = words[:1] == ["-n"]
    process.say(" ".join(words[bare:]) + ("" if bare else "\n"))
    return 0


def printf(process: Process) -> int:
    """The formats %s, %d and %%, with the escapes of the format string; repeated as POSIX says."""
    escapes = {"\\n": "\n", "\\t": "\t", "\\0": "\0", "\\\\": "\\"}
    shape = re.sub(r"\\[nt0\\]", lambda found: escapes[found[0]], process.words[1])
    words = process.words[2:]
    pieces = re.split(r"(%[sd%])", shape)
    while True:
        for piece in pieces:
            if piece in {"%s", "%d"}:
                process.say(words.pop(0) if words else "")
            else:
                process.say("%" if piece == "%%" else piece)
        if not words or not {"%s", "%d"} & set(pieces):
            return 0


def test(process: Process) -> int:
    words = process.words[1:]
    if process.words[0] == "[":
        words = words[:-1]
    negated = words[:1] == ["!"]
    words = words[negated:]
    return int(_true(process, words) == negated)


def _true(process: Process, words: list[str]) -> bool:
    if len(words) == 1:
        return words[0] != ""
    if len(words) == 3:
        compare = {"=": str.__eq__, "==": str.__eq__, "!=": str.__ne__}
        numbers = {"-eq": int.__eq__, "-ne": int.__ne__, "-gt": int.__gt__, "-lt": int.__lt__}
        if words[1] in numbers:
            return bool(numbers[words[1]](int(words[0]), int(words[2])))
        return bool(compare[words[1]](words[0], words[2]))
    kind, name = words
    if kind in {"-n", "-z"}:
        return (name != "") == (kind == "-n")
    path = process.absolute(name)
    if kind == "-d":
        return process.phone.is_folder(path)
    here = path in process.phone.names()
    real = process.phone.sandbox.real(path)
    if kind == "-x":
        return here and real is not None and bool(real.stat().st_mode & 0o111)
    if kind == "-s":
        return here and real is not None and real.stat().st_size > 0
    return here and not (kind == "-f" and process.phone.is_folder(path))


def sleep(process: Process) -> int:
    return 129 if process.wires.ended.wait(float(process.words[1])) else 0


def rest_of(count: int) -> Tool:
    """A program that starts another, such as ``taskset MASK CMD``."""

    def run(process: Process) -> int:
        return process.shell.invoke(process.words[1 + count :], process.wires)

    return run


def exec_(process: Process) -> int:
    """The shell becomes the command: nothing after it runs."""
    raise Exit(process.shell.invoke(process.words[1:], process.wires))


def env(process: Process) -> int:
    words = process.words[1:]
    while words and "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        process.shell.variables[name] = value
    return process.shell.invoke(words, process.wires)


def sh(process: Process) -> int:
    if process.words[1] != "-c":
        process.phone.unknown.append(" ".join(process.words))
        return 127
    return type(process.shell)(process.phone, process.shell.cwd).run(
        process.words[2], process.wires
    )


def leave(process: Process) -> int:
    raise Exit(int(process.words[1]) if len(process.words) > 1 else process.shell.status)


def export(process: Process) -> int:
    for word in process.words[1:]:
        name, mark, value = word.partition("=")
        if mark:
            process.shell.variables[name] = value
    return 0


TOOLS: dict[str, Tool] = {
    "cd": cd, "echo": echo, "printf": printf, "test": test, "[": test, "sleep": sleep,
    "taskset": rest_of(1), "nohup": rest_of(0), "exec": exec_, "env": env, "sh": sh, "exit": leave,
    "export": export, "true": lambda process: 0, ":": lambda process: 0,
    "false": lambda process: 1,
}  # fmt: skip

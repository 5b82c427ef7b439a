"""Enough of the POSIX shell's grammar to see what a command line really means to a phone.

Quotes, backslashes, ``$name``, ``$?``, ``$(...)`` and backquotes, lists with ``&&``, ``||`` and
``;``, pipes, groups and redirections. What is not understood is an error, never ignored.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

_OPERATORS = re.compile(r"\d?>&\d?|\d?>>|\d?>|\d?<|&&|\|\||[;&|()\n]")
_NAME = re.compile(r"[A-Za-z_]\w*|[?$!#@*]|\d")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_BLANK = " \t\r"

Kind = Literal["text", "variable", "command"]


class Unclear(Exception):
    """The shell would say "syntax error", or the toy shell does not know this construct."""


@dataclass(frozen=True)
class Part:
    """A piece of a word: text, a variable's name, or the text of a substituted command."""

    kind: Kind
    text: str
    quoted: bool


Word = tuple[Part, ...]


@dataclass(frozen=True)
class Redirection:
    """``fd`` to or from ``target``; ``2>&1`` has the mode ``&``."""

    fd: int
    mode: str
    target: Word | int


@dataclass
class Simple:
    """Assignments, words and redirections."""

    assignments: list[tuple[str, Word]] = field(default_factory=list)
    words: list[Word] = field(default_factory=list)
    redirections: list[Redirection] = field(default_factory=list)


@dataclass
class Group:
    """``( ... )`` or ``{ ...; }``."""

    body: CommandList
    subshell: bool
    redirections: list[Redirection] = field(default_factory=list)


Command = Simple | Group


@dataclass
class Pipeline:
    """Commands joined by ``|``."""

    commands: list[Command]
    negated: bool = False


@dataclass
class CommandList:
    """Pipelines with the operator that stands before each: ``;``, ``&&`` or ``||``."""

    steps: list[tuple[str, Pipeline]] = field(default_factory=list)
    background: set[int] = field(default_factory=set)


Token = str | Word


def parse(text: str) -> CommandList:
    """The whole command line.

    Raises:
        Unclear: it is no command line that this shell understands.
    """
    parser = _Parser(_tokens(text))
    found = parser.command_list()
    if parser.tokens:
        raise Unclear(f"syntax error: unexpected {parser.tokens[0]!r}")
    return found


def _tokens(text: str) -> list[Token]:
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        if text[at] in _BLANK:
            at += 1
        elif text[at] == "#":
            end = text.find("\n", at)
            at = len(text) if end < 0 else end
        elif match := _OPERATORS.match(text, at):
            tokens.append(match.group())
            at = match.end()
        else:
            word, at = _word(text, at)
            tokens.append(word)
    return tokens


def _word(text: str, at: int) -> tuple[Word, int]:
    parts: list[Part] = []
    while at < len(text):
        char = text[at]
        if char in _BLANK or char in ";&|()<>\n":
            break
        if char == "'":
            end = text.find("'", at + 1)
            if end < 0:
                raise Unclear("no closing quote")
            parts.append(Part("text", text[at + 1 : end], True))
            at = end + 1
        elif char == '"':
            at = _double(text, at + 1, parts)
        elif char == "\\":
            if text[at + 1 : at + 2] != "\n":
                parts.append(Part("text", text[at + 1 : at + 2], True))
            at += 2
        elif char in "$`":
            at = _expansion(text, at, parts, quoted=False)
        else:
            parts.append(Part("text", char, False))
            at += 1
    return tuple(parts), at


def _double(text: str, at: int, parts: list[Part]) -> int:
    parts.append(Part("text", "", True))
    while at < len(text):
        char = text[at]
        if char == '"':
            return at + 1
        if char == "\\" and text[at + 1 : at + 2] in tuple('$`"\\\n'):
            if text[at + 1] != "\n":
                parts.append(Part("text", text[at + 1], True))
            at += 2
        elif char in "$`":
            at = _expansion(text, at, parts, quoted=True)
        else:
            parts.append(Part("text", char, True))
            at += 1
    raise Unclear("no closing quote")


def _expansion(text: str, at: int, parts: list[Part], *, quoted: bool) -> int:
    if text[at] == "`":
        end = text.find("`", at + 1)
        if end < 0:
            raise Unclear("no closing quote")
        parts.append(Part("command", text[at + 1 : end], quoted))
        return end + 1
    if text.startswith("$(", at):
        end = _closing(text, at + 2)
        parts.append(Part("command", text[at + 2 : end], quoted))
        return end + 1
    if text.startswith("${", at):
        end = text.find("}", at)
        if end < 0 or not _NAME.fullmatch(text[at + 2 : end]):
            raise Unclear(f"bad substitution: {text[at:]}")
        parts.append(Part("variable", text[at + 2 : end], quoted))
        return end + 1
    if match := _NAME.match(text, at + 1):
        parts.append(Part("variable", match.group(), quoted))
        return match.end()
    parts.append(Part("text", "$", quoted))
    return at + 1


def _closing(text: str, at: int) -> int:
    """The index of the parenthesis that closes ``$(``, with quotes respected."""
    depth = 1
    while at < len(text):
        if text[at] == "\\":
            at += 1
        elif text[at] == "'":
            at = text.find("'", at + 1)
            if at < 0:
                break
        elif text[at] in "()":
            depth += 1 if text[at] == "(" else -1
            if depth == 0:
                return at
        at += 1
    raise Unclear("no closing parenthesis")


class _Parser:
    """Recursive descent over the tokens."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens

    def peek(self) -> Token | None:
        return self.tokens[0] if self.tokens else None

    def command_list(self, until: str | None = None) -> CommandList:
        found = CommandList()
        before = ";"
        while (token := self.peek()) is not None and token != ")":
            if token in (";", "\n"):
                self.tokens.pop(0)
                before = ";"
                continue
            if until is not None and _plain(token) == until:
                break
            found.steps.append((before, self.pipeline()))
            after = self.peek()
            if after == "&":
                found.background.add(len(found.steps) - 1)
            if after in ("&&", "||", ";", "&", "\n"):
                before = ";" if after in ("&", "\n") else str(after)
                self.tokens.pop(0)
        return found

    def pipeline(self) -> Pipeline:
        negated = False
        while _plain(self.peek()) == "!":
            self.tokens.pop(0)
            negated = not negated
        commands = [self.command()]
        while self.peek() == "|":
            self.tokens.pop(0)
            commands.append(self.command())
        return Pipeline(commands, negated)

    def command(self) -> Command:
        if self.peek() == "(" or _plain(self.peek()) == "{":
            opened = self.tokens.pop(0)
            subshell = opened == "("
            body = self.command_list(None if subshell else "}")
            closed = self.tokens.pop(0) if self.tokens else None
            if closed != ")" and _plain(closed) != "}":
                raise Unclear("no closing parenthesis")
            group = Group(body, subshell)
            while isinstance(self.peek(), str) and _is_redirection(str(self.peek())):
                group.redirections.append(self.redirection())
            return group
        return self.simple()

    def simple(self) -> Simple:
        made = Simple()
        while (token := self.peek()) is not None:
            if isinstance(token, tuple):
                plain = _plain_start(token)
                match = _ASSIGNMENT.match(plain)
                if match and not made.words:
                    made.assignments.append((match.group()[:-1], _after(token, match.end())))
                else:
                    made.words.append(token)
                self.tokens.pop(0)
            elif _is_redirection(token):
                made.redirections.append(self.redirection())
            else:
                break
        if not (made.words or made.assignments or made.redirections):
            raise Unclear(f"syntax error: unexpected {self.peek()!r}")
        return made

    def redirection(self) -> Redirection:
        token = str(self.tokens.pop(0))
        digit = token[0] if token[0].isdigit() else None
        mode = token.lstrip("0123456789")
        if ">&" in mode:
            fd = int(digit) if digit else 1
            if mode[-1].isdigit():
                return Redirection(fd, "&", int(mode[-1]))
            raise Unclear("redirection to a file descriptor without a number")
        target = self.tokens.pop(0) if self.tokens else None
        if not isinstance(target, tuple):
            raise Unclear("syntax error: redirection without a target")
        return Redirection(int(digit) if digit else (0 if mode == "<" else 1), mode, target)


def _is_redirection(token: str) -> bool:
    return ">" in token or "<" in token


def _plain(token: Token | None) -> str | None:
    """An unquoted word's text: reserved words are only that."""
    if not isinstance(token, tuple) or any(p.quoted or p.kind != "text" for p in token):
        return None
    return "".join(part.text for part in token)


def _plain_start(word: Word) -> str:
    text = ""
    for part in word:
        if part.quoted or part.kind != "text":
            break
        text += part.text
    return text


def _after(word: Word, count: int) -> Word:
    # Unquoted text is one part a character, so that dropping parts drops characters.
    return word[count:]

"""A conversation in the terminal: the answer streams, Ctrl-C ends it and not the program."""

from __future__ import annotations

import importlib
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from edgekit.cli.generate import summary
from edgekit.cli.output import Output
from edgekit.errors import TextRefused

if TYPE_CHECKING:
    from edgekit.api.opened import Bundle, Conversation

PROMPT = "> "
LEAVE = ("/exit", "/quit")
_HELP = "/reset forgets the conversation, /exit or Ctrl-D leaves, Ctrl-C stops an answer"


def talk(output: Output, bundle: Bundle, runtime: str | None, options: dict[str, Any]) -> None:
    """Read messages from standard input and answer each, until they end.

    Args:
        output: where to.
        bundle: what answers.
        runtime: which artifact; None for the first that can be loaded.
        options: what ``Bundle.chat`` takes.

    Raises:
        click.UsageError: ``--json``, ``--raw``: a conversation is for a person.
        SpecError: the model has no chat template.
    """
    if output.as_json or options.get("raw"):
        with_it = "--json" if output.as_json else "--raw"
        raise click.UsageError(f"--chat does not go with {with_it}: give a prompt instead")
    with output.libraries_quiet():
        conversation = bundle.chat(runtime=runtime, **options)
    output.say(f"{bundle.manifest.name} on {bundle.loaded[0]}. {_HELP}.")
    for line in _lines(output):
        text = line.strip()
        if text in LEAVE:
            return
        if text == "/reset":
            conversation.reset()
            output.say("forgotten")
        elif text.startswith("/") and " " not in text:
            output.say(f"unknown command {text}: {_HELP}")
        elif text:
            _answer(output, conversation, text)


def _lines(output: Output) -> Iterator[str]:
    """What is typed, line by line; with a prompt where somebody types it."""
    person = sys.stdin.isatty() and sys.stdout.isatty()
    if person:
        with suppress(ImportError):  # arrows and history where the platform has them
            importlib.import_module("readline")
    stopped = False
    while True:
        try:
            line = input(PROMPT) if person else sys.stdin.readline()
        except EOFError:
            output.text()
            return
        except UnicodeDecodeError:
            output.say("that was not UTF-8 text")
            continue
        except KeyboardInterrupt:
            if not person:
                raise
            if stopped:
                output.text()
                return
            stopped = True
            output.say("\nCtrl-C again, or Ctrl-D, leaves")
            continue
        if not person and not line:
            return
        stopped = False
        yield line


def _answer(output: Output, conversation: Conversation, text: str) -> None:
    cancel = Event()
    try:
        pieces = conversation.ask(text, cancel)
    except TextRefused as refused:
        output.say(f"{refused.message}\n{refused.hint}")
        return
    if conversation.forgotten:
        output.say(f"the context is full: the {conversation.forgotten} oldest messages are gone")
    with _stopping(cancel):
        for piece in pieces:
            output.piece(piece)
    output.text()
    output.say(summary(conversation.last.statistics))


@contextmanager
def _stopping(cancel: Event) -> Iterator[None]:
    """Ctrl-C asks the answer to end; a second one, while it has not, ends the program."""

    def stop(number: int, frame: FrameType | None) -> None:
        if cancel.is_set():
            raise KeyboardInterrupt
        cancel.set()

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)

"""Sentences with slots: filled at random, with the place of every slot's value in the text."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

TRAIN, DEV, TEST = "train", "dev", "test"
SPLITS = (TRAIN, DEV, TEST)

_SLOT = re.compile(r"\{(\w+)\}")
# Of five neighbours in a list.
_CYCLE = (TRAIN, TEST, TRAIN, DEV, TEST)


@dataclass(frozen=True)
class Slot:
    """A filled slot: its name, its text, and where that begins and ends, in characters."""

    name: str
    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Filled:
    """A sentence and what stands in its slots, in order."""

    text: str
    slots: tuple[Slot, ...]

    def value(self, name: str) -> str:
        """The text of the first slot with a name."""
        return next(slot.text for slot in self.slots if slot.name == name)


def part(items: Sequence[T], split: str) -> list[T]:
    """The items of one split: two of five for training, one for dev, two for test.

    Splits share nothing: whoever learns the templates of one has not seen those of another.
    """
    return [item for at, item in enumerate(items) if _CYCLE[at % len(_CYCLE)] == split]


def fill(template: str, words: Mapping[str, Sequence[str]], draw: random.Random) -> Filled:
    """Put a word into every ``{slot}``; a slot that comes twice gets two different words.

    Args:
        template: text with slots.
        words: what may stand in a slot, by its name.
        draw: source of chance.
    """
    text, after = "", 0
    slots: list[Slot] = []
    for match in _SLOT.finditer(template):
        text += template[after : match.start()]
        name = match[1]
        taken = {slot.text for slot in slots if slot.name == name}
        value = draw.choice([word for word in words[name] if word not in taken])
        slots.append(Slot(name, value, len(text), len(text) + len(value)))
        text += value
        after = match.end()
    return Filled(text + template[after:], tuple(slots))


def capital(text: str) -> str:
    """With its first letter in upper case."""
    return text[:1].upper() + text[1:]

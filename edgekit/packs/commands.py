"""Commands to the devices of a house, each word with its slot: device, room, value, time."""

from __future__ import annotations

import random
import re
from typing import Any

from edgekit.packs.templates import Slot, fill, part

TASK = "token-classification"
METRIC = "entity F1"
BUDGET = "entity F1 of at least 0.95 at no more than 6 MB"
SIZES = {"train": 1200, "dev": 200, "test": 300}
KEYS = ("tokens",)
CARD = """\
One command to a house, a label for each word in BIO form: ACTION, DEVICE, ROOM, VALUE, TIME.

The score is the F1 of whole entities: a device of two words counts only when both are found and
nothing more. Templates of train, dev and test differ, and a third of the sentences hold a word in a
role that it does not have elsewhere ("the garden party" is no room, "light blue" no device).

It does not say how a model does on spoken commands, on other languages, or on devices whose names
are not among some sixty here."""

_WORDS = {
    "on": ("turn on", "switch on", "start", "activate", "power up"),
    "off": ("turn off", "switch off", "stop", "shut down", "kill"),
    "set": ("set", "change", "put", "bring", "adjust"),
    "open": ("open", "raise", "pull up"),
    "close": ("close", "lower", "shut"),
    "lamp": ("lights", "ceiling lamp", "reading light", "night light", "lamp", "spotlights"),
    "machine": ("coffee maker", "washing machine", "oven", "robot vacuum", "dishwasher", "kettle"),
    "climate": ("heating", "air conditioning", "fan", "radiator", "floor heating"),
    "screen": ("television", "radio", "speakers", "projector", "music box"),
    "cover": ("blinds", "curtains", "garage door", "shutters", "roof window"),
    "room": (
        "kitchen",
        "bedroom",
        "living room",
        "bathroom",
        "hall",
        "guest room",
        "garage",
        "garden",
        "attic",
        "office",
        "balcony",
        "nursery",
    ),
    "degrees": ("18 degrees", "21 degrees", "twenty degrees", "19.5 degrees", "16 degrees"),
    "percent": ("40 percent", "half", "full brightness", "ten percent", "75 %"),
    "volume": ("level three", "maximum", "30 percent", "whisper level"),
    "colour": ("light blue", "warm white", "dark red", "soft green", "candle yellow"),
    "time": (
        "at seven",
        "in ten minutes",
        "at 6:30",
        "tomorrow morning",
        "after sunset",
        "at noon",
        "in half an hour",
        "on Sunday",
        "tonight",
    ),
    "decoy": (
        "for the garden party",
        "because the office called",
        "before the kitchen guests come",
        "as in the hotel bedroom",
        "so the radio host can hear",
    ),
}
_LABELS = {
    **dict.fromkeys(("on", "off", "set", "open", "close"), "ACTION"),
    **dict.fromkeys(("lamp", "machine", "climate", "screen", "cover"), "DEVICE"),
    **dict.fromkeys(("degrees", "percent", "volume", "colour"), "VALUE"),
    "room": "ROOM",
    "time": "TIME",
}
_TEMPLATES = (
    "{on} the {lamp} in the {room}",
    "{off} the {screen} in the {room} please",
    "please {set} the {climate} in the {room} to {degrees}",
    "{close} the {cover} {time}",
    "could you {on} the {machine} {time}",
    "{set} the {lamp} to {colour} in the {room}",
    "in the {room} {set} the {lamp} to {percent}",
    "{open} the {cover} in the {room} {time}",
    "{time} {off} the {climate}",
    "I want the {screen} at {volume}",
    "{off} the {lamp} and {on} the {screen}",
    "make it {degrees} in the {room}",
    "{on} the {machine} in the {room} {decoy}",
    "will you {close} the {cover} of the {room} {time}",
    "{set} the {screen} to {volume} {decoy}",
    "the {lamp} in the {room} should be {colour}",
    "{off} everything in the {room} {time}",
    "hey, {on} the {climate} {time}",
    "{set} the {room} {lamp} to {percent} {decoy}",
    "is it possible to {off} the {machine} {time}",
    "{open} the {room} {cover} and {off} the {lamp}",
    "when I come home {on} the {lamp} in the {room}",
    "{time} the {room} {climate} goes to {degrees}",
    "{off} the {room} {screen}",
    "I am cold, {set} the {climate} to {degrees}",
    "dim the {lamp} to {percent} {time}",
    "{on} the {screen} in the {room} at {volume}",
    "could the {cover} in the {room} {close} {time}",
    "{off} the {machine} {decoy}",
    "let the {lamp} glow in {colour} {time}",
)
_WORD = re.compile(r"\w+(?:[.:']\w+)*|[^\w\s]")


def row(draw: random.Random, split: str) -> dict[str, Any]:
    """One command as words and their labels."""
    filled = fill(draw.choice(part(_TEMPLATES, split)), _WORDS, draw)
    tokens, labels = [], []
    for match in _WORD.finditer(filled.text):
        tokens.append(match[0])
        labels.append(_label(match, filled.slots))
    return {"tokens": tokens, "labels": labels}


def _label(word: re.Match[str], slots: tuple[Slot, ...]) -> str:
    for slot in slots:
        if slot.start <= word.start() < slot.end and slot.name in _LABELS:
            begins = "B" if word.start() == slot.start else "I"
            return f"{begins}-{_LABELS[slot.name]}"
    return "O"

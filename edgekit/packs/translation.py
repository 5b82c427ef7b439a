"""Sentences of everyday life, English to German, with articles that follow gender and case."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from edgekit.packs.templates import capital, part

TASK = "translation"
METRIC = "chrF"
BUDGET = "chrF of at least 85 at no more than 20 MB"
SIZES = {"train": 2000, "dev": 200, "test": 300}
KEYS = ("source",)
CARD = """\
An English sentence with one or two things and a person, and its German translation.

The score (chrF against the one expected translation) says whether a model learned the words and the
grammar that the templates need: articles by gender and case, and the place of the verb. Templates
of train, dev and test differ; the words, some forty, do not.

It does not say how a model translates real text: a vocabulary this small is learned by heart."""


@dataclass(frozen=True)
class _Noun:
    """A thing in both languages; ``gender`` is m, f or n."""

    english: str
    german: str
    gender: str


_NOUNS = tuple(
    _Noun(*line.split())
    for line in (
        "key Schlüssel m", "dog Hund m", "table Tisch m", "letter Brief m", "apple Apfel m",
        "garden Garten m", "coat Mantel m", "train Zug m",
        "bottle Flasche f", "door Tür f", "lamp Lampe f", "cat Katze f", "bag Tasche f",
        "map Karte f", "clock Uhr f", "street Straße f",
        "book Buch n", "house Haus n", "window Fenster n", "car Auto n", "child Kind n",
        "bed Bett n", "knife Messer n", "picture Bild n",
    )
)  # fmt: skip
_THE = {"m": ("der", "den", "dem"), "f": ("die", "die", "der"), "n": ("das", "das", "dem")}
_A = {
    "m": ("ein", "einen", "einem"),
    "f": ("eine", "eine", "einer"),
    "n": ("ein", "ein", "einem"),
}
_QUALITIES = (
    ("old", "alt"), ("new", "neu"), ("small", "klein"), ("big", "groß"),
    ("beautiful", "schön"), ("clean", "sauber"), ("red", "rot"), ("cheap", "billig"),
)  # fmt: skip
_PEOPLE = ("Anna", "Paul", "Mia", "Jonas", "Lena", "Felix")
# {x} and {y} are things: x0 nominative, x1 accusative, x2 dative, with the article; ax0 with "a".
_TEMPLATES = (
    ("the {x} is {q}.", "{x0} ist {g}."),
    ("{p} sees the {x}.", "{p} sieht {x1}."),
    ("where is the {x}?", "wo ist {x0}?"),
    ("{p} buys a {x}.", "{p} kauft {ax1}."),
    ("I am looking for the {x}.", "ich suche {x1}."),
    ("is the {x} {q}?", "ist {x0} {g}?"),
    ("{p} comes with the {x}.", "{p} kommt mit {x2}."),
    ("today {p} needs a {x}.", "heute braucht {p} {ax1}."),
    ("the {x} and the {y} are {q}.", "{x0} und {y0} sind {g}."),
    ("we have a {x}.", "wir haben {ax1}."),
    ("{p} does not find the {x}.", "{p} findet {x1} nicht."),
    ("that is the {x} of {p}.", "das ist {x0} von {p}."),
    ("tomorrow {p} brings the {x}.", "morgen bringt {p} {x1}."),
    ("the {x} is not {q}.", "{x0} ist nicht {g}."),
    ("does {p} know the {x}?", "kennt {p} {x1}?"),
    ("a {x} is behind the {y}.", "{ax0} ist hinter {y2}."),
    ("{p} and I see the {x}.", "{p} und ich sehen {x1}."),
    ("the {x} is beside the {y}.", "{x0} ist neben {y2}."),
    ("{p} wants a {x} and a {y}.", "{p} will {ax1} und {ay1}."),
    ("who has the {x}?", "wer hat {x1}?"),
    ("{p} loves the {x}.", "{p} liebt {x1}."),
    ("the {x} of {p} is {q}.", "{x0} von {p} ist {g}."),
    ("here is a {x}.", "hier ist {ax0}."),
    ("{p} gives me the {x}.", "{p} gibt mir {x1}."),
    ("now {p} goes to the {x}.", "jetzt geht {p} zu {x2}."),
)


def row(draw: random.Random, split: str) -> dict[str, Any]:
    """A sentence and its translation."""
    english, german = draw.choice(part(_TEMPLATES, split))
    things = dict(zip("xy", draw.sample(_NOUNS, 2), strict=True))
    quality, eigenschaft = draw.choice(_QUALITIES)
    shared = {"p": draw.choice(_PEOPLE), "q": quality, "g": eigenschaft}
    forms = {
        prefix + name + str(case): f"{articles[noun.gender][case]} {noun.german}"
        for prefix, articles in (("", _THE), ("a", _A))
        for name, noun in things.items()
        for case in range(3)
    }
    source = english.format(**shared, **{name: noun.english for name, noun in things.items()})
    # "a apple": the article of English follows the sound.
    source = source.replace("a apple", "an apple")
    target = german.format(**shared, **forms).replace("zu dem ", "zum ").replace("zu der ", "zur ")
    return {"source": capital(source), "target": capital(target)}

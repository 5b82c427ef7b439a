"""Notes of a person and questions that find them, with few words in common."""

from __future__ import annotations

import random
from typing import Any

from edgekit.packs.templates import TEST, Filled, capital, fill, part

TASK = "sentence-similarity"
METRIC = "recall@1"
BUDGET = "no more than 1 point of recall@1 below the model it was made from, at 25 MB"
SIZES = {"train": 220, "dev": 60, "test": 80}
KEYS = ("anchor", "positive")
CARD = """\
A question (`anchor`), the note that answers it (`positive`), and a note of the same kind about
another person or thing (`negative`); in the test nine of them, and the score is how often the right
one of the ten comes first.

The score says whether a model keeps apart who and what: the ten notes have the same form, and share
few words with the question besides names of people and things. Topics of train, dev and test
are different, so nothing of the test was seen in training.

It does not say how a model does on long documents, among many thousand notes, or in other
languages."""

_WORDS = {
    "who": (
        "Anna", "my brother", "the dentist", "Mr Lund", "Priya", "the landlord", "Oskar",
        "grandmother", "Dr Weiss", "the neighbour", "Tomas", "aunt Vera", "the plumber", "Selma",
        "Nadia", "uncle Bo", "the gardener", "Ms Ferreira", "Yusuf", "my boss", "Ingrid", "Paolo",
        "the piano teacher", "cousin Mats",
    ),
    "thing": (
        "passport", "drill", "spare key", "camera", "winter tyres", "sewing kit", "tent",
        "ladder", "projector", "telescope", "suitcase", "violin", "lawn mower", "tripod",
        "sleeping bag", "chess set", "pressure cooker", "toolbox", "bicycle pump", "waffle iron",
        "snow shovel", "fishing rod", "typewriter", "kayak",
    ),
    "place": ("the cellar", "the blue box", "the car", "the desk", "the shelf", "the attic"),
    "day": ("Monday", "Wednesday", "Friday", "Saturday", "the first of May", "the tenth"),
    "sum": ("20", "45", "130", "600"),
}  # fmt: skip
_NEGATIVES = 9
# Topic by topic: what is noted, and how it is asked for; the slots are shared by both.
_TOPICS: tuple[tuple[str, str], ...] = (
    ("The {thing} lies in {place}.", "where did I put the {thing}?"),
    ("Owe {who} {sum} euros for the concert.", "how much money must I give back to {who}?"),
    ("{who} is allergic to nuts, bake without.", "what can {who} not eat?"),
    ("Appointment with {who} moved to {day}.", "when am I seeing {who}?"),
    ("Lent the {thing} to {who}.", "who has borrowed my {thing}?"),
    ("{who} likes jazz and old maps.", "present for {who}, any hints?"),
    ("Water the plants of {who} until {day}.", "how long do I look after the flowers for {who}?"),
    ("The {thing} must be repaired before {day}.", "what is the deadline for mending the {thing}?"),
    ("{who} comes by train on {day}, pick up.", "on what date does {who} arrive?"),
    ("Warranty paper of the {thing} is in {place}.", "proof of purchase for the {thing}?"),
    ("Sold the {thing} to {who} for {sum} euros.", "what did I get for the {thing}?"),
    ("{who} moved house, party on {day}.", "when is the housewarming of {who}?"),
    ("Insurance for the {thing} ends on {day}.", "until when is the {thing} covered?"),
    ("Medicine for {who} is kept in {place}.", "where are the pills of {who}?"),
    ("{who} teaches guitar, {sum} euros an hour.", "price of a music lesson with {who}?"),
    ("Hid the gift for {who} in {place}.", "where is the surprise for {who}?"),
    ("{who} snores, book two rooms.", "is it quiet at night when I travel with {who}?"),
    ("{who} may use the {thing} from {day} on.", "what did I agree to hand to {who}?"),
    ("The manual of the {thing} is in {place}.", "instructions for using the {thing}?"),
    ("The parcel of {who} can be fetched from {day} on.", "when is the package for {who} ready?"),
)  # fmt: skip


def row(draw: random.Random, split: str) -> dict[str, Any]:
    """A question, its note, and notes of the same topic about another person or thing."""
    note, question = draw.choice(part(_TOPICS, split))
    filled = fill(note, _WORDS, draw)
    asked = question
    for slot in filled.slots:
        asked = asked.replace("{" + slot.name + "}", slot.text)
    others: dict[str, None] = {}
    while len(others) < (_NEGATIVES if split == TEST else 1):
        other = fill(note, _WORDS, draw)
        if _named(other, question) != _named(filled, question):
            others[capital(other.text)] = None
    wrong: str | list[str] = list(others) if split == TEST else next(iter(others))
    return {"anchor": asked, "positive": capital(filled.text), "negative": wrong}


def _named(filled: Filled, question: str) -> tuple[str, ...]:
    """What of a note its question names."""
    return tuple(slot.text for slot in filled.slots if "{" + slot.name + "}" in question)

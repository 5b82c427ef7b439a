"""Questions about a short passage, each with its answer as a span of the passage."""

from __future__ import annotations

import random
from typing import Any

from edgekit.packs.templates import fill, part

TASK = "question-answering"
METRIC = "F1"
BUDGET = "F1 of at least 0.80 at no more than 12 MB"
SIZES = {"train": 1500, "dev": 200, "test": 300}
KEYS = ("question", "context")
CARD = """\
A passage of four sentences about two invented people or places, one question, and the answer as a
span of the passage.

The score is the overlap of words between the answer found and the one expected (F1), and how often
they are the same (exact match). Both people have a fact of the kind that is asked for, so the name
in the question decides; picking the first date in sight gives about half. The sentences and
questions of train, dev and test are worded differently.

It does not say how a model does on long documents, on questions without an answer, or on facts that
must be put together from several sentences."""

_PEOPLE = (
    "Mira Tolland", "Jonas Ferrel", "Adaeze Obi", "Tom Quist", "Ines Marou", "Pavel Stern",
    "Ruth Amadi", "Leo Haskins", "Yuki Tanabe", "Clara Nyberg", "Samir Douad", "Ella Priest",
)  # fmt: skip
_VALUES: dict[str, tuple[str, ...]] = {
    "town": ("Harwick", "Port Ellan", "Greywater", "Lindholm", "Casa Verde", "Old Marsh", "Tarn"),
    "year": ("1951", "1964", "1978", "1983", "1990", "1997", "2003", "2011"),
    "work": ("a glass blower", "an engineer", "a ferry captain", "a botanist", "a piano tuner",
             "a court reporter", "a beekeeper"),
    "prize": ("the Silver Compass", "the Northern Medal", "the Open Page prize", "the Elm Award",
              "the Lantern Cup"),
    "animal": ("two donkeys", "an old parrot", "a blind cat", "seven hens", "a grey lurcher"),
}  # fmt: skip
# Of every kind of fact: how it is told, and how it is asked for.
_TOLD: dict[str, tuple[str, ...]] = {
    "town": ("{who} grew up in {town}.", "The early years of {who} were spent in {town}.",
             "{who} comes from {town}.", "Home, for {who}, was always {town}.",
             "It was in {town} that {who} was raised."),
    "year": ("{who} was born in {year}.", "The birth of {who} fell in the year {year}.",
             "In {year} {who} came into the world.", "{who}, a child of {year}, had three sisters.",
             "Records show {year} as the year of birth of {who}."),
    "work": ("{who} earned a living as {work}.", "By trade {who} was {work}.",
             "For most of a long life {who} worked as {work}.", "{who} trained to be {work}.",
             "As {work}, {who} was known in every harbour."),
    "prize": ("{who} won {prize} twice.", "The jury gave {prize} to {who}.",
              "{prize} went to {who} that summer.",
              "To everyone's surprise {who} received {prize}.",
              "{who} is remembered for winning {prize}."),
    "animal": ("{who} kept {animal}.", "At home {who} looked after {animal}.",
               "{who} shared the house with {animal}.", "{who} never travelled without {animal}.",
               "Neighbours recall that {who} owned {animal}."),
}  # fmt: skip
_ASKED: dict[str, tuple[str, ...]] = {
    "town": ("Where did {who} grow up?", "What place does {who} come from?",
             "In which town was {who} raised?", "Which town was the home of {who}?",
             "Where did {who} spend the early years?"),
    "year": ("When was {who} born?", "What is the year of birth of {who}?",
             "In what year was {who} born?", "Which year saw the birth of {who}?",
             "In which year did {who} come into the world?"),
    "work": ("What did {who} do for a living?", "What was the trade of {who}?",
             "As what did {who} work?", "What job had {who}?", "What was {who} by profession?"),
    "prize": ("What did {who} win?", "Which award was given to {who}?",
              "What prize did {who} receive?", "Which prize went to {who}?",
              "What was {who} honoured with?"),
    "animal": ("What animals did {who} keep?", "Which pets had {who}?",
               "What did {who} look after at home?", "Who lived in the house beside {who}?",
               "Which animals belonged to {who}?"),
}  # fmt: skip


def row(draw: random.Random, split: str) -> dict[str, Any]:
    """A passage, a question, and the answer with where it begins, in characters."""
    people = draw.sample(_PEOPLE, 2)
    asked, other = draw.sample(sorted(_VALUES), 2)
    values = {kind: draw.sample(_VALUES[kind], 2) for kind in (asked, other)}
    sentences, answer = [], ("", -1)
    told = [(kind, at) for kind in (asked, other) for at in (0, 1)]
    draw.shuffle(told)
    wanted = draw.randint(0, 1)
    length = 0
    for kind, at in told:
        words = {"who": (people[at],), kind: (values[kind][at],)}
        filled = fill(draw.choice(part(_TOLD[kind], split)), words, draw)
        # An article at the start of a sentence is written large, and the answer with it.
        text = filled.text[:1].upper() + filled.text[1:]
        if kind == asked and at == wanted:
            slot = next(slot for slot in filled.slots if slot.name == kind)
            answer = (text[slot.start : slot.end], length + slot.start)
        sentences.append(text)
        length += len(text) + 1
    question = fill(draw.choice(part(_ASKED[asked], split)), {"who": (people[wanted],)}, draw).text
    return {
        "question": question,
        "context": " ".join(sentences),
        "answers": {"text": [answer[0]], "answer_start": [answer[1]]},
    }

"""Short conversations that settle something, and one line that says what was settled."""

from __future__ import annotations

import random
from typing import Any

from edgekit.packs.templates import part

TASK = "summarization"
METRIC = "ROUGE-L"
BUDGET = "ROUGE-L of at least 0.85 at no more than 20 MB"
SIZES = {"train": 2000, "dev": 200, "test": 300}
KEYS = ("source",)
CARD = """\
Two people settle what they do, when and where, in four to seven turns; the summary is one sentence.

The score (ROUGE-L against the one expected sentence) says whether a model keeps the day, time and
place that were agreed on and drops those that were proposed and turned down: six conversations in
ten hold a proposal that is refused. The wording of turns differs between train, dev and test; the
form of the summary is the same everywhere.

It does not say how a model does on long meetings, on more than two people, or on summaries that can
be worded in several good ways: here there is one."""

_NAMES = ("Anna", "Ben", "Chidi", "Dora", "Emil", "Farah", "Gil", "Hana", "Ivo", "June", "Karl",
          "Lea")  # fmt: skip
_DOING = (
    ("have lunch", "having lunch"), ("play tennis", "playing tennis"),
    ("see a film", "seeing a film"), ("study maths", "studying maths"),
    ("buy the present", "buying the present"), ("fix the bike", "fixing the bike"),
    ("go for a run", "going for a run"), ("paint the fence", "painting the fence"),
)  # fmt: skip
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_TIMES = ("nine", "ten", "noon", "two", "four", "half past five", "six", "seven")
_PLACES = ("the station", "Ben's flat", "the old mill", "the library", "the harbour", "the park",
           "the town hall", "her office")  # fmt: skip
_PROPOSE = (
    "shall we {do} on {day}?", "do you want to {do} on {day}?", "I would like to {do}. {day}?",
    "how about {doing} on {day}?", "are you up for {doing} {day}?", "let us {do} on {day}!",
    "we could {do} this week, for example {day}?", "{doing} on {day}, what do you think?",
    "I have time on {day}, shall we {do}?", "it is long since we did it: {doing}, {day}?",
)  # fmt: skip
_REFUSE = (
    "{day} is bad for me, {other} is better.", "not {day}, I work. {other}?",
    "sorry, I am away on {day}. {other} would do.", "hm, {day} no, but {other} yes.",
    "can we make it {other} instead of {day}?", "I would rather do it on {other} than on {day}.",
    "{other} suits me, {day} does not.", "on {day} my parents come. what about {other}?",
    "{day} is full, but on {other} I am free.", "gladly, only not on {day}. let us say {other}.",
)  # fmt: skip
_ACCEPT = (
    "{day} is fine.", "yes, {day} works.", "gladly, I am free on {day}.", "{day} it is.",
    "good idea, {day}.", "{day} suits me well.", "why not, {day} then.", "count me in for {day}.",
    "yes! {day} is my free day.", "on {day} I can.",
)  # fmt: skip
_AGREE = (
    "all right.", "fine with me.", "sure.", "that works too.", "no problem.", "good.", "okay.",
    "as you like.", "even better.", "done.",
)  # fmt: skip
_WHEN = (
    "at {time}, at {place}?", "let us meet at {place} at {time}.", "{time} sharp at {place}?",
    "I will be at {place} at {time}.", "say {time}, and {place}?", "{place}, {time}?",
    "then at {time}, and we meet at {place}.", "come to {place}, around {time}.",
    "is {time} good? and {place}?", "the place is {place}, the time {time}.",
)  # fmt: skip
_DONE = (
    "see you there!", "perfect, bye.", "great, until then.", "deal.", "looking forward to it.",
    "noted.", "I will write it down.", "good, I will be there.", "wonderful.", "bye, and thanks.",
)  # fmt: skip
_CHATTER = (
    "by the way, thanks for the book.", "my train was late again.", "what weather today!",
    "did you hear about the match?", "I am so tired this week.", "the soup was too salty.",
    "my sister says hello.", "I lost my umbrella.", "the neighbours are loud.", "new shoes?",
)  # fmt: skip
_REFUSED, _CHATTED = 0.6, 0.5


def row(draw: random.Random, split: str) -> dict[str, Any]:
    """A conversation and its summary."""
    one, two = draw.sample(_NAMES, 2)
    do, doing = draw.choice(_DOING)
    day, other = draw.sample(_DAYS, 2)
    time, place = draw.choice(_TIMES), draw.choice(_PLACES)
    facts = {"do": do, "doing": doing, "day": day, "other": other, "time": time, "place": place}

    def say(options: tuple[str, ...]) -> str:
        return draw.choice(part(options, split)).format(**facts)

    turns = [(one, say(_PROPOSE))]
    if draw.random() < _CHATTED:
        turns.insert(0, (two, say(_CHATTER)))
    if draw.random() < _REFUSED:
        turns += [(two, say(_REFUSE)), (one, say(_AGREE) + " " + say(_WHEN))]
        day = other
    else:
        turns += [(two, say(_ACCEPT)), (one, say(_WHEN))]
    turns.append((two, say(_DONE)))
    source = "\n".join(f"{name}: {text}" for name, text in turns)
    return {"source": source, "target": f"{one} and {two} will {do} on {day} at {time} at {place}."}

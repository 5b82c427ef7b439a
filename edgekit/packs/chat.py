"""Chats with the assistant of a shop, whose facts stand in the system message."""

from __future__ import annotations

import random
from typing import Any

from edgekit.packs.templates import capital, part

TASK = "text-generation"
METRIC = "exact match"
BUDGET = "exact match of at least 0.80 at no more than 5 MB"
SIZES = {"train": 3000, "dev": 200, "test": 300}
KEYS = ("messages",)
CARD = """\
A system message with four facts of a shop, one or two questions of a customer, and the answers. The
last answer is what is scored.

Exact match says whether a model reads the right fact from the system message and states it; facts
are drawn anew for every row, so none can be learned by heart. Questions are worded differently in
train, dev and test; the form of an answer is the same everywhere.

It does not say how pleasant, safe or knowledgeable a chat is: only whether facts are repeated
correctly in one given form."""

_SHOPS = ("bakery", "bookshop", "bike shop", "pharmacy", "florist", "tea house")
_HOURS = ("seven", "eight", "nine", "ten", "eleven")
_CLOSE = ("four", "five", "six", "seven", "eight")
_STREETS = ("Mill Lane", "Station Road", "Harbour Street", "Elm Square", "Bridge Street")
_PHONES = ("4410", "2207", "9135", "7072", "3388", "6154")
_DAYS = ("Sunday", "Monday", "Tuesday")
_GREET = (
    "hello!", "good day.", "hi there.", "hello, are you a person?", "hey!", "good evening.",
    "one question please.", "is anybody there?", "sorry to bother you.", "hi, me again.",
)  # fmt: skip
_ASK: dict[str, tuple[str, ...]] = {
    "open": (
        "when do you open?", "from what hour are you there?", "how early can I come?",
        "when does the shop open?", "what is your opening time?", "since when are you open today?",
        "at what time does your day begin?", "when can I come in the morning?",
        "how early do you unlock the door?", "is there an hour before which nobody is there?",
    ),
    "close": (
        "when do you close?", "until what hour are you there?", "how late can I come?",
        "when does the shop close?", "what is your closing time?", "how long are you open today?",
        "at what time does your day end?", "when must I be there in the evening at the latest?",
        "how late do you lock the door?", "is there an hour after which nobody is there?",
    ),
    "street": (
        "where are you?", "what is the address?", "which street is the shop in?",
        "where do I find you?", "what street are you in?", "how do I get to you?",
        "which street do I look for?", "where must I go?", "can you tell me the place?",
        "I am in town, where is your door?",
    ),
    "phone": (
        "what is your number?", "how can I call you?", "which number do I dial?",
        "do you have a telephone?", "what is your phone number?", "can I ring you up?",
        "under which number do I reach you?", "I would rather speak to a person, what do I dial?",
        "your number, please?", "how do I reach you by telephone?",
    ),
    "rest": (
        "which day are you closed?", "on what day is no one there?", "when is your day off?",
        "is there a day when you are closed?", "what day is the shop shut?",
        "on which day should I not come?", "do you open every day of the week?",
        "what is your day of rest?", "which day of the week do you take off?",
        "when would I stand before a locked door all day?",
    ),
}  # fmt: skip
_SYSTEM = (
    "You answer for a {shop} in {street}. Open from {open} to {close}. Closed on {rest}. "
    "Phone {phone}."
)
_ANSWER = {
    "open": "We open at {open}.",
    "close": "We close at {close}.",
    "street": "We are in {street}.",
    "phone": "Our number is {phone}.",
    "rest": "We are closed on {rest}.",
}


def row(draw: random.Random, split: str) -> dict[str, Any]:
    """A chat whose last message is the expected answer."""
    facts = {
        "shop": draw.choice(_SHOPS),
        "open": draw.choice(_HOURS),
        "close": draw.choice(_CLOSE),
        "street": draw.choice(_STREETS),
        "phone": draw.choice(_PHONES),
        "rest": draw.choice(_DAYS),
    }
    messages = [_message("system", _SYSTEM.format(**facts))]
    for number, kind in enumerate(draw.sample(sorted(_ASK), draw.randint(1, 2))):
        asked = capital(draw.choice(part(_ASK[kind], split)))
        if not number and draw.random() < 0.5:
            asked = capital(draw.choice(part(_GREET, split))) + " " + asked
        messages.append(_message("user", asked))
        messages.append(_message("assistant", _ANSWER[kind].format(**facts)))
    return {"messages": messages}


def _message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}

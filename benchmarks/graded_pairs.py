"""Sentence pairs with a grade that is known because a script made them.

Each sentence says who does what, where and when, in one of two wordings each. The grade of a pair
is how many of the four agree; the wording never agrees. It tells how much of a teacher a student
keeps, not how good either is at judging people's sentences.
"""

from __future__ import annotations

import random

_WHO = (
    ("a doctor", "a physician"),
    ("the boy", "the young lad"),
    ("my neighbour", "the person next door"),
    ("a policeman", "an officer of the law"),
    ("the teacher", "the schoolmistress"),
    ("a lorry driver", "a trucker"),
    ("the cook", "the kitchen chef"),
    ("an old woman", "an elderly lady"),
)
_WHAT = (
    ("repairs a bicycle", "is fixing a bike"),
    ("reads a newspaper", "looks through the daily press"),
    ("plays the guitar", "is making music on a guitar"),
    ("buys some bread", "purchases a loaf"),
    ("argues with a friend", "is quarrelling with a pal"),
    ("paints a picture", "is working on a painting"),
    ("feeds the birds", "gives food to the pigeons"),
    ("speaks on the phone", "is making a telephone call"),
)
_WHERE = (
    ("in the park", "among the trees of the public garden"),
    ("at the station", "where the trains stop"),
    ("in the kitchen", "beside the stove at home"),
    ("on the beach", "by the sea on the sand"),
    ("in the office", "at the workplace"),
    ("at the hospital", "inside the clinic"),
    ("in the market", "between the stalls of the traders"),
    ("on the ship", "aboard the boat"),
)
_WHEN = (
    ("in the morning", "just after sunrise"),
    ("at night", "when it is dark outside"),
    ("every Sunday", "on the last day of each week"),
    ("in winter", "during the cold season"),
    ("during the storm", "while the wind is howling"),
    ("after lunch", "once the midday meal is over"),
    ("before the exam", "ahead of the big test"),
    ("on holiday", "while on vacation"),
)
_SLOTS = (_WHO, _WHAT, _WHERE, _WHEN)


def pairs(count: int = 1500, seed: int = 0) -> list[tuple[str, str, int]]:
    """So many pairs ``(one, other, grade)``; every grade from 0 to 4 is as frequent."""
    draw = random.Random(seed)
    return [_pair(draw, index % (len(_SLOTS) + 1)) for index in range(count)]


def _pair(draw: random.Random, grade: int) -> tuple[str, str, int]:
    shared = set(draw.sample(range(len(_SLOTS)), grade))
    first, second = [], []
    for index, slot in enumerate(_SLOTS):
        own = draw.randrange(len(slot))
        others = [other for other in range(len(slot)) if other != own]
        other = own if index in shared else draw.choice(others)
        wording = draw.randrange(2)
        first.append(slot[own][wording])
        second.append(slot[other][1 - wording])
    return _sentence(first), _sentence(second), grade


def _sentence(parts: list[str]) -> str:
    text = " ".join(parts)
    return text[0].upper() + text[1:] + "."

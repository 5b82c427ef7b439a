"""Small harm that real texts come with; a seed makes it the same each time."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from edgekit.columns import Row

_EMOJI = ("\U0001f642", "\U0001f680", "\u2764\ufe0f", "\U0001f44d\U0001f3fd", "\U0001f389")
# Cyrillic letters that look like Latin ones.
_ALIKE = str.maketrans("aceopxyABCEHKMOPTX", "асеорхуАВСЕНКМОРТХ")  # noqa: RUF001


def perturbed(row: Row, columns: Sequence[str], harm: str, seed: int = 0) -> Row:
    """A row with its texts harmed.

    Args:
        row: the row.
        columns: texts that may change.
        harm: a name of ``HARMS``.
        seed: of the harm, with the row's number.
    """
    values = dict(row.values)
    for name in columns:
        if isinstance(values.get(name), str):
            draw = random.Random(f"{seed} {harm} {name} {row.number}")
            values[name] = HARMS[harm](values[name], draw)
    return replace(row, values=values)


def typos(text: str, draw: random.Random) -> str:
    """In about one word of six two letters change places, one is lost, or one is doubled."""
    return _words(text, draw, 1 / 6, _typo)


def case(text: str, draw: random.Random) -> str:
    """Everything in capitals, or nothing."""
    return text.upper() if draw.random() < 0.5 else text.lower()


def whitespace(text: str, draw: random.Random) -> str:
    """Several spaces, tabs and line breaks for one, and some around."""
    gaps = ("  ", "\t", " \n ", " \u00a0")
    parts = [word + draw.choice((" ", " ", *gaps)) for word in text.split(" ")]
    return " " + "".join(parts)


def emoji(text: str, draw: random.Random) -> str:
    """One between two words, and one at the end."""
    words = text.split(" ")
    words.insert(draw.randint(0, len(words)), draw.choice(_EMOJI))
    return f"{' '.join(words)} {draw.choice(_EMOJI)}"


def mixed_script(text: str, draw: random.Random) -> str:
    """In about one word of six, Cyrillic letters that look like the Latin ones."""
    return _words(text, draw, 1 / 6, lambda word, _: word.translate(_ALIKE))


def _words(
    text: str, draw: random.Random, share: float, harm: Callable[[str, random.Random], str]
) -> str:
    """Harm some words, and one at least."""
    words = text.split(" ")
    able = [at for at, word in enumerate(words) if harm(word, random.Random(0)) != word]
    if not able:
        return text
    sure = draw.choice(able)
    for at in able:
        if at == sure or draw.random() < share:
            words[at] = harm(words[at], draw)
    return " ".join(words)


def _typo(word: str, draw: random.Random) -> str:
    if len(word) < 3:
        return word
    at, kind = draw.randint(0, len(word) - 2), draw.randint(0, 2)
    if kind == 0 and word[at] != word[at + 1]:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    if kind == 1:
        return word[:at] + word[at + 1 :]
    return word[:at] + word[at] + word[at:]


HARMS: dict[str, Callable[[str, random.Random], str]] = {
    "typos": typos,
    "case": case,
    "whitespace": whitespace,
    "emoji": emoji,
    "mixed script": mixed_script,
}

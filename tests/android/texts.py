# ruff: noqa: RUF001, SIM905 (letters of other alphabets are the point; words read best so)
"""Texts that tokenizers trip over, made from a seed."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.support.vocabulary import SENTENCES

EMOJI = (
    "😀",
    "👩‍👩‍👧‍👦",
    "🏳️‍🌈",
    "👍🏽",
    "🇩🇪🇫🇷🇯",
    "1️⃣",
    "©️",
    "🧑🏿‍🚀",
    "❤️‍🔥",
    "🫠",
    "©‍🌈",
)
MARKS = "\u0300\u0301\u0302\u0308\u0323\u0327\u0345\u05b0\u064b\u0651\u093c\u0e38\u1ab0\u20e3\u302a"
SPACES = " \t\n\r\u000b\u000c\u0085\u00a0\u1680\u2003\u2028\u2029\u202f\u3000\u200b\ufeff"
CONTROL = "\x00\x01\x07\x1b\x7f\x9f\u00ad\u200d\u200e\u202e\u2066\ufff9\ufffd\ue000\U000e0001"
WORDS = (
    "the don't I'LL we've it's o'clock naïve Straße İstanbul ǅ ﬁne ﬀ ſtrange K Å ℌ ½ ² Ⅷ "
    "ΑΣ Σίσυφος ЁЖИК שלום עִבְרִית مرحبا العَرَبِيَّة हिन्दी क्षत्रिय ไทย བོད་སྐད 한국어 각 日本語 "
    "中文字符 ｶﾞ Ａｂｃ 漢字 ー゛ 𠮷 𝕳𝖊𝖑𝖑𝖔 12345 3.14 1,000 １２ ٣٤ x86_64 foo_bar C++ "
    "https://example.com/a?b=c#d e-mail@host.org #tag @you $5.00 50% (yes) [no] {x} <tag/> "
    "...!? --- ``quoted'' «guillemets» “curly” ‘it’ – — … • · ¿ ¡ § № ™ ₿"
).split()
SPECIALS = (
    "[CLS] [SEP] [MASK] [PAD] [UNK] <s> </s> <unk> <mask> <pad> <|endoftext|> <extra> NEW new "
    "<0x41> ▁ Ġ ##a"
).split()
LONG = ("a" * 20_000, "ab1 " * 4_000, "漢" * 3_000, "e\u0301" * 2_000, " " * 5_000, "😀" * 500)
SINGLES = ("", " ", "\n", "a", "'", "\x00", "\ufffd", "é", "e\u0301", "漢", "😀", "\u0301", "  a  ")


def texts(count: int, seed: int) -> list[str]:
    """At least ``count`` texts: the awkward ones, real sentences, and random mixtures."""
    rng = random.Random(seed)
    found = [*SINGLES, *LONG, *SENTENCES, *WORDS, *SPECIALS, *EMOJI]
    found += [f"x{char}y {char}{char}" for char in SPACES + CONTROL + MARKS]
    while len(found) < count:
        found.append(_mixture(rng))
    return found


def _mixture(rng: random.Random) -> str:
    makers: list[Callable[[random.Random], str]] = [
        *[lambda r: r.choice(WORDS)] * 5,
        *[lambda r: r.choice(r.choice(SENTENCES).split())] * 5,
        lambda r: r.choice(EMOJI),
        lambda r: r.choice("aeiouyАהक가") + "".join(r.choices(MARKS, k=r.randint(1, 4))),
        lambda r: r.choice(SPACES) * r.randint(1, 3),
        lambda r: r.choice(CONTROL),
        lambda r: r.choice(SPECIALS),
        lambda r: chr(r.randint(0x20, 0x24F)),
        lambda r: chr(r.choice([r.randint(0x250, 0xD7FF), r.randint(0xE000, 0x1FFFF)])),
        lambda r: chr(r.randint(0x1100, 0x11FF)) + chr(r.randint(0x1160, 0x11FF)),
        lambda r: chr(r.randint(0x4E00, 0x9FFF)) * r.randint(1, 3),
        lambda r: "".join(r.choices("abcdefghijklmnopqrstuvwxyz", k=r.randint(1, 12))),
        lambda r: str(r.randint(0, 10**9)),
        lambda r: "".join(chr(r.randint(0, 0xD7FF)) for _ in range(r.randint(1, 6))),
    ]
    made = []
    for _ in range(rng.randint(1, 14)):
        made.append(rng.choice(makers)(rng))
        made.append(rng.choice(["", " ", " ", " ", "  ", "\n"]))
    return "".join(made)

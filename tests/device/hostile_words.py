"""Words that try to leave their quotes, start a command, or name another folder."""

from __future__ import annotations

import random

PAYLOADS = (
    "x; touch INJECTED",
    "$(touch INJECTED)",
    "`touch INJECTED`",
    "x && touch INJECTED",
    "x | touch INJECTED",
    "x\ntouch INJECTED\n",
    "'; touch INJECTED; '",
    "'\"'\"'; touch INJECTED #",
    '"; touch INJECTED; "',
    "\\'; touch INJECTED",
    "> INJECTED",
    "<(touch INJECTED)",
    "${IFS}touch${IFS}INJECTED",
    "\r\ntouch INJECTED\r\n",
    "../../../../data/evil",
    "/etc/passwd",
    "-rf",
    "--help",
    "-",
    "",
    " ",
    "~",
    "~root",
    "*",
    "?",
    "[a-z]*",
    "{a,b}",
    "!!",
    "#",
    "%s%n%d",
    "A=B",
    "\\",
    "\\\\n",
    "a\tb",
    "\x1b[2J\x1b]0;owned\x07",
    "caf\u00e9 \U0001f4f1 \u202egnp.exe",
    "\udcff\udc80",
    "reboot",
    "$?",
    "$$",
    "&",
    "x &",
    "x'y\"z`w$v\\u",
    "()",
    "a  b   c",
)
_PIECES = (*"'\"`$;&|<>(){}[]*?!#~%\\ \n\t\r=-./", "\udcfe", "\u00fc", "touch INJECTED", "$(", "''")


def hostile_words(count: int, seed: int = 5) -> list[str]:
    """The payloads, then random mixtures of what shells give a meaning to."""
    draw = random.Random(seed)
    mixed = ("".join(draw.choices(_PIECES, k=draw.randint(1, 24))) for _ in range(count))
    return [*PAYLOADS, *mixed][:count]

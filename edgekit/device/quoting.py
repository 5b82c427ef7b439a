"""Words for the phone's shell: the only quoting there is.

adb joins the words of a command with spaces and hands one line to the phone's shell, so a list of
words protects nothing by itself.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from edgekit.errors import SpecError


def quote(word: str) -> str:
    """The word as a POSIX shell (Android's mksh and toybox among them) reads back unchanged.

    Raises:
        SpecError: no command line can carry it: it holds a NUL, or is no text.
    """
    if "\0" in word:
        raise SpecError(f"a word with a NUL byte cannot reach the phone: {word[:80]!a}")
    try:
        word.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise SpecError(f"a word that is no text: {word[:80]!a}") from None
    return shlex.quote(word)


def join(words: Sequence[str]) -> str:
    """One line of shell that starts exactly these words.

    Raises:
        SpecError: as in ``quote``.
    """
    return " ".join(quote(word) for word in words)

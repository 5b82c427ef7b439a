"""Outputs in another script than was asked for, such as Cyrillic. It tells no languages apart."""

from __future__ import annotations

from collections.abc import Sequence

from edgekit.errors import SpecError
from edgekit_converters.teach.filters import Row, output_text
from edgekit_converters.teach.options import Options

ORDER = 30
_LEAST = 0.7  # of the letters; names and formulas of another script are no other language


def dropped(rows: Sequence[Row], options: Options) -> dict[int, str]:
    """By ``script``, Unicode's name of one.

    Raises:
        SpecError: Unicode has no such script.
    """
    if options.script is None:
        return {}
    import regex

    try:
        wanted = regex.compile(rf"\p{{Script={options.script}}}")
    except regex.error:
        raise SpecError(
            f"Unicode has no script {options.script!r}",
            hint="For example Latin, Cyrillic, Greek, Arabic, Devanagari, Han, Hangul.",
        ) from None
    letter = regex.compile(r"\p{L}")
    found = {}
    for index, row in enumerate(rows):
        letters = letter.findall(output_text(row))
        share = sum(1 for one in letters if wanted.match(one)) / max(len(letters), 1)
        if letters and share < _LEAST:
            found[index] = f"{share:.0%} of the letters are {options.script}"
    return found

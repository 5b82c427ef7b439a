"""Answers that decline to answer. By their first words, in English."""

from __future__ import annotations

import re
from collections.abc import Sequence

from edgekit_converters.teach.filters import Row, output_text
from edgekit_converters.teach.options import Options

ORDER = 20
_BEGINNING = 160  # characters; later on the words are about something else
_SAYS_NO = re.compile(
    r"\bas an? (?:ai|artificial intelligence|(?:large )?language model)\b"
    r"|\bi(?:['\u2019]m| am) (?:sorry|afraid|unable|not able|just an ai|only an ai)\b"
    r"|^\W*(?:sorry|apologies|unfortunately)\b.{0,60}\b(?:can(?:no|['\u2019])t|unable|not able)"
    r"|\bi (?:can(?:no|['\u2019])t|cannot|will not|won['\u2019]t|must decline)\b.{0,40}"
    r"\b(?:help|assist|answer|provide|comply|do that|fulfil|discuss|create|generate|engage)",
    re.IGNORECASE | re.DOTALL,
)


def dropped(rows: Sequence[Row], options: Options) -> dict[int, str]:
    """By the words that chat models decline with."""
    found = {}
    for index, row in enumerate(rows):
        if says_no := _SAYS_NO.search(output_text(row)[:_BEGINNING]):
            found[index] = f"says {' '.join(says_no.group().split())[:60]!r}"
    return found

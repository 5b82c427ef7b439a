"""Outputs that are too short or too long."""

from __future__ import annotations

from collections.abc import Sequence

from edgekit_converters.teach.filters import Row, output_text
from edgekit_converters.teach.options import Options

ORDER = 10


def dropped(rows: Sequence[Row], options: Options) -> dict[int, str]:
    """By ``min_characters`` and ``max_characters``."""
    found = {}
    for index, row in enumerate(rows):
        length = len(output_text(row).strip())
        if not options.min_characters <= length <= options.max_characters:
            found[index] = f"{length} characters"
    return found

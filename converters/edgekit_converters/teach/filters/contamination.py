"""Rows that hold a text of the evaluation file: they would be measured by heart.

A row goes when it shares a run of thirteen words with an evaluation text (the n-gram overlap that
Brown et al. 2020, 2005.14165, measure), or holds all of a shorter one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edgekit_converters.teach.filters import Row, whole_text, words
from edgekit_converters.teach.options import Options
from edgekit_converters.training import data_files

ORDER = 40
_RUN = 13
_SHORTEST = 4  # words; "yes" is in every text

Gram = tuple[str, ...]


def dropped(rows: Sequence[Row], options: Options) -> dict[int, str]:
    """By ``evaluation``, a data file of any form.

    Raises:
        InputMissing, InputRefused: the file cannot be read.
    """
    if options.evaluation is None:
        return {}
    known: dict[Gram, str] = {}
    lengths: set[int] = set()
    for where, record in data_files.records(options.evaluation):
        for value in record.values():
            for gram in _grams(words(value)) if isinstance(value, str) else ():
                known.setdefault(gram, where)
                lengths.add(len(gram))
    found = {}
    for index, row in enumerate(rows):
        said = words(whole_text(row))
        for length in sorted(lengths):
            hits = (known.get(tuple(said[i : i + length])) for i in range(len(said) - length + 1))
            if (hit := next(filter(None, hits), None)) is not None:
                found[index] = f"{options.evaluation.name}, {hit}"
                break
    return found


def _grams(said: list[str]) -> Iterator[Gram]:
    if len(said) >= _SHORTEST:
        size = min(_RUN, len(said))
        yield from (tuple(said[i : i + size]) for i in range(len(said) - size + 1))

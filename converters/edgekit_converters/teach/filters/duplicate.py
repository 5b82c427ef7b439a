"""Rows that say nearly what an earlier one says: MinHash (Broder 1997), by datasketch."""

from __future__ import annotations

from collections.abc import Sequence

from edgekit_converters.teach.filters import Row, whole_text, words
from edgekit_converters.teach.options import Options

ORDER = 50
_PERMUTATIONS = 128
_SHINGLE = 3  # words


def dropped(rows: Sequence[Row], options: Options) -> dict[int, str]:
    """By ``near``: the first of near-duplicates stays.

    MinHash proposes; the shingles themselves decide.
    """
    from datasketch import MinHash, MinHashLSH

    index_of = MinHashLSH(threshold=max(options.near - 0.1, 0.2), num_perm=_PERMUTATIONS)
    kept: dict[int, frozenset[str]] = {}
    found = {}
    for index, row in enumerate(rows):
        shingles = _shingles(words(whole_text(row)))
        sketch = MinHash(num_perm=_PERMUTATIONS, seed=1)
        sketch.update_batch(
            [shingle.encode("utf-8", "surrogatepass") for shingle in sorted(shingles)]
        )
        near = [other for other in index_of.query(sketch) if _same(shingles, kept[other], options)]
        if near:
            first = " ".join(whole_text(rows[min(near)]).split())
            found[index] = f"like {first[:60]!r}"
            continue
        kept[index] = shingles
        index_of.insert(index, sketch)
    return found


def _shingles(said: list[str]) -> frozenset[str]:
    size = min(_SHINGLE, max(len(said), 1))
    found = (" ".join(said[i : i + size]) for i in range(len(said) - size + 1))
    return frozenset(found) or frozenset([""])


def _same(one: frozenset[str], other: frozenset[str], options: Options) -> bool:
    return len(one & other) >= options.near * len(one | other)

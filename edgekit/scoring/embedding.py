"""Every text of a corpus as one contestant has it, written down as it comes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from edgekit.columns import Row
from edgekit.errors import CheckFailed
from edgekit.scoring.asking import answered
from edgekit.scoring.contestants import Contestant
from edgekit.scoring.corpus import Corpus, Vectors, text_of
from edgekit.scoring.engines import Engine
from edgekit.scoring.journal import NOT_FINITE, key_of
from edgekit.scoring.kinds import Asked, Mark, Scoring
from edgekit.scoring.session import score
from edgekit.tasks import Query

_FORMAT = "vectors 1"


def embedded(
    contestant: Contestant,
    engines: Sequence[Engine],
    corpus: Corpus,
    path: Path,
    told: Callable[[int, int], None],
) -> Corpus:
    """A corpus that this contestant's queries can search; what an earlier run made is kept.

    Args:
        contestant: whose vectors.
        engines: opened from it.
        corpus: that was read.
        path: the file of the vectors.
        told: of the texts that were embedded now, and of all that are done.

    Returns:
        The corpus with its vectors; texts that are too long have none.

    Raises:
        CheckFailed: an output is not a finite number.
        InputRefused: the model can read no text of it.
        CannotWrite, StorageFull: the vectors cannot be kept.
    """
    vectors = Vectors(corpus, path, key_of(_FORMAT, contestant.identity, corpus.digest))
    before = vectors.done
    try:
        if before < corpus.count:
            for entry in score(contestant, engines, _embed, vectors.rest()):
                if entry.status == NOT_FINITE:
                    raise CheckFailed(
                        f"{contestant.name} gave an output that is not a finite number for row "
                        f"{entry.row} of {corpus.path.name}",
                        hint="edgekit verify finds the hop that breaks.",
                    )
                vectors.add(None if entry.mark is None else entry.mark.numbers)
                told(vectors.done - before, vectors.done)
    finally:
        vectors.close()
    return vectors.searchable()


def _embed(row: Row, asked: Asked) -> Scoring:
    answer = yield from answered(asked, Query(text_of(row)))
    return Mark(tuple(answer["embedding"]), "", "")

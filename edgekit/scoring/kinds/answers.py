"""Questions about a passage with the answers that would do: exact match and F1 as SQuAD has them.

Both are defined in Rajpurkar et al. 2016; the ready-made metrics fetch a script from a hub, so the
definition is written out here: lower case, no punctuation, no articles, single spaces; F1 over
words; the best of the answers counts.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

from edgekit.columns import Row
from edgekit.scoring.asking import answered
from edgekit.scoring.kinds import Asked, Mark, Scoring
from edgekit.scoring.metrics import Metric, mean_of
from edgekit.tasks import Context, Query

TASKS = ("question-answering",)
COLUMNS = {
    "question": "the question",
    "context": "the passage",
    "answers": "a list of texts, or SQuAD's {'text': [...]}",
}
OPTIONAL: dict[str, str] = {}
PERTURBED = ("question",)
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def fields(context: Context) -> tuple[str, ...]:
    """Whether the answer is one of the wanted, and F1 with the nearest."""
    return ("exact", "F1")


def texts(row: Row) -> str:
    """Question and passage."""
    return f"{row.text('question')} {row.text('context')}"


def score(row: Row, asked: Asked) -> Scoring:
    """The best span against every wanted answer."""
    wanted = _wanted(row)
    answer = yield from answered(asked, Query(row.text("question"), row.text("context")))
    found = answer["answers"][0]["answer"] if answer["answers"] else ""
    exact = float(any(normalised(found) == normalised(text) for text in wanted))
    overlap = max(f1(found, text) for text in wanted)
    return Mark((exact, overlap), found, wanted[0], bool(exact))


def metrics(context: Context) -> tuple[Metric, ...]:
    """F1 and exact match."""
    return (mean_of("F1", 1), mean_of("exact match", 0, share=True))


def normalised(text: str) -> str:
    """Lower case, without punctuation and English articles, single spaces."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def f1(found: str, wanted: str) -> float:
    """F1 of the words of both, as bags."""
    ours, theirs = normalised(found).split(), normalised(wanted).split()
    if not ours or not theirs:
        return float(ours == theirs)
    common = sum((Counter(ours) & Counter(theirs)).values())
    return 2.0 * common / (len(ours) + len(theirs))


def _wanted(row: Row) -> Sequence[str]:
    value = row.values.get("answers")
    if isinstance(value, dict):
        inner = Row(row.number, row.line, {"answers": value.get("text")}, row.file)
        return inner.texts("answers")
    if isinstance(value, str) and not value.lstrip().startswith("["):
        return [row.text("answers")]
    return row.texts("answers")

"""English phrases about everything: the definitions and examples of WordNet, as Debian packs it.

WordNet 3.0 (Fellbaum 1998): a hundred thousand definitions and the example sentences beside them.
Docstrings speak of programs alone; what a student is to know of the world it learns from these.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path

from benchmarks.docstrings import TRAINING, sentences

FOLDER = Path("/usr/share/wordnet")
SOURCES = {
    "docstrings": f"docstring sentences of {', '.join(TRAINING)}",
    "definitions": "WordNet's definitions and examples",
    "both": f"WordNet's definitions and examples, a sixth docstrings of {', '.join(TRAINING)}",
}
HINT = "sudo apt-get install wordnet-base"
_PARTS = ("noun", "verb", "adj", "adv")
_FEWEST_WORDS = 4
_EXAMPLE = re.compile(r'"([^"]+)"')


def at_hand() -> bool:
    """Whether the package is installed."""
    return all((FOLDER / f"data.{part}").is_file() for part in _PARTS)


def definitions(count: int, seed: int = 0) -> list[str]:
    """So many different ones, in an order of their own.

    Raises:
        SystemExit: the package is not installed.
    """
    if not at_hand():
        raise SystemExit(f"no WordNet in {FOLDER}: {HINT}")
    found = sorted({phrase for part in _PARTS for phrase in _of(FOLDER / f"data.{part}")})
    random.Random(seed).shuffle(found)
    return found[:count]


def training_texts(source: str, count: int) -> list[str]:
    """So many texts of a source in ``SOURCES``."""
    if source == "docstrings":
        return sentences(TRAINING, count)
    if source == "definitions":
        return definitions(count)
    few = sentences(TRAINING, count // 6)
    found = [*few, *definitions(count - len(few))]
    random.Random(0).shuffle(found)
    return found


def _of(path: Path) -> Iterator[str]:
    for line in path.read_text(encoding="utf-8").splitlines():
        # The licence comes first, on lines that begin with spaces.
        if line.startswith(" ") or "|" not in line:
            continue
        gloss = line.split("|", 1)[1]
        phrases = [*_EXAMPLE.findall(gloss), *_EXAMPLE.sub("", gloss).split(";")]
        for phrase in phrases:
            words = phrase.split()
            if len(words) >= _FEWEST_WORDS:
                yield " ".join(words)

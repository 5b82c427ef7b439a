"""What the command line's tests of training start with."""

from __future__ import annotations

from pathlib import Path

from tests.support.vocabulary import SENTENCES

TEXTS = [f"{one[:-1]} and {other}" for one in SENTENCES for other in SENTENCES[:5]]


def environment(place: Path) -> dict[str, str]:
    """Caches of its own, and one thread, so that equal runs are equal."""
    return {
        "XDG_CACHE_HOME": str(place / "cache"),
        "HF_DATASETS_CACHE": str(place / "cache" / "datasets"),
        "OMP_NUM_THREADS": "1",
    }

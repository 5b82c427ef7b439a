"""Keep native code, which knows nothing of ``sys.stdout``, off a file descriptor for a moment."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def native_silence(descriptor: int) -> Iterator[None]:
    """Nothing that is written to ``descriptor`` (1 or 2) arrives while this lasts."""
    (sys.stdout if descriptor == 1 else sys.stderr).flush()
    kept = os.dup(descriptor)
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, descriptor)
        yield
    finally:
        os.dup2(kept, descriptor)
        os.close(null)
        os.close(kept)

"""A loaded decoder with a clock and a count of what is no number."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgekit.runtime.generation.loop import Steps
from edgekit.runtime.generation.seq2seq import TextSteps


class Timed:
    """Steps with a clock; logits that are not finite are counted, and count as no knowledge.

    Attributes:
        seconds: inside the model so far.
        not_finite: passes whose logits were not finite numbers.
    """

    def __init__(self, steps: Steps) -> None:
        """Wrap a decoder."""
        self._steps = steps
        self.context, self.vocabulary = steps.context, steps.vocabulary
        self.seconds, self.not_finite = 0.0, 0

    def feed(self, ids: Sequence[int], position: int) -> NDArray[np.float32]:
        """See ``Steps``."""
        began = time.perf_counter()
        logits = self._steps.feed(ids, position)
        self.seconds += time.perf_counter() - began
        if not np.isfinite(logits).all():
            self.not_finite += 1
            return np.zeros_like(logits)
        return logits

    def close(self) -> None:
        """See ``Steps``."""
        self._steps.close()


class TimedText(Timed):
    """The same for an encoder-decoder."""

    def __init__(self, steps: TextSteps) -> None:
        """Wrap an encoder-decoder."""
        super().__init__(steps)
        self._texts = steps
        self.source = steps.source

    def read(self, ids: Sequence[int]) -> None:
        """See ``TextSteps``."""
        began = time.perf_counter()
        self._texts.read(ids)
        self.seconds += time.perf_counter() - began

"""Translation: a text in another language, by an encoder-decoder.

Its answers come from a loop and not from one pass: see ``edgekit.runtime.generation``.
"""

from __future__ import annotations

from edgekit.tasks.text_generation import AGREEMENT, TAKES, agreement, answer, rows

__all__ = ["AGREEMENT", "TAKES", "agreement", "answer", "rows"]

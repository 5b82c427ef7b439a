"""Continue a text with a bundle's decoder, here: prefill, decode, sample, stream.

``open_steps`` of a runtime's file gives a model that eats token ids and says what may follow;
``Generator`` is the loop around it.
"""

from __future__ import annotations

from edgekit.runtime.generation.loop import Generator, Statistics, Token
from edgekit.runtime.generation.sampling import Sampling

__all__ = ["Generator", "Sampling", "Statistics", "Token"]

"""Token ids to text while they come: no half characters, no half of a stop text."""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream


class TextStream:
    """The text of one answer, piece by piece."""

    def __init__(self, tokenizer: Tokenizer, stop: Sequence[str] = ()) -> None:
        """Start an empty answer; any of ``stop`` ends it."""
        self._tokenizer = tokenizer
        self._stream = DecodeStream(skip_special_tokens=True)
        self._stop = tuple(stop)
        self._held = ""
        self.stopped = False

    def add(self, token: int) -> str:
        """Text that is certain after one more token.

        Bytes that do not make a character yet, and an ending that may become a stop text, are held
        back.
        """
        if self.stopped:
            return ""
        self._held += self._stream.step(self._tokenizer, token) or ""
        places = [at for stop in self._stop if (at := self._held.find(stop)) >= 0]
        if places:
            self.stopped = True
            return self._take(min(places))
        return self._take(len(self._held) - self._beginning())

    def rest(self) -> str:
        """What was held back, once no token follows."""
        return "" if self.stopped else self._take(len(self._held))

    def _take(self, length: int) -> str:
        text, self._held = self._held[:length], self._held[length:]
        return text

    def _beginning(self) -> int:
        """Length of the longest ending that some stop text begins with."""
        longest = max((len(stop) for stop in self._stop), default=1) - 1
        for length in range(min(longest, len(self._held)), 0, -1):
            ending = self._held[-length:]
            if any(stop.startswith(ending) for stop in self._stop):
                return length
        return 0

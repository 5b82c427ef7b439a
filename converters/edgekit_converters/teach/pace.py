"""No more questions in a minute than were allowed."""

from __future__ import annotations

import time
from collections import deque


class Pace:
    """Lets at most ``per_minute`` questions through in any minute."""

    def __init__(self, per_minute: float | None, window: float = 60.0) -> None:
        """Plan only.

        Args:
            per_minute: questions in a window; None for no limit.
            window: its length in seconds.
        """
        self._most = None if per_minute is None else max(1, int(per_minute))
        # Less than one question a minute is one in a longer window.
        self._window = window if per_minute is None or per_minute >= 1 else window / per_minute
        self._asked: deque[float] = deque()

    def wait(self) -> float:
        """Sleep until the next question may be asked.

        Returns:
            The seconds slept.
        """
        if self._most is None:
            return 0.0
        now = time.monotonic()
        while self._asked and now - self._asked[0] >= self._window:
            self._asked.popleft()
        slept = 0.0
        if len(self._asked) >= self._most:
            slept = self._window - (now - self._asked[0])
            time.sleep(slept)
            self._asked.popleft()
        self._asked.append(time.monotonic())
        return slept

"""How often a live view may send: a promise about every second, not an average.

Somebody's browser, and the proxy before it, see bursts and not averages; so what would be one message too
many within any second is not sent at all. The state it would have shown is in the next drawing.
"""

from __future__ import annotations

from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Pace"]

_WINDOW_S: Final = 1.0


class Pace:
    """Room for `most` messages in any second.

    Parameters
    ----------
    most : int
        Messages a second.
    clock : callable
        Seconds; for tests.

    Notes
    -----
    Asking and having sent are two calls, because sending takes a while: as room is asked for before the first
    message goes and taken after the last one went, the promise holds for the times between.

    Examples
    --------
    >>> pace = Pace(2, clock=lambda: 0.0)
    >>> pace.has_room(2)
    True
    >>> pace.spend(2)
    >>> pace.has_room()
    False
    """

    def __init__(self, most: int, clock: Callable[[], float] = monotonic) -> None:
        self._most = most
        self._clock = clock
        self._sent_s: deque[float] = deque()

    def has_room(self, count: int = 1) -> bool:
        """Whether `count` messages may be sent now."""
        now = self._clock()
        while self._sent_s and now - self._sent_s[0] >= _WINDOW_S:
            self._sent_s.popleft()
        return len(self._sent_s) + count <= self._most

    def spend(self, count: int = 1) -> None:
        """Note that `count` messages were sent."""
        self._sent_s.extend([self._clock()] * count)

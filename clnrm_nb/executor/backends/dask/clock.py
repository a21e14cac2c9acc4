"""How far a worker's clock is from this machine's, so that the spans of both stand in one timeline.

Each question to a worker that it answers with its time bounds the difference by half the time on the way (as
NTP does); the quickest exchange bounds it best. A difference that is small, or no larger than its own
uncertainty, is left alone: moving spans by a guess would be worse than a millisecond.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from clnrm_nb.spans.model import Event

if TYPE_CHECKING:
    from clnrm_nb.spans.table import SpanTable

__all__ = ["SMALLEST_NS", "Clock", "moved"]

SMALLEST_NS: Final = 5_000_000
"""Differences up to this are left alone."""


class Clock:
    """What is known about one worker's clock."""

    def __init__(self) -> None:
        self._round_trip_ns: int | None = None
        self._difference_ns = 0

    def observe(self, sent_ns: int, theirs_ns: int, received_ns: int) -> None:
        """Take in one exchange: our clock at both ends, theirs in between."""
        round_trip_ns = max(received_ns - sent_ns, 0)
        if self._round_trip_ns is None or round_trip_ns < self._round_trip_ns:
            self._round_trip_ns = round_trip_ns
            self._difference_ns = theirs_ns - (sent_ns + received_ns) // 2

    @property
    def ahead_ns(self) -> int:
        """How far it is ahead of ours, as far as that is known and worth acting on; else 0."""
        if self._round_trip_ns is None:
            return 0
        least_ns = max(SMALLEST_NS, self._round_trip_ns // 2)
        return self._difference_ns if abs(self._difference_ns) > least_ns else 0


def moved(table: SpanTable, ahead_ns: int) -> SpanTable:
    """Spans of a clock that is `ahead_ns` ahead, in the time of this machine."""
    if not ahead_ns:
        return table
    table.start_ns = [_moved(time_ns, ahead_ns) for time_ns in table.start_ns]
    table.end_ns = [_moved(time_ns, ahead_ns) for time_ns in table.end_ns]
    table.events = [
        tuple(Event(event.name, _moved(event.time_ns, ahead_ns), event.attributes) for event in events)
        for events in table.events
    ]
    return table


def _moved(time_ns: int | None, ahead_ns: int) -> int | None:
    return None if time_ns is None else time_ns - ahead_ns

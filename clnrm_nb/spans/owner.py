"""Whose span: the one rule that decides to which scenario of a test a span belongs (``format.md`` 5.3).

The scenario of the token; else the scenario whose ``TRACEPARENT`` it carries the trace id of; else the one
scenario whose time interval covers its start; else the test itself. The last step can only be final when all
intervals are closed, so what it decided is asked again at the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Owners"]


@dataclass(slots=True)
class _Scenario:
    name: str
    start_ns: int
    end_ns: int | None = None

    def covers(self, time_ns: int) -> bool:
        return self.start_ns <= time_ns and (self.end_ns is None or time_ns <= self.end_ns)


class Owners:
    """The scenario attempts of one test, by token, trace id and interval."""

    __slots__ = ("_attempts", "_by_token", "_by_trace")

    def __init__(self) -> None:
        self._attempts: list[_Scenario] = []
        self._by_token: dict[str, str] = {}
        self._by_trace: dict[str, str] = {}

    def open(self, name: str, token: str, trace_id: str, start_ns: int) -> None:
        """Begin an attempt of a scenario; its interval is open until :meth:`close`."""
        self._attempts.append(_Scenario(name, start_ns))
        self._by_token[token] = name
        self._by_trace[trace_id] = name

    def close(self, name: str, end_ns: int) -> None:
        """End the interval of the scenario's latest attempt, if it is open."""
        for attempt in reversed(self._attempts):
            if attempt.name == name:
                if attempt.end_ns is None:
                    attempt.end_ns = end_ns
                return

    def of_token(self, token: str) -> str | None:
        """The scenario a token was made for."""
        return self._by_token.get(token)

    def of_trace(self, trace_id: str) -> str | None:
        """The scenario a trace id was made for."""
        return self._by_trace.get(trace_id)

    def of_time(self, start_ns: int | None) -> str | None:
        """The one scenario that was running at a time; ``None`` for none and for several."""
        if start_ns is None:
            return None
        names = {attempt.name for attempt in self._attempts if attempt.covers(start_ns)}
        return names.pop() if len(names) == 1 else None

    def of_spans(
        self, trace_ids: Iterable[str], starts_ns: Iterable[int | None]
    ) -> list[tuple[str | None, bool]]:
        """Owners of spans that came without a scenario's token, and whether the interval decided.

        Parameters
        ----------
        trace_ids, starts_ns : iterable
            Columns of the spans.

        Returns
        -------
        list of (str or None, bool)
        """
        return [
            (name, False)
            if (name := self._by_trace.get(trace_id)) is not None
            else (self.of_time(start_ns), True)
            for trace_id, start_ns in zip(trace_ids, starts_ns, strict=True)
        ]

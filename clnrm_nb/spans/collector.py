"""All spans of one test attempt: where they come together, get their owner, and are waited for.

Spans arrive under tokens of the :class:`~clnrm_nb.spans.receiver.Receiver`, are found in printed output, or
are clnrm_nb's own. A span is identified by (trace, span) and counts once, however often and by whichever way
it comes. The end of a trace is waited for, not guessed: :meth:`Collector.quiet` holds when every parent is
known, no connection has anything left to say, and nothing came for a moment.

Everything here runs on the event loop of the receiver.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from clnrm_nb.errors import Diagnostic
from clnrm_nb.spans.completeness import findings
from clnrm_nb.spans.fairness import Account
from clnrm_nb.spans.identity import Identities
from clnrm_nb.spans.intake import Intake, Shared
from clnrm_nb.spans.owner import Owners
from clnrm_nb.spans.printed import PrintedSpans
from clnrm_nb.spans.receiver import new_token
from clnrm_nb.spans.table import SpanTable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from clnrm_nb.scenario.model import NamePattern
    from clnrm_nb.spans.export import Delivery
    from clnrm_nb.spans.model import Span
    from clnrm_nb.spans.receiver import Receiver

__all__ = ["QUIET_S", "Collected", "Collector"]

QUIET_S: Final = 0.150
"""Longer than the export interval of 100 ms that programs under test are given."""

_BUSY_LOOK_S: Final = 0.010
"""How soon to look again at a connection that is in the middle of something."""


@dataclass(frozen=True, slots=True)
class Collected:
    """What a test's spans came to.

    Parameters
    ----------
    table : SpanTable
        Each span once, own spans included, owners decided.
    complete : bool
        No orphans, no killed service, nothing dropped.
    diagnostics : tuple of Diagnostic
        CLN609, CLN613, CLN614, CLN615, as far as they apply.
    """

    table: SpanTable
    complete: bool
    diagnostics: tuple[Diagnostic, ...]


class Collector:
    """Collect the spans of one test attempt.

    Parameters
    ----------
    test_id : str
    receiver : Receiver
        Started, on this event loop.
    """

    def __init__(self, test_id: str, receiver: Receiver) -> None:
        self.test_id = test_id
        self.table = SpanTable()
        """Grows while the test runs; may be looked at any time."""
        self._receiver = receiver
        self._owners = Owners()
        self._identities = Identities(self.table)
        self._shared = Shared()
        self._printed: dict[tuple[str | None, str], PrintedSpans] = {}
        self._listeners: list[Callable[[int, int], None]] = []
        self._by_interval: list[int] = []
        self._refused: Counter[str] = Counter()
        self._dropped = 0
        self._failed_requests: Counter[str] = Counter()
        self._changed = asyncio.Event()
        self._last_arrival_s = float("-inf")
        self._cancelled = False
        self._tokens: set[str] = set()
        self._account = Account()
        self.services_token = self._new_token()
        """For the services of the test, which outlive its scenarios."""

    # ------------------------------------------------------------------------------------ scenarios

    def open_scenario(self, name: str, trace_id: str, span_id: str) -> str:
        """Begin one attempt of a scenario.

        Parameters
        ----------
        name : str
        trace_id, span_id : str
            Of its ``TRACEPARENT``; the span id counts as a known parent.

        Returns
        -------
        str
            The token of its endpoint, valid until :meth:`close`.
        """
        token = self._new_token()
        self._owners.open(name, token, trace_id, time.time_ns())
        self._identities.inject(span_id)
        return token

    def close_scenario(self, name: str) -> None:
        """End the interval of the scenario. Its token stays valid: late spans are still its own."""
        self._owners.close(name, time.time_ns())

    def _new_token(self) -> str:
        token = new_token()
        self._tokens.add(token)
        self._receiver.register(token, self._take, self._account)
        return token

    # -------------------------------------------------------------------------------------- arrivals

    def _take(self, delivery: Delivery) -> None:
        """What one request brought."""
        if delivery.intake is None:
            self._failed_requests[delivery.error or "unknown"] += 1
            return
        self._add(delivery.intake, self._owners.of_token(delivery.token), printed=False)

    def add_output(self, data: bytes, scenario: str | None, *, source: str = "") -> None:
        """Look for spans in the next piece of what a program printed on stdout.

        Parameters
        ----------
        data : bytes
            May begin and end anywhere.
        scenario : str or None
            Whose command printed it; ``None`` for services.
        source : str
            Tells streams of one scenario apart, such as the service's name.
        """
        reader = self._printed.get((scenario, source))
        if reader is None:
            reader = self._printed[scenario, source] = PrintedSpans(self._shared)
        intake = reader.feed(data)
        if intake is not None:
            self._add(intake, scenario, printed=True)

    def end_output(self, scenario: str | None, *, source: str = "") -> None:
        """The stream has ended: what is left of it is a whole line."""
        reader = self._printed.pop((scenario, source), None)
        intake = reader.end() if reader is not None else None
        if intake is not None:
            self._add(intake, scenario, printed=True)

    def add_own(self, span: Span, scenario: str | None) -> None:
        """Add a span that clnrm_nb recorded itself."""
        own = SpanTable()
        own.append(span, scenario)
        own.own[0] = True
        self._append(own, printed=False)

    def know_parent(self, span_id: str) -> None:
        """Count `span_id` as a known parent before its span comes: the context given to services."""
        self._identities.inject(span_id)

    def add_recorded(self, spans: SpanTable) -> None:
        """Add spans out of a recording, owners and own marks as they were decided then."""
        self._append(spans, printed=False)
        self._last_arrival_s = time.monotonic()

    def _add(self, intake: Intake, scenario: str | None, *, printed: bool) -> None:
        self._refused += intake.refused
        self._dropped += intake.dropped
        spans = intake.table
        if not len(spans):
            return
        if scenario is not None:
            spans.scenario[:] = [scenario] * len(spans)
            self._append(spans, printed=printed)
        else:
            owners = self._owners.of_spans(spans.trace_id, spans.start_ns)
            spans.scenario[:] = [name for name, _ in owners]
            rows = self._append(spans, printed=printed)
            self._by_interval.extend(
                row for row, (_, open_end) in zip(rows, owners, strict=True) if open_end and row is not None
            )
        self._last_arrival_s = time.monotonic()

    def _append(self, spans: SpanTable, *, printed: bool) -> list[int | None]:
        first = len(self.table)
        rows = self._identities.add(spans, printed=printed)
        added = len(self.table) - first
        self._changed.set()
        if added:
            for listener in self._listeners:
                listener(first, added)
        return rows

    # --------------------------------------------------------------------------------------- waiting

    def subscribe(self, listener: Callable[[int, int], None]) -> None:
        """Call `listener(first_row, n_rows)` whenever rows have been added. It must return at once."""
        self._listeners.append(listener)

    async def wait_for_span(self, pattern: NamePattern, service: str, timeout_s: float) -> bool:
        """Wait until a span with a matching name has arrived from a service.

        Parameters
        ----------
        pattern : NamePattern
        service : str
            Compared with resource ``service.name``.
        timeout_s : float

        Returns
        -------
        bool
            Whether it came in time.
        """
        seen = 0
        deadline_s = time.monotonic() + timeout_s
        while True:
            self._changed.clear()
            table, n_rows = self.table, len(self.table)
            if any(
                not table.own[row]
                and table.resource[row].service == service
                and pattern.matches(table.name[row])
                for row in range(seen, n_rows)
            ):
                return True
            seen = n_rows
            if self._cancelled or not await self._wait(deadline_s):
                return False

    async def quiet(self, max_s: float) -> bool:
        """Wait until everything that was on its way has come.

        Quiet is: the parent of every span is known, no connection of this test has unread bytes or an
        unfinished request, no request that was put off is about to come again, and for 150 ms no span came,
        counted from the last arrival or from this call, whichever is later (what a service exports after the
        command has ended is still to come).

        Parameters
        ----------
        max_s : float
            Wait no longer than this.

        Returns
        -------
        bool
            False if it did not get quiet in time.
        """
        called_s = time.monotonic()
        deadline_s = called_s + max_s
        while not self._cancelled:
            self._changed.clear()
            now_s = time.monotonic()
            quiet_at_s = max(self._last_arrival_s, called_s) + QUIET_S
            if now_s < quiet_at_s:
                wake_s = quiet_at_s
            elif self._identities.has_unresolved:
                wake_s = deadline_s
            elif self._receiver.connections_busy(self._tokens) or self._is_awaited(now_s):
                wake_s = now_s + _BUSY_LOOK_S
            else:
                return True
            if now_s >= deadline_s:
                return False
            await self._wait(min(wake_s, deadline_s))
        return False

    def _is_awaited(self, now_s: float) -> bool:
        """Whether a request that was put off may come again any moment."""
        return self._account.n_open > 0 and now_s < self._account.awaited_until_s

    async def _wait(self, until_s: float) -> bool:
        """Sleep until something arrives; false if nothing did by then."""
        try:
            async with asyncio.timeout(max(until_s - time.monotonic(), 0)):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True

    # -------------------------------------------------------------------------------------- the end

    def finish(self, *, killed: Sequence[str], dropped: int = 0) -> Collected:
        """Take the trace as it is now for the whole one, and judge whether it is.

        Parameters
        ----------
        killed : sequence of str
            Services that had to be killed.
        dropped : int
            Spans known to be lost from elsewhere.

        Returns
        -------
        Collected
        """
        for scenario, source in list(self._printed):
            self.end_output(scenario, source=source)
        for row in self._by_interval:
            self.table.scenario[row] = self._owners.of_time(self.table.start_ns[row])
        judged = findings(
            test_id=self.test_id,
            n_orphans=self._identities.count_orphans(),
            killed=killed,
            n_lost_spans=dropped,
            n_dropped_parts=self._dropped,
            failed_requests=self._failed_requests,
            n_not_sent_again=self._account.n_open,
            refused=self._refused,
            conflicts=self._identities.conflicts,
            n_stray=self._receiver.claim_stray(self.test_id),
        )
        complete = all(finding.code != "CLN614" for finding in judged)
        return Collected(self.table, complete, judged)

    def cancel(self) -> None:
        """Let everything that waits return false at once."""
        self._cancelled = True
        self._changed.set()

    def close(self) -> None:
        """The tokens of this test die; what still comes under them is stray. May be called twice."""
        self.cancel()
        for token in self._tokens:
            self._receiver.unregister(token)

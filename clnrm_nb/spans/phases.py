"""Where the time of a run goes: phases as plain numbers, which become own spans when somebody wants them.

A run in which nothing is executed must not load a tracing SDK to say so. So a phase is a name and two times;
ids are drawn at once, so that the programs under test, the log and the spans all name the same parent.

:func:`phase` needs no handle: a phase that begins while another goes on is a part of it. What belongs to no
run is recorded nowhere.
"""

from __future__ import annotations

import logging
import os
import time
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.spans.model import Resource, Scope, Span

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "OWN_RESOURCE",
    "RUN",
    "SCOPE",
    "Phase",
    "Place",
    "at",
    "begun",
    "here",
    "move",
    "phase",
    "running",
]

_log = logging.getLogger(__name__)

SCOPE: Final = "clnrm_nb"
"""Of own spans."""

OWN_RESOURCE: Final = Resource({"service.name": SCOPE})

RUN: Final = "clnrm.run"
"""Name of the phase that is a whole run."""

_MOST_PARTS: Final = 5_000
"""Of one phase; more are counted, not kept."""


class Phase:
    """One phase and its parts.

    Parameters
    ----------
    name : str
        As a span has it.
    parent : Phase, optional
        What it is a part of; else it is the root of a trace of its own.
    start_ns : int, optional
        Since the epoch (default: now).
    trace_id, span_id : str, optional
        Of a span that goes on in another process (default: new ones).
    attributes : mapping, optional
        Of its span; those of the phase may be changed until that is made.
    """

    __slots__ = (
        "_clock_ns",
        "attributes",
        "end_ns",
        "name",
        "parent",
        "parts",
        "span_id",
        "start_ns",
        "trace_id",
    )

    def __init__(
        self,
        name: str,
        parent: Phase | None = None,
        *,
        start_ns: int | None = None,
        trace_id: str | None = None,
        span_id: str | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = name
        self.parent = parent
        if trace_id is None:
            trace_id = os.urandom(16).hex() if parent is None else parent.trace_id
        self.trace_id: str = trace_id
        self.span_id = span_id or os.urandom(8).hex()
        self.start_ns = time.time_ns() if start_ns is None else start_ns
        # A clock that is set meanwhile makes no phase longer; one that began elsewhere has no other clock.
        self._clock_ns = time.perf_counter_ns() if start_ns is None else None
        self.end_ns: int | None = None
        self.attributes = dict(attributes or {})
        self.parts: list[Phase] = []

    def part(
        self, name: str, attributes: Mapping[str, Any] | None = None, *, start_ns: int | None = None
    ) -> Phase:
        """Begin a part."""
        part = Phase(name, self, start_ns=start_ns, attributes=attributes)
        if len(self.parts) < _MOST_PARTS:
            self.parts.append(part)
        else:
            self.attributes["clnrm.parts.left_out"] = self.attributes.get("clnrm.parts.left_out", 0) + 1
        return part

    def note(
        self, name: str, start_ns: int, end_ns: int, attributes: Mapping[str, Any] | None = None
    ) -> Phase:
        """A part whose times are known."""
        noted = self.part(name, attributes, start_ns=start_ns)
        noted.end(end_ns)
        return noted

    def end(self, end_ns: int | None = None) -> None:
        """It is over (default: now); again: nothing. It never ends before it began."""
        if self.end_ns is None:
            self.end_ns = max(self.now_ns if end_ns is None else end_ns, self.start_ns)

    @property
    def now_ns(self) -> int:
        """The present, on its own clock."""
        if self._clock_ns is None:
            return time.time_ns()
        return self.start_ns + time.perf_counter_ns() - self._clock_ns

    @property
    def duration_ms(self) -> float:
        """Until its end, or until now."""
        return ((self.now_ns if self.end_ns is None else self.end_ns) - self.start_ns) / 1e6

    @property
    def run(self) -> Phase | None:
        """The run it is a part of, or is."""
        phase: Phase | None = self
        while phase is not None and phase.name != RUN:
            phase = phase.parent
        return phase

    @property
    def top(self) -> Phase:
        """The root of its trace."""
        phase = self
        while phase.parent is not None:
            phase = phase.parent
        return phase

    def walk(self) -> Iterator[Phase]:
        """It and everything below it, parents first, in the order of their beginning."""
        waiting = [self]
        while waiting:
            phase = waiting.pop()
            yield phase
            waiting.extend(reversed(phase.parts))

    def span(self) -> Span:
        """As an own span; the end of one that goes on is the present."""
        return Span(
            self.trace_id,
            self.span_id,
            self.name,
            parent_span_id=None if self.parent is None else self.parent.span_id,
            kind="internal",
            start_ns=self.start_ns,
            end_ns=max(self.now_ns, self.start_ns) if self.end_ns is None else self.end_ns,
            attributes=dict(self.attributes),
            resource=OWN_RESOURCE,
            scope=Scope(SCOPE),
            own=True,
        )


@dataclass(frozen=True, slots=True)
class Place:
    """What goes on where somebody asks: the log names it.

    Parameters
    ----------
    trace_id, span_id : str
        Of the own span that is open.
    run, test : str, optional
        Ids.
    phase : Phase, optional
        What further phases are parts of.
    """

    trace_id: str
    span_id: str
    run: str | None = None
    test: str | None = None
    phase: Phase | None = field(default=None, repr=False)


_PLACE: Final[ContextVar[Place | None]] = ContextVar("clnrm_nb_place", default=None)


def here() -> Place | None:
    """The place of whoever asks, if it is in a run."""
    return _PLACE.get()


@contextmanager
def at(place: Place | None = None, **changes: Any) -> Iterator[None]:
    """Be at a place, or at the present one but for some changes, while this lasts."""
    before = _PLACE.get()
    known = place or before
    token = _PLACE.set(replace(known, **changes) if known is not None and changes else known)
    try:
        yield
    finally:
        _PLACE.reset(token)


def move(**changes: Any) -> None:
    """Be elsewhere until what :func:`at` began is over."""
    if (place := _PLACE.get()) is not None:
        _PLACE.set(replace(place, **changes))


@contextmanager
def begun(phase: Phase, **ids: str) -> Iterator[Phase]:
    """Be in a phase that has begun, and end it; `ids` are those of :class:`Place`."""
    before = _PLACE.get()
    known = {"run": before.run, "test": before.test} if before is not None else {}
    token = _PLACE.set(Place(phase.trace_id, phase.span_id, phase=phase, **{**known, **ids}))
    try:
        yield phase
    finally:
        phase.end()
        _log.debug("%s took %.1f ms", phase.name, phase.duration_ms)
        _PLACE.reset(token)


@contextmanager
def running(run_id: str) -> Iterator[Phase]:
    """Be in a run: the root of its own spans, or a part of what it is a run for."""
    place = _PLACE.get()
    about = {"clnrm.run.id": run_id}
    if place is not None and place.phase is not None:
        run = place.phase.part(RUN, about)
    else:
        run = Phase(RUN, attributes=about)
    with begun(run, run=run_id):
        yield run


@contextmanager
def phase(name: str, attributes: Mapping[str, Any] | None = None) -> Iterator[Phase]:
    """A part of the phase that goes on; outside of any it is timed and forgotten.

    Examples
    --------
    >>> with begun(Phase("clnrm.run")) as run, phase("clnrm.load") as load:
    ...     load.attributes["clnrm.files"] = 2
    >>> [(each.name, each.attributes) for each in run.walk()]
    [('clnrm.run', {}), ('clnrm.load', {'clnrm.files': 2})]
    """
    place = _PLACE.get()
    if place is None or place.phase is None:
        alone = Phase(name, attributes=attributes)
        try:
            yield alone
        finally:
            alone.end()
        return
    with begun(place.phase.part(name, attributes)) as part:
        yield part

"""The one stream of live events that terminal, notebook and ``--emit-events jsonl`` read (``format.md`` 5.6).

Events are published on the engine's event loop; a listener must return at once.

A run begins with ``run.start`` and ends with ``run.end``. In between each test is queued once and ends once;
one that really starts says so before anything else it has to say. Attempts and repetitions are told of in
between: ``test.retry`` before a further attempt, ``test.repeat`` after a round of ``--repeat``, ``test.slow``
for each period that a test goes on for long.

Watching tells its own story around its runs, from ``watch.start`` to ``watch.end``; its events have the id of
the session as ``run``. Each reaction is ``watch.change``, ``watch.diagnostics``, ``watch.plan`` (what runs,
what does not and why), the events of the run, and ``watch.result``; ``watch.filter`` and ``watch.note`` tell
what a person, the configuration or the engine did in between.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

__all__ = ["Event", "EventName", "Listener", "guarded"]

_log = logging.getLogger(__name__)

EventName = Literal[
    "run.start",
    "test.queued",
    "test.start",
    "test.slow",
    "test.retry",
    "test.repeat",
    "service.ready",
    "step.end",
    "span",
    "scenario.end",
    "test.end",
    "diagnostic",
    "run.end",
    "watch.start",
    "watch.change",
    "watch.diagnostics",
    "watch.plan",
    "watch.result",
    "watch.filter",
    "watch.note",
    "watch.end",
]


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened in a run.

    ``data`` of ``span`` events is ``{"count": n}``: spans come in batches.
    """

    event: EventName
    run: str
    test: str | None = None
    scenario: str | None = None
    status: str | None = None
    data: dict[str, Any] = field(default_factory=dict)
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def to_json(self) -> dict[str, Any]:
        """One line of ``--emit-events jsonl``: optional keys only where they say something."""
        at = self.at.isoformat().replace("+00:00", "Z")
        document: dict[str, Any] = {"event": self.event, "at": at, "run": self.run}
        for key in ("test", "scenario", "status", "data"):
            if value := getattr(self, key):
                document[key] = value
        return document


Listener = Callable[[Event], None]


def guarded(listener: Listener | None) -> Listener:
    """A listener that never raises: what fails gets no more events, and the run goes on."""
    current = listener

    def deliver(event: Event) -> None:
        nonlocal current
        if current is None:
            return
        try:
            current(event)
        except Exception:  # noqa: BLE001  # A listener is not ours.
            _log.warning("a listener failed at %s; it gets no more events", event.event, exc_info=True)
            current = None

    return deliver

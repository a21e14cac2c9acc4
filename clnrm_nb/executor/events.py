"""The one stream of live events that terminal, notebook and ``--emit-events jsonl`` read (``format.md`` 5.6).

Events are published on the engine's event loop; a listener must return at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

__all__ = ["Event", "EventName", "Listener"]

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

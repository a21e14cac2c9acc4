"""One line that says how a run is doing while its cell is busy.

A display handle a run, updated at most ten times a second from the engine's loop thread, which keeps the
cell it belongs to. Its text goes away when the run ends: the result of the cell stands there for good.
"""

from __future__ import annotations

from collections import Counter
from time import monotonic
from typing import TYPE_CHECKING, Any

from clnrm_nb.codes import STATUSES

if TYPE_CHECKING:
    from clnrm_nb.api import Event

__all__ = ["LiveLine"]

_SHORTEST_PAUSE_S = 0.1


class LiveLine:
    """Counts of tests by state and of spans, shown in place."""

    def __init__(self) -> None:
        from IPython.display import display

        self._handle = display({"text/plain": "starting …"}, raw=True, display_id=True)  # type: ignore[no-untyped-call]  # IPython ships no annotation for it
        self._statuses: Counter[str] = Counter()
        self._queued = self._spans = 0
        self._running: dict[str, str] = {}
        self._shown_at = 0.0
        self._started_at = monotonic()

    def __call__(self, event: Event) -> None:
        """Take in one event; show the new state if the last one has been up long enough."""
        if event.event == "test.queued":
            self._queued += 1
        elif event.event == "test.start" and event.test:
            self._running[event.test] = ""
        elif event.event == "span":
            self._spans += int(event.data.get("count", 1))
        elif event.event == "test.end" and event.test:
            self._running.pop(event.test, None)
            self._statuses[event.status or "passed"] += 1
        if monotonic() - self._shown_at >= _SHORTEST_PAUSE_S:
            self._show()

    def _show(self) -> None:
        self._shown_at = monotonic()
        counts = ", ".join(f"{self._statuses[s]} {s}" for s in STATUSES if self._statuses[s])
        running = ", ".join(list(self._running)[:3])
        text = (
            f"{sum(self._statuses.values())}/{self._queued} tests"
            f"{f' ({counts})' if counts else ''} · {self._spans} spans"
            f" · {monotonic() - self._started_at:.1f} s{f' · running {running}' if running else ''}"
        )
        self._update(text)

    def _update(self, text: str) -> None:
        if self._handle is not None:
            data: dict[str, Any] = {"text/plain": text}
            self._handle.update(data, raw=True)

    def close(self) -> None:
        """Empty the line; the durable result is the value of the cell."""
        self._update("")

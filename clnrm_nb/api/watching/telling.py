"""The events of a watching session (``watch.start`` to ``watch.end``): what each holds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.executor.events import Event, guarded
from clnrm_nb.state import new_run_id

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clnrm_nb.api.watching.agenda import Decided
    from clnrm_nb.api.watching.filters import Filters
    from clnrm_nb.api.watching.project import Looked
    from clnrm_nb.executor.events import EventName, Listener
    from clnrm_nb.executor.outcome import TestOutcome
    from clnrm_nb.report.results import RunResult

__all__ = ["Teller"]

_NS_PER_MS: Final = 1_000_000
_WINDOW: Final = 200
"""Most findings, and most tests that were not run, in one event."""


class Teller:
    """Publishes what happens; times are milliseconds since the change was noticed.

    Parameters
    ----------
    listener : callable, optional
        Takes every event, those of runs too; if it fails it gets no more.
    """

    def __init__(self, listener: Listener | None) -> None:
        self.session = new_run_id()
        self.publish = guarded(listener)

    def start(self, data: Mapping[str, Any]) -> None:
        """Watching has begun."""
        self._emit("watch.start", data=dict(data))

    def change(self, number: int, files: Sequence[Mapping[str, str]], means: str) -> None:
        """Files have other contents."""
        self._emit("watch.change", data={"number": number, "files": list(files), "means": means})

    def diagnostics(self, looked: Looked, n_tests: int, since_ns: int | None = None) -> None:
        """What reading files has found out."""
        data = {"tests": n_tests, **looked.to_json(_WINDOW), **_reaction(since_ns)}
        self._emit("watch.diagnostics", data=data)

    def plan(self, why: str, decided: Decided, since_ns: int) -> None:
        """What is run, what is not, and why."""
        told = sorted(decided.not_run.items())[:_WINDOW]
        data = {
            "why": why,
            "run": [test.test_id for test in decided.run],
            "reasons": decided.reasons,
            "not_run": [{"test": test, "reason": reason} for test, reason in told],
            "not_run_total": len(decided.not_run),
            **_reaction(since_ns),
        }
        self._emit("watch.plan", data=data)

    def result(
        self,
        outcomes: Sequence[TestOutcome],
        causes: Mapping[str, str],
        since_ns: int,
        *,
        is_latest: bool,
        timings: Mapping[str, Any] | None = None,
    ) -> None:
        """Verdicts of a run; `is_latest`: nothing was saved and no other one started since."""
        tests = [
            {
                "id": outcome.id,
                "status": outcome.status,
                "reason": outcome.why if outcome.status != "passed" else None,
                "cause": causes.get(outcome.id),
                "duration_ms": round(outcome.duration_ms, 3),
            }
            for outcome in outcomes
        ]
        more = _reaction(since_ns if outcomes else None) | ({"timings": timings} if timings else {})
        self._emit("watch.result", data={"tests": tests, "is_latest": is_latest, **more})

    def filters(self, filters: Filters) -> None:
        """What is left out from now on."""
        self._emit("watch.filter", data=filters.to_json())

    def note(self, level: str, text: str) -> None:
        """Something a person should know."""
        self._emit("watch.note", data={"level": level, "text": text})

    def end(self, result: RunResult, reason: str, *, changes: int, runs: int) -> None:
        """Watching is over."""
        told = {"reason": reason, "exit_code": result.exit_code, "changes": changes, "runs": runs}
        self._emit("watch.end", status="passed" if result.ok else "failed", data=told)

    def _emit(self, name: EventName, **fields: Any) -> None:
        self.publish(Event(name, self.session, **fields))


def _reaction(since_ns: int | None) -> dict[str, Any]:
    if since_ns is None:
        return {}
    return {"reaction_ms": round((time.monotonic_ns() - since_ns) / _NS_PER_MS, 3)}

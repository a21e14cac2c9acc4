"""``run`` with somebody watching: the notebook's live views are told what happens and may look at the spans.

Not a command of its own: the same pipeline as :func:`clnrm_nb.api.run`, with a watcher that is called on the
engine's loop from before the first event until after the last.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Protocol

from clnrm_nb.api.running import Run, finished, prepare
from clnrm_nb.executor.loop import Interrupted, run_blocking, submit
from clnrm_nb.report.results import RunResult, Trace

if TYPE_CHECKING:
    from collections.abc import Callable

    from clnrm_nb.api.contexts import Context
    from clnrm_nb.api.running import Paths
    from clnrm_nb.executor.events import Event
    from clnrm_nb.pipeline.live import LiveTables
    from clnrm_nb.pipeline.load import Cell
    from clnrm_nb.spans.table import SpanTable

__all__ = ["Recent", "Watcher", "run_watched"]

_log = logging.getLogger("clnrm_nb.live")


class Recent(Protocol):
    """The newest spans of a run that is going on."""

    def __call__(self, limit: int) -> Trace:
        """At most `limit` spans, standing still, secrets masked and rules of ``redact`` heeded."""


class Watcher(Protocol):
    """Somebody who watches a run; every method is called on the engine's loop and returns at once."""

    def begin(self, recent: Recent) -> None:
        """The run starts."""

    def __call__(self, event: Event) -> None:
        """Something happened."""

    def end(self, result: RunResult | None, error: BaseException | None = None) -> None:
        """The run is over; without a result it could not be carried out, and `error` says why."""


def run_watched(
    paths: Paths = ".",
    *,
    watcher: Watcher,
    cell: Cell | None = None,
    detach: bool = False,
    context: Context | None = None,
    **options: Any,
) -> RunResult | Run:
    """As :func:`clnrm_nb.api.run`, watched.

    Parameters
    ----------
    watcher : Watcher
        What it raises is logged and never reaches the run.
    """
    prepared = prepare(paths, cell, context, options)
    live = prepared.live(watcher)

    async def job() -> RunResult:
        result: RunResult | None = None
        error: BaseException | None = None
        _tell(lambda: watcher.begin(lambda limit: _newest(live.tables, limit)))
        try:
            result = await finished(prepared, live)
        except BaseException as failure:
            error = failure
            raise
        finally:
            _tell(lambda: watcher.end(result, error))
        return result

    if detach:
        return Run(submit(job()), live)
    try:
        return run_blocking(job())
    except Interrupted as stop:
        if isinstance(stop.result, RunResult):
            return stop.result
        raise


def _tell(call: Callable[[], None]) -> None:
    try:
        call()
    except Exception:  # noqa: BLE001  # A view is not the run; the run goes on without it.
        _log.warning("a live view failed", exc_info=True)


def _newest(tables: LiveTables, limit: int) -> Trace:
    """The end of each table, the tests that started last first, until `limit` is reached."""
    chosen: list[tuple[str, SpanTable]] = []
    for test_id, table in reversed(list(tables.items())):
        size = len(table)
        rows = [row for row in range(max(0, size - limit), size) if not table.own[row]]
        limit -= len(rows)
        if rows:
            chosen.append((test_id, tables.shown(test_id, rows)))
        if limit <= 0:
            break
    return Trace(chosen[::-1], mask=tables.mask)

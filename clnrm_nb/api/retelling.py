"""What commands share that run tests for a reason of their own: ``record``, ``repro``, ``redgreen``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.api.running import carry_out
from clnrm_nb.spans.canonical import trace_digest
from clnrm_nb.spans.table import SpanTable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clnrm_nb.api.running import Prepared
    from clnrm_nb.executor.events import Listener
    from clnrm_nb.report.results import RunResult

__all__ = ["JUDGED", "NO_ANSWER", "PASSED", "run_only", "told", "whole_digest"]

JUDGED: Final = frozenset({"passed", "failed", "incomplete", "flaky", "cached"})
PASSED: Final = frozenset({"passed", "flaky", "cached"})
NO_ANSWER: Final = (2, 3, 130)
"""Exit codes of runs that did not come to their end; no verdict of a command may cover them."""


def run_only(prepared: Prepared, listener: Listener | None) -> RunResult:
    """Run, whatever was accepted before: these commands compare by rules of their own, or not at all.

    Reports that were asked for wait until the command has said what it makes of the run.
    """
    request = replace(prepared.request, comparison=None)
    return carry_out(replace(prepared, request=request, write=lambda _: None), listener)


def told(
    prepared: Prepared, result: RunResult, command: str, exit_code: int, sentence: str, **more: Any
) -> RunResult:
    """Make a run the result of a command (:meth:`RunResult.tell`), then write the reports."""
    result.tell(command, exit_code=exit_code, sentence=sentence, **more)
    prepared.write(result)
    return result


def whole_digest(tables: Iterable[SpanTable | None]) -> str | None:
    """Digest of the spans of several tables together, own spans left out; ``None``: there are none."""
    whole = SpanTable()
    for table in tables:
        if table is not None:
            whole.extend(table.select([row for row in range(len(table)) if not table.own[row]]))
    return trace_digest(whole) if len(whole) else None

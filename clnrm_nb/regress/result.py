"""What ``clnrm notebooks`` returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clnrm_nb.regress.cases import BAD
from clnrm_nb.report.junit import cases_junit
from clnrm_nb.report.results import Table
from clnrm_nb.report.view import dated

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from clnrm_nb.regress.verdict import Verdict

__all__ = ["NotebookResults"]

_NAMED = 20


class NotebookResults(Table):
    """One row a notebook.

    Parameters
    ----------
    verdicts : sequence of Verdict
    started_at : datetime, optional
    duration_ms : float
    interrupted : bool

    Attributes
    ----------
    verdicts : tuple of Verdict
        Each with its cases.
    """

    HEADER = ("notebook", "status", "cases", "failed", "duration_ms", "output")

    def __init__(
        self,
        verdicts: Sequence[Verdict],
        *,
        started_at: datetime | None = None,
        duration_ms: float = 0.0,
        interrupted: bool = False,
    ) -> None:
        self.verdicts = tuple(verdicts)
        rows = [[v.file, v.status, len(v.cases), _bad(v), round(v.duration_ms), v.output] for v in verdicts]
        statuses = ("passed", "failed", "error", "skipped", "interrupted")
        counts = {word: sum(v.status == word for v in verdicts) for word in statuses}
        exit_code = max((v.exit_code for v in verdicts), default=0)
        super().__init__(
            "notebooks",
            self.HEADER,
            rows,
            exit_code=130 if interrupted else exit_code,
            notes=[note for verdict in verdicts for note in _notes(verdict)],
            summary={"total": len(verdicts), **counts},
            data={"notebooks": [verdict.to_json() for verdict in verdicts]},
            dtypes={"cases": "Int64", "failed": "Int64", "duration_ms": "Float64"},
        )
        self.raw["duration_ms"] = round(duration_ms, 3)
        if started_at is not None:
            self.raw["started_at"] = dated(started_at)

    @property
    def headline(self) -> str:
        """One sentence on all of them."""
        bad = [verdict for verdict in self.verdicts if verdict.exit_code]
        if not bad:
            return f"{len(self.verdicts)} notebooks passed"
        return f"{len(bad)} of {len(self.verdicts)} notebooks not passed: {bad[0].file}: {bad[0].reason}"

    def junit(self) -> str:
        """The JUnit document: a suite a notebook, a case a command, expectation and difference."""
        suites: list[tuple[dict[str, Any], Any]] = [
            ({"id": v.file, "status": v.status, "duration_ms": v.duration_ms}, v.cases) for v in self.verdicts
        ]
        return cases_junit(suites, self.raw)


def _bad(verdict: Verdict) -> int:
    return sum(case.outcome in BAD for case in verdict.cases)


def _notes(verdict: Verdict) -> list[str]:
    notes = [f"{verdict.file}: {verdict.reason}"] if verdict.reason else []
    bad = [case for case in verdict.cases if case.outcome in BAD and case.name != "notebook"]
    notes += [f"  {case.name}: {case.message}" for case in bad[:_NAMED]]
    if len(bad) > _NAMED:
        notes.append(f"  and {len(bad) - _NAMED} more")
    return notes + [f"{verdict.file}: {note}" for note in verdict.notes]

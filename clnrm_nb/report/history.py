"""``History``: earlier runs, and what they say about each test (``clnrm history``, ``clnrm stats``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from clnrm_nb.report.measured import measure_words, measures_document
from clnrm_nb.report.tables import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pandas import DataFrame

    from clnrm_nb.errors import Diagnostic
    from clnrm_nb.report.text import Mask
    from clnrm_nb.state.measures import Measures

__all__ = ["History"]

_DIGEST: Final = len("sha256:") + 12
"""Characters of a digest that a terminal shows; documents and frames have all of it."""


class History(Table):
    """Earlier runs.

    Parameters
    ----------
    records : sequence of mappings
        ``run, at, test_id, status, duration_ms, cached, backend, trace_digest``, newest first.
    tests : sequence of mappings, optional
        What the runs say about each test (:class:`~clnrm_nb.state.statistics.Statistics` as JSON); then that
        is the table which is shown.
    measured : sequence of Measures, optional
        What runs measured about themselves, newest first.

    Attributes
    ----------
    statistics : DataFrame
        One row a test; empty where no statistics were asked for.
    measures : DataFrame
        One row a run; empty where none were asked for.
    """

    HEADER: ClassVar = ("run", "at", "test_id", "status", "duration_ms", "cached", "backend", "trace_digest")
    STATISTICS: ClassVar = (
        "test_id",
        "runs",
        "pass_rate",
        "median_ms",
        "p95_ms",
        "ewma_ms",
        "cached",
        "status",
        "flakiness",
    )

    def __init__(
        self,
        records: Sequence[Mapping[str, Any]],
        *,
        tests: Sequence[Mapping[str, Any]] | None = None,
        measured: Sequence[Measures] | None = None,
        command: str = "history",
        notes: Sequence[str] = (),
        findings: Iterable[Diagnostic] = (),
        mask: Mask | None = None,
    ) -> None:
        runs = [{name: record.get(name) for name in self.HEADER} for record in records]
        shown = runs if tests is None else [_shown(test) for test in tests]
        header = self.HEADER if tests is None else self.STATISTICS
        super().__init__(
            command,
            header,
            [[row[name] for name in header] for row in shown],
            command=command,
            notes=[
                *notes,
                *(sentence for test in tests or () for sentence in _proofs(test)),
                *(measure_words(measured) if measured else ()),
            ],
            findings=findings,
            data={
                "rows": runs,
                **({} if tests is None else {"statistics": list(tests)}),
                **({} if measured is None else {"measures": measures_document(measured)}),
            },
            mask=mask,
        )

    def _in_text(self) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        """Digests by their beginning, shares as percentages."""
        rows = [dict(zip(self.header, row, strict=True)) for row in self.rows]
        for row in rows:
            if row.get("trace_digest"):
                row["trace_digest"] = row["trace_digest"][:_DIGEST]
            if row.get("pass_rate") is not None:
                row["pass_rate"] = f"{row['pass_rate']:.0%}"
        return self.header, [list(row.values()) for row in rows]

    @property
    def frame(self) -> DataFrame:
        """One row a test of an earlier run (``format.md`` 12)."""
        from clnrm_nb.report.frames import history_frame

        return history_frame(self.raw["data"]["rows"])

    @property
    def statistics(self) -> DataFrame:
        """One row a test."""
        from clnrm_nb.report.frames import statistics_frame

        return statistics_frame(self.raw["data"].get("statistics", ()))

    @property
    def measures(self) -> DataFrame:
        """One row a run: what it measured about itself."""
        from clnrm_nb.report.frames import measures_frame

        return measures_frame(self.raw["data"].get("measures", {}).get("runs", ()))

    def plot(self) -> Any:
        """A plotly figure: durations over time, a line a test, marks by status."""
        from clnrm_nb.report.figures import history_figure

        return history_figure(sorted(self.raw["data"]["rows"], key=lambda row: str(row["at"])))


def _shown(test: Mapping[str, Any]) -> dict[str, Any]:
    return {**test, "flakiness": "proven" if test["flaky"] else "not proven"}


def _proofs(test: Mapping[str, Any]) -> list[str]:
    """What is known of a test whose verdicts differ."""
    name = test["test_id"]
    if test["flaky"]:
        earlier, later = test["evidence"]["runs"]
        is_one_run = earlier["run"] == later["run"]
        words = [f"{one['status']} in {_run(one, with_attempt=is_one_run)}" for one in (earlier, later)]
        inputs = f"with equal inputs (hash {test['evidence']['hash'][:12]})"
        return [f"{name} is flaky: {' and '.join(words)}, {inputs}"]
    return [f"{name}: verdicts differ, which proves nothing: {test['reason']}"] if test["reason"] else []


def _run(one: Mapping[str, Any], *, with_attempt: bool) -> str:
    return f"run {one['run']}, attempt {one['attempt']}" if with_attempt else f"run {one['run']}"

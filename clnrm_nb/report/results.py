"""What commands return: one object each, with its document, its frames and its views.

Every object carries ``ok``, ``exit_code``, ``raw`` (the JSON document of ``format.md`` 11.3, masked) and
``frame``. Nothing heavy is imported until a frame or a figure is asked for.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Literal

from clnrm_nb.report.gathering import gathered, trace_of, without_told
from clnrm_nb.report.mime import bundle
from clnrm_nb.report.signs import UNICODE, Signs
from clnrm_nb.report.text import json_ready
from clnrm_nb.report.verdict import NO_LEAVE, Leave, exit_code_of, first_code, headline, summary_of
from clnrm_nb.report.view import Judged, dated

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable, Mapping, Sequence

    from pandas import DataFrame

    from clnrm_nb.errors import Diagnostic
    from clnrm_nb.executor.backends.protocol import PoolReport
    from clnrm_nb.executor.outcome import ExpectationResult, TestOutcome
    from clnrm_nb.report.cases import Case
    from clnrm_nb.report.diffs import TraceDiff
    from clnrm_nb.report.findings import Diagnostics
    from clnrm_nb.report.history import History
    from clnrm_nb.report.lines import Line
    from clnrm_nb.report.rendered import Rendered
    from clnrm_nb.report.tables import Table
    from clnrm_nb.report.text import Mask
    from clnrm_nb.report.trace import Trace
    from clnrm_nb.spans.phases import Phase
    from clnrm_nb.spans.table import SpanTable
    from clnrm_nb.state.measures import Measures

__all__ = [
    "Diagnostics",
    "History",
    "Leave",
    "Rendered",
    "RunResult",
    "Table",
    "Trace",
    "TraceDiff",
]

_HOME: Final = {
    "Diagnostics": "clnrm_nb.report.findings",
    "History": "clnrm_nb.report.history",
    "Rendered": "clnrm_nb.report.rendered",
    "Table": "clnrm_nb.report.tables",
    "Trace": "clnrm_nb.report.trace",
    "TraceDiff": "clnrm_nb.report.diffs",
}

_TRACE_ROWS = 150
_TRACE_ROWS_BESIDE_DIFF = 90
_DIFF_ROWS = 150
_DIFF_BYTES = 32_000
_TRACE_BYTES = 22_000
_TRACE_BYTES_BESIDE_DIFF = 16_000
_LINES_IN_TEXT = 150
_LONGEST_PLAIN = 12_000

Detail = Literal["digests", "timings"]


def __getattr__(name: str) -> Any:
    """The other results, each imported when it is first asked for: most commands return one kind."""
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class RunResult(Judged):
    """What running tests came to.

    Parameters
    ----------
    tests : sequence of TestOutcome
        In path order.
    findings : iterable of Diagnostic
        Findings of the run; those of the tests may be among them.
    command : str
        The command, for the document.
    started_at : datetime, optional
    duration_ms : float
    exit_code : int, optional
        Default: what the tests and findings say.
    interrupted : bool
        Whether the run was stopped.
    leave : Leave
        What the person lets pass.
    mask : callable, optional
        Applied to every text.
    max_rows : int
        Most spans of a durable output (``notebook.max_rows``).
    shows : collection of {"digests", "timings"}
        What the text report shows beyond the verdicts.
    diff : TraceDiff, optional
        The comparison with the accepted traces, where one was asked for.
    pool : PoolReport, optional
        What became of containers that are used again; shown where there were any.

    Attributes
    ----------
    diff : TraceDiff or None
        As given.
    raw : dict
        The JSON document, masked.
    outcomes : tuple of TestOutcome
        As given; empty for a result read back from its document.
    measures : Measures or None
        What the run measured about itself; of a result of ``run``.

    Examples
    --------
    >>> result = RunResult([])
    >>> result.ok, result.raw["summary"]["total"]
    (True, 0)
    """

    def __init__(
        self,
        tests: Sequence[TestOutcome],
        findings: Iterable[Diagnostic] = (),
        *,
        command: str = "run",
        started_at: datetime | None = None,
        duration_ms: float = 0.0,
        exit_code: int | None = None,
        interrupted: bool = False,
        leave: Leave = NO_LEAVE,
        mask: Mask | None = None,
        max_rows: int = 1_000,
        shows: Collection[Detail] = (),
        diff: TraceDiff | None = None,
        pool: PoolReport | None = None,
    ) -> None:
        documents = [_head(test, mask) for test in tests]
        own = [json_ready(finding.to_json(), mask) for finding in findings]
        own += diff.raw["diagnostics"] if diff else ()
        own = without_told(own, documents)
        if exit_code is None:
            # What a diff says was weighed there, by rules of its own.
            weighed = [finding for finding in own if not diff or finding not in diff.raw["diagnostics"]]
            exit_code = exit_code_of(documents, weighed, leave, is_interrupted=interrupted)
            exit_code = max(exit_code, diff.exit_code if diff else 0)
        self.diff = diff
        self.outcomes = tuple(tests)
        self.leave = leave
        self.shows = frozenset(shows)
        self.measures: Measures | None = None
        self._phases: Phase | None = None
        self._mask = mask
        self._max_rows = max_rows
        self._unread = [
            (document, test) for document, test in zip(documents, tests, strict=True) if test.is_unread
        ]
        self._raw: dict[str, Any] = {
            "format": "clnrm-report/1",
            "command": command,
            "ok": exit_code == 0,
            "exit_code": exit_code,
            "started_at": dated(started_at or datetime.now(UTC)),
            "duration_ms": round(duration_ms, 3),
            "summary": summary_of(documents),
            "diagnostics": gathered(own, documents),
            "data": {
                "tests": documents,
                **({"diffs": diff.raw["data"]["diffs"]} if diff else {}),
                **({"pool": json_ready(pool.to_json(), mask)} if pool and pool.uses else {}),
            },
        }

    @property
    def raw(self) -> dict[str, Any]:
        """The JSON document, masked; what is stored of tests that did not run is read now."""
        while self._unread:
            document, test = self._unread.pop()
            document.update(json_ready(test.to_json(), self._mask))
        return self._raw

    @raw.setter
    def raw(self, document: dict[str, Any]) -> None:
        self._raw, self._unread = document, []

    @cached_property
    def spans(self) -> Trace:
        """All spans of the run."""
        spans = [(test.id, test.spans) for test in self.outcomes if test.spans is not None]
        return trace_of(spans, self.tests, mask=self._mask, max_rows=self._max_rows)

    @property
    def exit_code(self) -> int:
        """As of ``format.md`` 11.2."""
        return int(self._raw["exit_code"])

    @property
    def findings(self) -> list[dict[str, Any]]:
        """All findings of the run and its tests, as of ``raw``."""
        findings: list[dict[str, Any]] = self._raw["diagnostics"]
        return findings

    @property
    def pool(self) -> dict[str, Any] | None:
        """What became of containers that are used again; ``None`` where there were none."""
        pool: dict[str, Any] | None = self._raw["data"].get("pool")
        return pool

    @property
    def duration_ms(self) -> float:
        """How long the run took, milliseconds."""
        return float(self._raw["duration_ms"])

    @property
    def head(self) -> dict[str, Any]:
        """As ``raw``, its tests being :attr:`heads`."""
        return self._raw

    @property
    def heads(self) -> list[dict[str, Any]]:
        """The documents of the tests, without scenarios and expectations of those nobody has looked at."""
        heads: list[dict[str, Any]] = self._raw["data"].get("tests", [])
        return heads

    @classmethod
    def from_document(
        cls,
        raw: Mapping[str, Any],
        spans: Sequence[tuple[str, SpanTable]] = (),
        *,
        leave: Leave = NO_LEAVE,
        mask: Mask | None = None,
    ) -> RunResult:
        """A result from its document: a JSON report, a stored run, or what a notebook kept of it.

        Parameters
        ----------
        raw : dict
            A report of a run (``format.md`` 11.3), or the durable document of a result, which keeps a window:
            see :mod:`~clnrm_nb.report.saved` and :mod:`~clnrm_nb.report.saveddiff`.
        spans : sequence of (str, SpanTable)
            Spans by test that are still there; default: those of a durable document.
        leave, mask
            As of the class.

        Raises
        ------
        ValueError
            `raw` is no document of a run, is damaged, or of a newer version.
        """
        from clnrm_nb.report.reread import result_of

        return result_of(raw, spans, leave=leave, mask=mask)

    def time(self, run: Phase) -> None:
        """Note where the time went; it stands in the document if that was asked for."""
        self._phases = run
        if "timings" in self.shows:
            from clnrm_nb.report.timings import timings

            self.head["data"]["timings"] = json_ready(timings(run.top, self.heads), self._mask)
            self.__dict__.pop("_document", None)

    @property
    def timings(self) -> Trace:
        """The own trace of the run: its phases, and the own spans of its tests; empty for a stored run."""
        from clnrm_nb.executor.tracing import own_trace
        from clnrm_nb.report.trace import Trace

        if self._phases is None:
            return Trace(command="run")
        tables = [test.spans for test in self.outcomes if not test.cached and test.spans is not None]
        return Trace([(None, own_trace(self._phases, tables))], mask=self._mask, command="run")

    def add_findings(self, findings: Iterable[Diagnostic]) -> None:
        """Note findings that came up after the run, such as a report file that cannot be written."""
        documents = [json_ready(finding.to_json(), self._mask) for finding in findings]
        if not documents:
            return
        self._raw["diagnostics"] = gathered([*documents, *self._raw["diagnostics"]], ())
        late = exit_code_of((), documents, self.leave)
        self._raw["exit_code"] = max(self.exit_code, late)
        self._raw["ok"] = self.ok
        self.__dict__.pop("_document", None)

    def tell(
        self,
        command: str,
        *,
        exit_code: int,
        sentence: str,
        notes: Sequence[str] = (),
        checks: Mapping[str, Sequence[ExpectationResult]] | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        """Make it the result of a command that had its own reason to run these tests.

        Parameters
        ----------
        exit_code : int
            What the run came to in the eyes of that command.
        sentence : str
            That in one sentence, the headline.
        notes : sequence of str
            What else was done, below the summary.
        checks : mapping of test id to sequence of ExpectationResult
            Verdicts of the command on its tests; one that failed makes its test fail.
        data : mapping, optional
            Further keys of ``data``.
        """
        for test in self.tests:
            more = [json_ready(check.to_json(), self._mask) for check in (checks or {}).get(test["id"], ())]
            test["expectations"] += more
            has_failed = any(check["status"] == "failed" for check in more)
            if has_failed and test["status"] in ("passed", "cached", "flaky"):
                test["status"] = "failed"
        told = json_ready({"notes": [sentence, *notes], **(data or {})}, self._mask)
        self.raw["data"].update(told)
        self.raw |= {
            "command": command,
            "exit_code": exit_code,
            "ok": exit_code == 0,
            "summary": summary_of(self.tests),
        }
        self.__dict__.pop("_document", None)

    @property
    def notes(self) -> list[str]:
        """What the command has to say beyond its tests, the headline first."""
        notes: list[str] = self._raw["data"].get("notes", [])
        return notes

    def cases(self, test: Mapping[str, Any]) -> list[Case]:
        """The cases of one test of this run: scenarios, expectations, causes of differences."""
        from clnrm_nb.report.cases import cases_of

        return cases_of(test, self.diff.of_test(test["id"]) if self.diff else ())

    @property
    def tests(self) -> list[dict[str, Any]]:
        """The documents of the tests."""
        tests: list[dict[str, Any]] = self.raw["data"].get("tests", [])
        return tests

    @property
    def summary(self) -> dict[str, int]:
        """Number of tests in all and of each status."""
        summary: dict[str, int] = self._raw["summary"]
        return summary

    @property
    def headline(self) -> str:
        """One sentence on the whole run."""
        return self.notes[0] if self.notes else headline(self.heads, self._raw["diagnostics"])

    @property
    def code(self) -> str | None:
        """The code that says most about why the run is not ok; ``None`` where it is."""
        return None if self.ok else first_code(self.heads, self._raw["diagnostics"], self.exit_code)

    @property
    def frame(self) -> DataFrame:
        """One row a test, scenario and step (``format.md`` 12)."""
        from clnrm_nb.report.frames import result_frame

        return result_frame(self.tests)

    @property
    def events(self) -> DataFrame:
        """One row an event of a span."""
        return self.spans.events

    @property
    def expectations(self) -> DataFrame:
        """One row an expectation."""
        from clnrm_nb.report.frames import expectations_frame

        return expectations_frame(self.tests)

    @property
    def diagnostics(self) -> DataFrame:
        """One row a finding."""
        from clnrm_nb.report.frames import diagnostics_frame

        return diagnostics_frame(self.findings)

    def lines(
        self,
        *,
        signs: Signs = UNICODE,
        width: int = 100,
        verbose: bool = False,
        limit: int | None = None,
    ) -> list[Line]:
        """The report for people, as styled lines; with `limit`, no further test after so many."""
        from clnrm_nb.report.resulttext import result_lines

        return result_lines(self, signs=signs, width=width, is_verbose=verbose, limit=limit)

    def __repr__(self) -> str:
        from clnrm_nb.report.lines import to_plain

        return _short(to_plain(self.lines(width=110, limit=_LINES_IN_TEXT), 120))

    def html(self, *, trace_bytes: int = _TRACE_BYTES, trace_rows: int = _TRACE_ROWS) -> str:
        """The report as HTML, without a frame around it."""
        from clnrm_nb.report.resultview import result_html

        trace = self.spans.html(budget_bytes=trace_bytes, rows=trace_rows) if len(self.spans) else ""
        return result_html(self, trace)

    @cached_property
    def _document(self) -> dict[str, Any]:
        from clnrm_nb.report.documents import result_document

        rows = _TRACE_ROWS_BESIDE_DIFF if self.diff else _TRACE_ROWS
        trace = self.spans.document(rows) if len(self.spans) else None
        diff = self.diff.document(_DIFF_ROWS, budget_bytes=_DIFF_BYTES) if self.diff else None
        return result_document(self.raw, trace, diff)

    def _repr_mimebundle_(
        self, include: Container[str] | None = None, exclude: Container[str] | None = None
    ) -> dict[str, Any]:
        from clnrm_nb.report.documents import MIME
        from clnrm_nb.report.html import fragment

        trace_bytes = _TRACE_BYTES_BESIDE_DIFF if self.diff else _TRACE_BYTES
        makers = {
            MIME["result"]: lambda: self._document,
            "text/html": lambda: fragment("result of a run", self.html(trace_bytes=trace_bytes)),
            "text/plain": lambda: repr(self),
        }
        return bundle(makers, include, exclude)


def _head(test: TestOutcome, mask: Mask | None) -> dict[str, Any]:
    """The document of a test; of one that is not read yet what its head says, which is masked already."""
    return test.head_json() if test.is_unread else dict(json_ready(test.to_json(), mask))


def _short(text: str) -> str:
    """Plain text of a durable output: the beginning, what was left out, and the summary at the end."""
    if len(text) <= _LONGEST_PLAIN:
        return text
    lines = text.splitlines()
    shown = text[:_LONGEST_PLAIN].splitlines()[:-1]
    note = f"showing {len(shown):,} of {len(lines):,} lines"
    return "\n".join([*shown, note, "", lines[-1], ""])

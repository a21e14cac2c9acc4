"""``TraceDiff``: how traces differ from the trusted ones, to look at, to decide about, to compute with."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.codes import CODES
from clnrm_nb.errors import UsageError
from clnrm_nb.report.difflayout import Compared, DiffLayout, of_comparison
from clnrm_nb.report.diffmask import masked
from clnrm_nb.report.diffverdict import entry_of, exit_code_of_comparison, explained, findings_of
from clnrm_nb.report.lines import to_plain
from clnrm_nb.report.mime import bundle
from clnrm_nb.report.signs import ASCII, UNICODE, Signs
from clnrm_nb.report.text import json_ready, number_text
from clnrm_nb.report.verdict import NO_LEAVE, Leave, exit_code_of
from clnrm_nb.report.view import Judged, dated

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Mapping, Sequence

    from pandas import DataFrame

    from clnrm_nb.baseline.comparison import Comparison
    from clnrm_nb.diff.model import Diff
    from clnrm_nb.errors import Diagnostic
    from clnrm_nb.report.lines import Line
    from clnrm_nb.report.tables import Table
    from clnrm_nb.report.text import Mask
    from clnrm_nb.spans.table import SpanTable

__all__ = ["Compared", "TraceDiff"]

ROWS_IN_DOCUMENT: Final = 1_000
_DOCUMENT_BYTES: Final = 72_000
_HTML_BYTES: Final = 52_000
_HTML_ROWS: Final = 500
_LONGEST_PLAIN: Final = 12_000
_TEXT_WIDTH: Final = 110
_GRAVE: Final = ("error", "warning")


class TraceDiff(Judged):
    """Traces beside the ones they are held against.

    Parameters
    ----------
    comparisons : sequence of Compared
        In path order.
    findings : iterable of Diagnostic
        Findings that belong to no comparison.
    command : str
        The command, for the document.
    started_at : datetime, optional
    duration_ms : float
    exit_code : int, optional
        Default: what comparisons and findings say (``format.md`` 11.2).
    leave : Leave
        What the person lets pass.
    is_ci : bool
        Under ``--ci`` nobody can let an incomplete comparison pass.
    mask : callable, optional
        Applied to every text.
    max_rows : int
        Most rows of a durable output (``notebook.max_rows``).
    only_diffs : bool
        Text shows what differs, with what is above it, and counts the rest.
    depth : int
        Levels that text shows; deeper ones are counted.
    view : {"tree", "side-by-side", "three-way"}
        What the report for people shows of each comparison.
    reviewer : callable, optional
        What :meth:`review` calls with this object.

    Attributes
    ----------
    comparisons : tuple of Compared
        Masked.
    raw : dict
        The JSON document of ``format.md`` 11.3, masked.

    Examples
    --------
    >>> diff = TraceDiff([Compared("a.clnrm.toml")])
    >>> diff.ok, diff.raw["summary"]["same"]
    (True, 1)
    """

    def __init__(
        self,
        comparisons: Sequence[Compared] = (),
        findings: Iterable[Diagnostic] = (),
        *,
        command: str = "diff",
        started_at: datetime | None = None,
        duration_ms: float = 0.0,
        exit_code: int | None = None,
        leave: Leave = NO_LEAVE,
        is_ci: bool = False,
        mask: Mask | None = None,
        max_rows: int = ROWS_IN_DOCUMENT,
        only_diffs: bool = False,
        depth: int = 10,
        view: str = "tree",
        reviewer: Callable[[TraceDiff], Any] | None = None,
    ) -> None:
        told = [explained(compared) for compared in comparisons]
        self.comparisons = tuple(masked(compared, mask) if mask else compared for compared in told)
        self.leave = leave
        self.only_diffs = only_diffs
        self.depth = depth
        self.view = view
        self._max_rows = max_rows
        self._reviewer = reviewer
        own = [json_ready(finding.to_json(), mask) for finding in findings]
        if exit_code is None:
            causes = [exit_code_of_comparison(compared, leave, is_ci=is_ci) for compared in told]
            exit_code = max([exit_code_of((), own, leave), *causes])
        self.raw = {
            "format": "clnrm-report/1",
            "command": command,
            "ok": exit_code == 0,
            "exit_code": exit_code,
            "started_at": dated(started_at or datetime.now(UTC)),
            "duration_ms": round(duration_ms, 3),
            "summary": self._summary(),
            "diagnostics": [*findings_of(self.comparisons), *own],
            "data": {"diffs": [entry_of(compared) for compared in self.comparisons]},
        }

    def _summary(self) -> dict[str, int]:
        counts = {"total": len(self.comparisons), "same": 0, "changed": 0}
        for compared in self.comparisons:
            counts[compared.status] = counts.get(compared.status, 0) + 1
        diffs = [compared.diff for compared in self.comparisons if compared.diff is not None]
        edits = sum(len(diff.counted) for diff in diffs)
        return {**counts, "edits": edits, "causes": sum(c.counted for diff in diffs for c in diff.causes)}

    def __len__(self) -> int:
        return len(self.comparisons)

    def __bool__(self) -> bool:
        """True, as every object; whether there are differences is :attr:`ok`."""
        return True

    @classmethod
    def of_run(
        cls,
        comparisons: Sequence[Comparison],
        spans: Mapping[str, SpanTable],
        *,
        failed: Mapping[str, Container[tuple[str, str]]] | None = None,
        **options: Any,
    ) -> TraceDiff:
        """The comparisons of a run with its baselines.

        Parameters
        ----------
        comparisons : sequence of clnrm_nb.baseline.comparison.Comparison
        spans : mapping of str to SpanTable
            Test id → all its spans.
        failed : mapping, optional
            Test id → trace and span ids of what an expectation failed on: causes there come first.
        **options
            As of the class.
        """
        parts = [
            of_comparison(
                comparison,
                spans.get(comparison.test_id),
                (failed or {}).get(comparison.test_id, ()),
            )
            for comparison in comparisons
        ]
        return cls(parts, **options)

    @classmethod
    def of_tables(
        cls,
        diff: Diff,
        baseline: SpanTable,
        current: SpanTable,
        *,
        names: tuple[str, str],
        **options: Any,
    ) -> TraceDiff:
        """Two traces that stand beside each other, such as two files.

        Parameters
        ----------
        diff : Diff
            Of these tables.
        baseline, current : SpanTable
        names : tuple of (str, str)
            What they are called.
        **options
            As of the class.
        """
        status = "changed" if diff else "same"
        return cls(
            [Compared(names[1], None, status, diff, baseline, current, baseline_name=names[0])], **options
        )

    @classmethod
    def from_document(
        cls, document: Mapping[str, Any], findings: Sequence[Mapping[str, Any]] = (), **options: Any
    ) -> TraceDiff:
        """A diff from what a notebook kept of it: rows and edits of its window, counts of the whole.

        Parameters
        ----------
        document : dict
            See ``clnrm_nb/schemas/diff.v1.schema.json``.
        findings : sequence of dict
            Findings of the run, where the document stands in that of one: they know their severities.
        **options
            As of the class.

        Raises
        ------
        ValueError
            `document` is no such document, is damaged, or of a newer version.
        """
        from clnrm_nb.report.saved import is_durable
        from clnrm_nb.report.saveddiff import comparisons_of_document

        if not is_durable(document, "diff"):
            raise ValueError("it is no durable document of a diff")
        compared = comparisons_of_document(document, findings)
        diff = cls(compared, command=document["command"], exit_code=document["exit_code"], **options)
        # When it began is not kept.
        diff.raw["started_at"] = None
        diff.raw["summary"]["total"] = document["total"]["diffs"]
        diff.raw["summary"]["edits"] = sum(entry["edits"] for entry in document["diffs"])
        diff.add_findings(document.get("diagnostics", ()))
        return diff

    def add_findings(self, findings: Iterable[Mapping[str, Any]], *, exit_code: int = 0) -> None:
        """Note what kept traces from being compared, such as a path that does not exist.

        Parameters
        ----------
        findings : iterable of dict
            In their JSON form, masked.
        exit_code : int
            Of the command they come from; it wins where it is higher.
        """
        added = [dict(finding) for finding in findings]
        self.raw["diagnostics"] = [*self.raw["diagnostics"], *added]
        self.raw["exit_code"] = max(self.exit_code, exit_code, exit_code_of((), added, self.leave))
        self.raw["ok"] = self.ok

    @property
    def general_findings(self) -> list[dict[str, Any]]:
        """Findings that belong to no comparison."""
        of_comparisons = sum(len(compared.diagnostics) for compared in self.comparisons)
        return list(self.raw["diagnostics"][of_comparisons:])

    @property
    def _reason(self) -> dict[str, Any] | None:
        """The finding that says most about why it is not ok."""
        if self.ok:
            return None
        by_severity = ([f for f in self.raw["diagnostics"] if f["severity"] == word] for word in _GRAVE)
        told = next(filter(None, by_severity), [])
        deciding = [f for f in told if CODES[f["code"]].exit_code == self.exit_code]
        return next(iter(deciding or told), None)

    @property
    def code(self) -> str | None:
        """The code that says most about why it is not ok; ``None`` where it is."""
        if self.ok:
            return None
        differs = any(compared.differs for compared in self.comparisons)
        return str(self._reason["code"]) if self._reason else "CLN704" if differs else "CLN608"

    @property
    def headline(self) -> str:
        """One sentence on all comparisons, or on what kept them from being made."""
        differing = [compared for compared in self.comparisons if compared.status != "same"]
        reason = self._reason
        if reason is not None and (not differing or reason in self.general_findings):
            return str(reason["message"])
        if not len(self):
            return "nothing was compared"
        if not differing:
            return f"{number_text(len(self), 'comparison')}, no differences"
        names = ", ".join(f"{compared.id} {compared.status}" for compared in differing[:3])
        more = f" and {len(differing) - 3} more" if len(differing) > 3 else ""  # noqa: PLR2004  # named
        return f"{len(differing)} of {number_text(len(self), 'comparison')} not the same: {names}{more}"

    @cached_property
    def layout(self) -> DiffLayout:
        """The spans of both sides in display order."""
        return DiffLayout(self.comparisons)

    @property
    def frame(self) -> DataFrame:
        """One row an edit (``format.md`` 12)."""
        from clnrm_nb.report.diffrows import edit_rows
        from clnrm_nb.report.frames import edits_frame

        return edits_frame(edit_rows(self.comparisons))

    @property
    def spans(self) -> DataFrame:
        """One row a span of either or both sides, with its one status."""
        from clnrm_nb.report.diffrows import pair_rows
        from clnrm_nb.report.frames import pairs_frame

        return pairs_frame(pair_rows(self.layout))

    @property
    def diagnostics(self) -> DataFrame:
        """One row a finding."""
        from clnrm_nb.report.frames import diagnostics_frame

        return diagnostics_frame(self.raw["diagnostics"])

    def of_test(self, test_id: str) -> list[Compared]:
        """The comparisons of one test."""
        return [compared for compared in self.comparisons if compared.test_id == test_id]

    def tree(
        self,
        *,
        only_diffs: bool | None = None,
        depth: int | None = None,
        width: int = _TEXT_WIDTH,
        ascii_only: bool = False,
    ) -> str:
        """Both sides as one text tree a comparison.

        Parameters
        ----------
        only_diffs : bool, optional
            Only what differs, with what is above it, the rest counted; default: as asked for when the
            object was made, and of comparisons of more than 60 spans in any case.
        depth : int, optional
            Levels shown, deeper ones are counted.
        width : int
            Cells of a line.
        ascii_only : bool
            ASCII signs only.
        """
        from clnrm_nb.report.difftext import diff_lines

        signs = ASCII if ascii_only else UNICODE
        lines = diff_lines(
            self,
            signs=signs,
            width=width,
            only_diffs=self._folds() if only_diffs is None else only_diffs,
            depth=self.depth if depth is None else depth,
        )
        return to_plain(lines, width, signs.ellipsis)

    def side_by_side(self, *, width: int = _TEXT_WIDTH, ascii_only: bool = False) -> str:
        """Baseline left, current right, what differs marked between them."""
        from clnrm_nb.report.diffsides import side_lines

        signs = ASCII if ascii_only else UNICODE
        lines = side_lines(self, signs=signs, width=width, only_diffs=self._folds(), depth=self.depth)
        return to_plain(lines, width, signs.ellipsis)

    def _folds(self, *, verbose: bool = False) -> bool | None:
        """Whether text only counts what is the same; ``None``: where that is much."""
        return self.only_diffs or (False if verbose else None)

    def lines(self, *, signs: Signs = UNICODE, width: int = 100, verbose: bool = False) -> list[Line]:
        """The report for people, as styled lines."""
        only_diffs = self._folds(verbose=verbose)
        if self.view == "side-by-side":
            from clnrm_nb.report.diffsides import side_lines

            return side_lines(self, signs=signs, width=width, only_diffs=only_diffs, depth=self.depth)
        if self.view == "three-way":
            from clnrm_nb.report.threeway import three_way_lines

            return three_way_lines(self, signs=signs, width=width, is_verbose=verbose)
        from clnrm_nb.report.difftext import diff_lines

        return diff_lines(
            self, signs=signs, width=width, only_diffs=only_diffs, depth=self.depth, is_verbose=verbose
        )

    def waterfall(self, *, only_diffs: bool = True, rows: int = 700) -> Any:
        """A plotly figure: baseline and current in one picture, what is missing as ghost rows.

        Parameters
        ----------
        only_diffs : bool
            Only what differs, with what is above it.
        rows : int
            Most rows, at most 700 (two bars each).
        """
        from clnrm_nb.report.difffigure import diff_waterfall

        return diff_waterfall(self.layout, rows, only_differences=only_diffs)

    def three_way(self) -> Table:
        """How each edit stands to the main branch: one row an edit.

        Without ``view="three-way"`` or ``main`` of :func:`clnrm_nb.api.diff` nothing of main is known.
        """
        from clnrm_nb.report.threeway import three_way_table

        return three_way_table(self)

    def review(self) -> Any:
        """Decide the pending differences, where there is a front end for it.

        Raises
        ------
        UsageError
            There is none.
        """
        if self._reviewer is None:
            raise UsageError(
                "these differences cannot be reviewed from here",
                hint="Use `%clnrm review` in a notebook or `clnrm review` at a terminal.",
            )
        return self._reviewer(self)

    def __repr__(self) -> str:
        if self.view == "three-way":
            lines = self.lines(width=_TEXT_WIDTH)
        else:
            from clnrm_nb.report.difftext import diff_lines

            lines = diff_lines(self, signs=UNICODE, width=_TEXT_WIDTH, only_diffs=True, depth=self.depth)
        text = to_plain(lines, 120)
        if len(text) <= _LONGEST_PLAIN:
            return text
        shown = text[:_LONGEST_PLAIN].splitlines()[:-1]
        note = f"showing {len(shown):,} of {len(lines):,} lines (all of them: .tree())"
        return "\n".join([*shown, note, "", text.splitlines()[-1], ""])

    def html(
        self, *, budget_bytes: int = _HTML_BYTES, rows: int | None = None, with_unchanged: bool = False
    ) -> str:
        """All comparisons as HTML, without a frame around it.

        Parameters
        ----------
        rows : int, optional
            Most rows of trees (default: what a notebook bears).
        with_unchanged : bool
            Whether what is the same is there to unfold.
        """
        from clnrm_nb.report.diffview import diff_html

        beside = self.three_way().html() if self.view == "three-way" else ""
        left = max(budget_bytes - len(beside.encode()), budget_bytes // 2)
        rows = min(_HTML_ROWS, self._max_rows) if rows is None else rows
        return beside + diff_html(self, budget_bytes=left, rows=rows, with_unchanged=with_unchanged)

    def document(
        self, rows: int = ROWS_IN_DOCUMENT, *, budget_bytes: int = _DOCUMENT_BYTES
    ) -> dict[str, Any]:
        """The MIME document: at most `rows` spans, fewer where they weigh more than `budget_bytes` bear."""
        from clnrm_nb.report.diffdocument import fitted_document

        rows = min(rows, self._max_rows, max(len(self.layout), 1))
        return fitted_document(self.layout, rows, self.raw, self.general_findings, budget_bytes=budget_bytes)

    def _repr_mimebundle_(
        self, include: Container[str] | None = None, exclude: Container[str] | None = None
    ) -> dict[str, Any]:
        from clnrm_nb.report.documents import MIME
        from clnrm_nb.report.html import fragment

        makers: dict[str, Callable[[], Any]] = {
            MIME["diff"]: self.document,
            "text/html": lambda: fragment("differences", self.html()),
            "text/plain": lambda: repr(self),
        }
        return bundle(makers, include, exclude)

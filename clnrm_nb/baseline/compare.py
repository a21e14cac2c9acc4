"""A run against its baselines: one comparison for each scenario, and for a test's own level if it has spans.

Codes and statuses are those of ``format.md`` 8.4. A difference is kept for review on this machine, unless
``--ci`` is on: then nothing at all is written here.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from clnrm_nb.baseline.comparison import Comparison, Terms
from clnrm_nb.baseline.decisions import DecisionLog
from clnrm_nb.baseline.difference import difference, plain, read
from clnrm_nb.baseline.files import parse, scenario_of
from clnrm_nb.baseline.store import BaselineStore
from clnrm_nb.baseline.timed import UNTIMED, needs_times, timed
from clnrm_nb.baseline.tolerances import Tolerances, TwinsError
from clnrm_nb.errors import ClnrmError, Diagnostic
from clnrm_nb.patterns import EndlessError
from clnrm_nb.spans.canonical import of_scenario
from clnrm_nb.spans.loaders import LoadReport, load, write_otlp_json
from clnrm_nb.spans.loaders.carried import comparable
from clnrm_nb.state.reviews import PendingReview, Reviews

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from clnrm_nb.baseline.comparison import ComparisonStatus
    from clnrm_nb.baseline.decisions import Decision
    from clnrm_nb.config.keys import Executor
    from clnrm_nb.config.project import Project
    from clnrm_nb.config.settings import Settings
    from clnrm_nb.diff import DiffOptions
    from clnrm_nb.diff.model import Diff
    from clnrm_nb.diff.rules import Rule
    from clnrm_nb.diff.side import Side
    from clnrm_nb.executor.outcome import TestOutcome
    from clnrm_nb.spans.table import SpanTable
    from clnrm_nb.state import State

__all__ = ["compare_run", "confirm"]

_NOT_RUN: Final = frozenset({"skipped", "interrupted", "error"})
_THE_RUN: Final = LoadReport("the run", "otlp-proto")
_SUITE_BREAKERS: Final = frozenset({"failed", "error", "interrupted"})


def compare_run(
    outcomes: Sequence[TestOutcome],
    *,
    project: Project,
    state: State,
    settings: Settings,
    run_id: str,
    at: str,
    terms: Mapping[str, Terms] | None = None,
    suite: Collection[str] | None = None,
    rules: Sequence[Rule] = (),
    ci: bool = False,
) -> list[Comparison]:
    """Compare everything that ran, after it was judged.

    Parameters
    ----------
    outcomes : sequence of TestOutcome
        With their final statuses and spans.
    run_id, at : str
        The run, and when it began (UTC, ISO 8601).
    terms : mapping of test id to Terms
    suite : collection of str, optional
        Ids of all tests and scenarios of the project, if the whole suite ran; else nothing is called unused.
    rules : sequence of Rule
        The project's tolerance rules.
    ci : bool
        Write nothing; what is missing or unused fails.

    Returns
    -------
    list of Comparison
        In the order of `outcomes`, then unused files by name. A scenario without spans and without a baseline
        has none.
    """
    run = _Run(project, state, settings, run_id, at, ci=ci, tolerances=Tolerances(rules))
    found: list[Comparison] = []
    for outcome in outcomes:
        if outcome.status in _NOT_RUN - {"error"} or outcome.spans is None:
            continue
        found += run.compare_test(outcome, (terms or {}).get(outcome.id, Terms()))
    if suite is not None and not any(outcome.status in _SUITE_BREAKERS for outcome in outcomes):
        found += run.unused(suite, {one.digest: one.id for one in found if one.status == "missing"})
    run.keep(suite)
    return found


def confirm(store: BaselineStore, baseline_id: str, digest: str) -> bool:
    """Take the mark ``composed`` off a baseline that a run was equal to; whether it had one."""
    with store.lock():
        path = store.path(baseline_id)
        content = store.read(path)
        if content is None:
            return False
        found = parse(content, baseline_id, name=store.name(path))
        if not found.composed or found.digest != digest:
            return False
        store.replace(path, content.replace(b'"composed":true', b'"composed":false', 1))
        return True


@dataclass(slots=True)
class _Run:
    """What all comparisons of one run share."""

    project: Project
    state: State
    settings: Settings
    run_id: str
    at: str
    ci: bool
    tolerances: Tolerances
    store: BaselineStore = field(init=False)
    log: DecisionLog = field(init=False)
    reviews: Reviews = field(init=False)
    _same: list[str] = field(default_factory=list)
    _scenarios: dict[str, set[str]] = field(default_factory=dict)
    _trace_file: SpanTable | ClnrmError | None = None
    _trace_report: LoadReport | None = None
    _is_trace_file_read: bool = False

    def __post_init__(self) -> None:
        self.store = BaselineStore(self.project)
        self.log = DecisionLog(self.store.log_directory, self.store.name)
        self.reviews = Reviews(self.state)

    # -------------------------------------------------------------------------------------- one test

    def compare_test(self, outcome: TestOutcome, terms: Terms) -> list[Comparison]:
        assert outcome.spans is not None
        parts: list[tuple[str, str | None]] = [
            (f"{outcome.id}::{scenario.name}", scenario.name)
            for scenario in outcome.scenarios
            if scenario.status not in _NOT_RUN
        ]
        if outcome.status != "error":
            parts.append((outcome.id, None))
        if terms.scenarios:
            names = {*terms.scenarios, *(scenario.name for scenario in outcome.scenarios)}
            self._scenarios[outcome.id] = {outcome.id, *(f"{outcome.id}::{name}" for name in names)}
        compared = (
            self._compare(baseline_id, of_scenario(outcome.spans, scenario), outcome, terms)
            for baseline_id, scenario in parts
        )
        return [comparison for comparison in compared if comparison is not None]

    def _compare(
        self, baseline_id: str, table: SpanTable, outcome: TestOutcome, terms: Terms
    ) -> Comparison | None:
        scenario = baseline_id.removeprefix(f"{outcome.id}::") if baseline_id != outcome.id else None
        side = read(table)
        fresh = Comparison(
            baseline_id,
            outcome.id,
            scenario,
            "same",
            digest=side.digest,
            table=table,
            run_with=_backend_option(self.settings.executor),
        )
        try:
            baseline = self.store.load(baseline_id)
            reference = baseline.table if baseline else self._from_trace_file(baseline_id, table)
            if reference is None and not len(table):
                return None
            options = self.tolerances.options(self.settings.diff, baseline_id, terms.rules)
        except TwinsError as error:
            finding = replace(error.diagnostic, test=fresh.test_id, scenario=scenario)
            return replace(fresh, status="error", code=error.code, diagnostics=(finding,))
        except ClnrmError as error:
            return self._damaged(fresh, error)
        comparison = fresh
        if baseline is not None:
            comparison = replace(fresh, baseline=baseline, file=self.store.name(self.store.path(baseline_id)))
        elif reference is not None:
            comparison = replace(fresh, file=self.settings.diff.baseline_path, from_trace_file=True)
        if reference is not None:
            try:
                comparison = self._differing(comparison, reference, side, options)
            except EndlessError as error:
                finding = replace(error.diagnostic, test=fresh.test_id, scenario=scenario)
                return replace(comparison, status="error", code=error.code, diagnostics=(finding,))
        judged = self._judge(comparison, outcome, terms)
        if not self.ci:
            return replace(judged, waits=self._remember(judged, table, outcome, terms, options))
        return judged

    def _differing(
        self, comparison: Comparison, reference: SpanTable, side: Side, options: DiffOptions
    ) -> Comparison:
        """With its diff; where times are asked for, from a stored run that equals the baseline."""
        baseline, run = comparison.baseline, None
        is_timed = baseline is not None and needs_times(options)
        if baseline is not None and is_timed:
            run = timed(baseline, self.log, self.state)
        digest = baseline.digest if baseline and run is None else None
        against: SpanTable | Side = side
        notes: tuple[str, ...] = ()
        if comparison.from_trace_file and self._trace_report is not None:
            # A file of another form than the run's is compared in what both can say.
            assert comparison.table is not None
            reference, against, notes = comparable(reference, self._trace_report, comparison.table, _THE_RUN)
        found = difference(reference if run is None else run, against, options, digest=digest)
        found = replace(found, notes=(*notes, *found.notes)) if notes else found
        if is_timed and run is None:
            found = replace(found, notes=(*found.notes, UNTIMED))
        return replace(comparison, diff=found, rules=options.rules, options=options, reference=run)

    def _judge(self, comparison: Comparison, outcome: TestOutcome, terms: Terms) -> Comparison:
        rejection = self.log.rejection(comparison.id, comparison.digest or "")
        if not outcome.complete:
            return self._finding(comparison, "incomplete", "CLN707", _undecided(comparison, outcome), terms)
        if comparison.diff is not None and not comparison.diff:
            return comparison
        if rejection is not None:
            return self._finding(comparison, "rejected", "CLN705", _refused_by(rejection), terms)
        if comparison.diff is None:
            said = f"no baseline for `{comparison.id}`"
            return self._finding(comparison, "missing", "CLN701", said, terms)
        said = f"`{comparison.id}` differs: {_summary(comparison.diff)}"
        return self._finding(comparison, "changed", "CLN704", said, terms)

    def _finding(
        self, comparison: Comparison, status: ComparisonStatus, code: str, message: str, terms: Terms
    ) -> Comparison:
        is_needed = code != "CLN701" or self.ci or self.settings.baseline.require
        finding = Diagnostic(
            code,
            message,
            hint=self._hint(comparison, code),
            severity="error" if is_needed else "info",
            test=comparison.test_id,
            scenario=comparison.scenario,
        ).at(terms.place(comparison.scenario))
        return replace(comparison, status=status, code=code, diagnostics=(finding,))

    def _hint(self, comparison: Comparison, code: str) -> str:
        """What to do, as commands that can be copied to a machine where somebody looks."""
        if code == "CLN704" and comparison.is_checked_only:
            return (
                "the trace is the accepted one, so there is nothing to accept: see the rule or setting named"
            )
        test_file, baseline_id = comparison.test_id.partition("[")[0], comparison.id
        again = f"'{test_file}'{comparison.run_with}`"
        there = "on your machine " if self.ci else ""
        if code == "CLN707":
            return f"{there}`clnrm explain CLN614` says what makes a trace incomplete"
        if code == "CLN701":
            first = f"`clnrm run {again}, then " if self.ci else "use "
            return f"{there}{first}`clnrm baseline accept '{baseline_id}'`"
        if code == "CLN705":
            run_it = f"`clnrm run --baseline {again}, then " if self.ci else ""
            return f"{there}{run_it}{self._amends(comparison)}"
        decide = f"`clnrm review '{baseline_id}'` decides what to keep"
        return f"{there}`clnrm diff {again} shows it again, {decide}" if self.ci else decide

    def _amends(self, comparison: Comparison) -> str:
        """How a rejection that was wrong is taken back: it no longer waits in a review."""
        last = self.log.standing(comparison.id)[-1]
        if last.action == "reject" and last.digest == comparison.digest:
            return f"`clnrm baseline undo '{comparison.id}'` takes the rejection back"
        return f"`clnrm baseline accept '{comparison.id}'` accepts it after all"

    def _damaged(self, comparison: Comparison, error: ClnrmError) -> Comparison:
        finding = replace(error.diagnostic, test=comparison.test_id, scenario=comparison.scenario)
        is_given = error is self._trace_file
        file = (
            self.settings.diff.baseline_path if is_given else self.store.name(self.store.path(comparison.id))
        )
        return replace(
            comparison,
            status="error",
            code=error.code,
            diagnostics=(replace(finding, file=file),),
            file=file,
            from_trace_file=is_given,
        )

    # ---------------------------------------------------------------------------------- the trace file

    def _from_trace_file(self, baseline_id: str, table: SpanTable) -> SpanTable | None:
        if not self._is_trace_file_read:
            self._is_trace_file_read = True
            path = Path(self.project.root, self.settings.diff.baseline_path)
            if path.is_file():
                try:
                    self._trace_file, self._trace_report = load(path)
                except ClnrmError as error:
                    self._trace_file = error
        if isinstance(self._trace_file, ClnrmError):
            if not len(table):
                return None
            raise self._trace_file
        return None if self._trace_file is None else _part_of(self._trace_file, baseline_id)

    # --------------------------------------------------------------------------------------- for later

    def _remember(
        self,
        comparison: Comparison,
        table: SpanTable,
        outcome: TestOutcome,
        terms: Terms,
        options: DiffOptions,
    ) -> bool:
        """Keep what differs for a review; whether there is one now."""
        if comparison.status == "same":
            self._same.append(comparison.id)
            if comparison.baseline and comparison.baseline.composed:
                self._confirm(comparison)
            return False
        if comparison.is_checked_only:
            self._same.append(comparison.id)
            return False
        if comparison.status not in ("changed", "missing", "rejected"):
            return False
        trace = self.reviews.put_spans(write_otlp_json(table))
        content = self.store.read(self.store.path(comparison.id))
        base = None if content is None else self.reviews.put_file(content)
        if trace is None or (content is not None and base is None):
            return False
        return self.reviews.put(
            PendingReview(
                id=comparison.id,
                test_id=comparison.test_id,
                scenario=comparison.scenario,
                run=terms.run or self.run_id,
                at=terms.at or self.at,
                digest=comparison.digest or "",
                trace=trace,
                span_count=len(table),
                test_status=outcome.status,
                complete=outcome.complete,
                base=base,
                state="rejected" if comparison.status == "rejected" else "pending",
                source_hash=terms.source_hash,
                vars_hash=terms.vars_hash,
                options=plain(options),
            )
        )

    def _confirm(self, comparison: Comparison) -> None:
        """Only a mark is at stake: where the file cannot be written it stays."""
        assert comparison.baseline is not None
        if comparison.digest == comparison.baseline.digest:
            try:
                confirm(self.store, comparison.id, comparison.baseline.digest)
            except ClnrmError:
                return

    def keep(self, suite: Collection[str] | None) -> None:
        """Forget the reviews of what is the same now, and of scenarios that are no more."""
        if self.ci:
            return
        known = {review.id: review.test_id for review in self.reviews.all()}
        over = [one for one in self._same if one in known]
        over += [one for one, test in known.items() if one not in self._scenarios.get(test, (one,))]
        over += self.store.ownerless(list(known), suite) if suite is not None else []
        self.reviews.remove(list(dict.fromkeys(over)))

    # ------------------------------------------------------------------------------------------ unused

    def unused(self, suite: Collection[str], new: Mapping[str | None, str]) -> list[Comparison]:
        """Files that no scenario owns; `new`: ids without a file, by the digests of their traces."""
        found = []
        for stored in self.store.unowned(suite):
            name = self.store.name(stored.path)
            unused_id = stored.id or stored.path.stem
            test_id, scenario = scenario_of(unused_id)
            finding = Diagnostic(
                "CLN706",
                f"no scenario owns `{name}`" + (f" (`{stored.id}`)" if stored.id else ""),
                file=name,
                hint=_if_renamed(new.get(stored.digest))
                + "if its scenario is gone for good, `clnrm baseline gc --unused` removes the file",
                severity="error" if self.ci else "warning",
            )
            found.append(
                Comparison(
                    unused_id, test_id, scenario, "unused", "CLN706", diagnostics=(finding,), file=name
                )
            )
        return found


def _backend_option(executor: Executor) -> str:
    """What has to be said where somebody repeats the run; a cluster is not theirs, what it runs in is."""
    if executor.backend == "replay":
        return f" --replay {shlex.quote(executor.replay)}" if executor.replay else ""
    backend = executor.dask.inner if executor.backend == "dask" else executor.backend
    return "" if backend == "docker" else f" --backend {backend}"


def _if_renamed(new_id: str | None) -> str:
    """The way out where a scenario without a baseline does just what the file says."""
    if new_id is None:
        return ""
    return f"`{new_id}` has the same trace and no baseline: if it was renamed, accept that one; "


def _summary(diff: Diff) -> str:
    """``2 changed, 1 missing``."""
    parts = [f"{count} {status}" for status, count in diff.totals.items() if count and status != "same"]
    n_edits = len(diff.counted)
    return ", ".join(parts) or f"{n_edits} {'edit' if n_edits == 1 else 'edits'}"


def _undecided(comparison: Comparison, outcome: TestOutcome) -> str:
    """Why an incomplete trace decides nothing, and what makes it incomplete."""
    causes = [finding.message for finding in outcome.diagnostics if finding.code == "CLN614"]
    because = f" ({'; '.join(causes)})" if causes else ""
    if comparison.diff is None:
        return f"the trace is incomplete{because}; it cannot be the first baseline of `{comparison.id}`"
    return f"the trace is incomplete{because}; the diff is provisional and decides nothing"


def _refused_by(decision: Decision) -> str:
    who = decision.by.partition(" <")[0]
    why = f": {decision.reason}" if decision.reason else ""
    return f"this trace was rejected on {decision.day} by {who}{why}"


def _part_of(table: SpanTable, baseline_id: str) -> SpanTable | None:
    """The spans of a given trace file that serve one id; a file without marks serves every one."""
    test_id, scenario = scenario_of(baseline_id)
    marks = [_mark(table, row) for row in range(len(table))]
    if any(mark != (None, None) for mark in marks):
        rows = [row for row, (test, name) in enumerate(marks) if test in (None, test_id) and name == scenario]
    else:
        rows = list(range(len(table)))
    rows = [row for row in rows if not table.own[row]]
    return table.select(rows) if rows and (scenario is not None or marks[rows[0]][0] is not None) else None


def _mark(table: SpanTable, row: int) -> tuple[str | None, str | None]:
    attributes = table.resource[row].attributes
    test, scenario = attributes.get("clnrm.test.id"), attributes.get("clnrm.scenario", table.scenario[row])
    return (test if isinstance(test, str) else None, scenario if isinstance(scenario, str) else None)

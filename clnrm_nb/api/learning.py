"""``baseline learn``: a test run several times, and the rules that would let what varies pass.

Nothing is written but the runs themselves: rules are offered, and :meth:`Learned.accept` writes those that
a person agrees to.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.api.contexts import Context, context_of, refuse_unknown, variables_from
from clnrm_nb.api.retelling import NO_ANSWER, PASSED, run_only
from clnrm_nb.api.running import prepare
from clnrm_nb.baseline import BaselineReview, rulefile
from clnrm_nb.baseline.backtest import stored_runs
from clnrm_nb.baseline.files import scenario_of
from clnrm_nb.baseline.learning import LEAST_RUNS, learn
from clnrm_nb.baseline.offers import Offer
from clnrm_nb.baseline.tolerances import Tolerances, scenario_rules
from clnrm_nb.errors import UsageError
from clnrm_nb.pipeline.load import Sources, load
from clnrm_nb.report.learned import Learned, Taught
from clnrm_nb.report.text import number_text
from clnrm_nb.spans.canonical import of_scenario
from clnrm_nb.state import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clnrm_nb.diff import DiffOptions
    from clnrm_nb.diff.rules import Rule
    from clnrm_nb.errors import Diagnostic
    from clnrm_nb.executor.events import Listener
    from clnrm_nb.executor.outcome import TestOutcome
    from clnrm_nb.spans.table import SpanTable

__all__ = ["baseline_learn"]

_RUNS: Final = 5
_NOT_TOGETHER: Final = ("repeat", "until_fail", "resume")


def baseline_learn(
    id: str,  # noqa: A002  # The argument's name.
    *,
    runs: int = _RUNS,
    by: str | None = None,
    dry_run: bool = False,
    context: Context | None = None,
    listener: Listener | None = None,
    **options: Any,
) -> Learned:
    """Run a test several times, and offer rules that would let what varied pass.

    Parameters
    ----------
    id : str
        A scenario, or a test: then all its scenarios.
    runs : int
        How often it is run, 2 or more, whatever the cache knows; 0: not at all, what it learns from are the
        stored runs that passed with the inputs of the last one.
    by : str, optional
        Who decides, for the log.
    dry_run : bool
        The offers are to be looked at only: exit status 0.
    **options
        Those of ``clnrm run`` that say how tests run, such as ``backend="process"``.

    Returns
    -------
    Learned
        ``exit_code`` 1 while there are rules that nobody has decided about.

    Raises
    ------
    UsageError
        Under ``--ci``; there is no such test, or there are fewer than two runs to learn from.
    """
    here = context_of(context, options)
    refuse_unknown("baseline_learn", options)
    if here.ci:
        raise UsageError(
            "`learn` makes rules, and `--ci` never does", hint="learn on a machine where somebody looks"
        )
    if runs < 0 or runs == 1:
        raise UsageError("--runs: two runs at least, or 0 for those that are stored")
    refused = [name for name in _NOT_TOGETHER if options.get(name)]
    if refused:
        flag = refused[0].replace("_", "-")
        raise UsageError(f"--{flag} says nothing here: --runs is how often a test is run")
    lesson = _Lesson(here, id, options)
    with State.open(here.project.state_dir) as state:
        review = BaselineReview(here.project, state)
        if runs:
            lesson.run(runs, listener)
        else:
            lesson.recall(state)
        taught = [lesson.teach(one, tables, review) for one, tables in lesson.tables.items()]
    return Learned(
        taught,
        title=id,
        runs=runs,
        by=by,
        is_dry=dry_run,
        exit_code=lesson.exit_code,
        notes=lesson.notes,
        findings=lesson.findings,
        accept=_Acceptance(here),
    )


class _Lesson:
    """What is learnt from: tables of each scenario, and the rules that hold already."""

    def __init__(self, here: Context, wanted: str, options: dict[str, Any]) -> None:
        self._here = here
        self._options = options
        self._wanted = wanted
        self._test, self._scenario = scenario_of(wanted)
        self._path = here.project.root / self._test.partition("[")[0]
        if not self._path.is_file():
            raise UsageError(
                f"there is no test `{self._test}`", hint="`clnrm history` lists the tests that have run"
            )
        self.tables: dict[str, list[SpanTable]] = {}
        self.notes: list[str] = []
        self.findings: list[Diagnostic] = []
        self.exit_code = 0
        self._project_rules = rulefile.read(here.project)
        self._own_rules = self._rules_of_file()

    def _rules_of_file(self) -> tuple[Rule, ...]:
        loaded = load(
            Sources([self._path]),
            variables_from(self._options),
            project=self._here.project,
            settings=self._here.settings,
        )
        mine = next((test for test in loaded.tests if test.test_id == self._test), None)
        if mine is None:
            known = ", ".join(test.test_id for test in loaded.tests[:5])
            raise UsageError(
                f"there is no test `{self._test}`", hint=f"its file has: {known}" if known else None
            )
        return scenario_rules(mine.test.tolerance) if mine.test else ()

    # ------------------------------------------------------------------------------------------- runs

    def run(self, times: int, listener: Listener | None) -> None:
        """Really run the test, one run after the other; keep the spans of those that passed."""
        given = {**self._options, "force": True}
        trusted = 0
        for number in range(1, times + 1):
            prepared = prepare([self._path], None, self._here, dict(given), command="baseline_learn")
            prepared = replace(prepared, request=replace(prepared.request, ids={self._test}))
            result = run_only(prepared, listener)
            outcome = next((one for one in result.outcomes if one.id == self._test), None)
            if result.exit_code in NO_ANSWER or outcome is None:
                self.exit_code = result.exit_code or 1
                self.findings += outcome.diagnostics if outcome else []
                self.notes.append(f"run {number} did not come to its end; nothing is learnt")
                self.tables = {}
                return
            if outcome.status in PASSED and outcome.complete:
                trusted += 1
                self._take(outcome)
            else:
                why = outcome.why or ("" if outcome.complete else "its trace is incomplete")
                self.notes.append(f"run {number} is left out: {outcome.status}{f', {why}' if why else ''}")
        if trusted < LEAST_RUNS:
            self.exit_code = 1
            self.notes.append(f"{number_text(trusted, 'run')} passed: two at least are needed to learn")
            self.tables = {}

    def _take(self, outcome: TestOutcome) -> None:
        parts = {f"{outcome.id}::{one.name}": one.name for one in outcome.scenarios}
        for baseline_id, name in (*parts.items(), (outcome.id, None)):
            if self._scenario in (None, name) and outcome.spans is not None:
                table = of_scenario(outcome.spans, name)
                if len(table):
                    self.tables.setdefault(baseline_id, []).append(table)

    def recall(self, state: State) -> None:
        """The stored runs that passed, of the same inputs as the last one."""
        known = state.history([self._test])
        ids = [self._wanted]
        if self._scenario is None:
            document = state.run(known[0]["run"]) if known else None
            tests = document["data"]["tests"] if document else []
            names = [part["name"] for test in tests if test["id"] == self._test for part in test["scenarios"]]
            ids = [*(f"{self._test}::{name}" for name in names), self._test]
        for baseline_id in ids:
            found = list(stored_runs(state, baseline_id, statuses=("passed",)))
            alike = [one.table for one in found if one.hash == found[0].hash]
            if alike:
                self.tables[baseline_id] = alike
        if max(map(len, self.tables.values()), default=0) < LEAST_RUNS:
            raise UsageError(
                f"fewer than two runs of `{self._wanted}` that passed are stored", hint="--runs 5 runs it"
            )

    # ---------------------------------------------------------------------------------------- lessons

    def teach(self, baseline_id: str, tables: Sequence[SpanTable], review: BaselineReview) -> Taught:
        """What the runs of one scenario teach, each rule tried on all that are stored."""
        options = self._terms(baseline_id)
        baseline = review.store.load(baseline_id)
        lesson = learn(
            tables,
            baseline.table if baseline else None,
            options=options,
            scenario=review.selector(baseline_id),
        )
        tests = review.back_tests(baseline_id, options, reference=tables[0])
        offers = [Offer(one.proposal, tests.of(one.proposal.rule)) for one in lesson.learnt]
        return Taught(
            baseline_id,
            len(tables),
            lesson,
            tuple(offers),
            has_baseline=baseline is not None,
            alarms=tests.together([offer.rule for offer in offers]),
        )

    def _terms(self, baseline_id: str) -> DiffOptions:
        tolerances = Tolerances(self._project_rules)
        return tolerances.options(self._here.settings.diff, baseline_id, self._own_rules)


class _Acceptance:
    """Writes rules that a person agreed to; each opens the state anew."""

    def __init__(self, here: Context) -> None:
        self._here = here

    def __call__(
        self, baseline_id: str, offer: Offer, *, place: str, confirmed: bool, by: str | None, message: str
    ) -> str:
        """Write one rule; the file it is in."""
        with State.open(self._here.project.state_dir) as state:
            review = BaselineReview(self._here.project, state, read_only=self._here.ci)
            options = Tolerances(rulefile.read(self._here.project)).options(
                self._here.settings.diff, baseline_id
            )
            return review.make_rule(
                baseline_id,
                offer.rule,
                place="scenario" if place == "scenario" else "project",
                confirmed=confirmed,
                options=options,
                by=by,
                message=message,
            ).file

"""Rules learnt from five runs: how many alarms are left, and what is still found (goals 12 and 17).

Families of services whose runs differ with nothing changed (:mod:`natural_noise`). Of each, one run is accepted
and five are learnt from; then further runs must raise no alarm, and a run with one edit of fifteen classes put
into it must raise one. Noise that shows itself in a single place of a trace may not show in five runs at all:
its figures are printed beside, without a goal. Back-tests are timed on 100 stored runs.
"""

from __future__ import annotations

import platform
import random
import statistics
import time
import tracemalloc
from collections import Counter
from dataclasses import dataclass, field

import natural_noise
import pytest
from diff_edits import EDITS
from diff_measure import wilson

from clnrm_nb.baseline import BaselineReview
from clnrm_nb.baseline.backtest import BackTests
from clnrm_nb.baseline.learning import learn
from clnrm_nb.config.project import Project
from clnrm_nb.diff import DiffOptions, compare, prepare
from clnrm_nb.diff.held import Held
from clnrm_nb.diff.reading import from_table
from clnrm_nb.spans.loaders import write_otlp_json
from clnrm_nb.spans.table import SpanTable
from clnrm_nb.state import State

LEARNT_FROM = 5
GOAL_ALARMS = 0.01
GOAL_FOUND = 0.99
GOAL_BACK_TEST_S = 1.0
RUNS = 100
REPEATS = 3
ID = "tests/noisy.clnrm.toml::main"


def table(spans) -> SpanTable:
    return SpanTable(spans.values())


class Taught:
    """One family, its accepted run, and the rules learnt from some more."""

    def __init__(self, seed: int, places: tuple[int, int] = (2, 4), learnt_from: int = LEARNT_FROM) -> None:
        self.family = natural_noise.family(seed, places=places)
        self.base = table(self.family.run(0))
        runs = [table(self.family.run(number)) for number in range(1, learnt_from + 1)]
        lesson = learn(runs, self.base, options=DiffOptions())
        self.rules = tuple(learnt.proposal.rule for learnt in lesson.learnt)
        self.options = DiffOptions(rules=self.rules)
        self.side = prepare(self.base)

    def alarm(self, spans, options: DiffOptions | None = None, *, exactly: bool) -> bool:
        """By a whole comparison, or by one without repair, which came to the same in 1,740 of 1,740 cases."""
        options = options or self.options
        if exactly:
            return bool(compare(self.side, table(spans), options=options))
        current = from_table(table(spans), self.side.interner)
        return bool(Held(self.side, current, options, exactly=False).open())


def is_natural(name: str, before, after) -> bool:
    """Whether the edit is one the services make themselves: another value of what varies anyway."""
    if name != "attr changed":
        return False
    changed = (
        (key, value)
        for origin, one in after.items()
        for key, value in one.attributes.items()
        if before[origin].attributes.get(key) != value
    )
    return all(key in natural_noise.VARYING and not str(value).startswith("new ") for key, value in changed)


@dataclass
class Figures:
    """What was counted over families and runs."""

    runs: int = 0
    before: int = 0
    alarms: int = 0
    tried: Counter = field(default_factory=Counter)
    found: Counter = field(default_factory=Counter)
    missed: Counter = field(default_factory=Counter)
    rules: list[int] = field(default_factory=list)

    def tell(self, title: str) -> None:
        print(f"\n{title}, {platform.machine()}, Python {platform.python_version()}")
        print(f"  alarms without rules {wilson(self.before, self.runs)}")
        rules = statistics.mean(self.rules)
        print(f"  alarms with rules    {wilson(self.alarms, self.runs)}, {rules:.1f} rules a family")
        if self.tried:
            print(f"  edits still found    {wilson(self.found.total(), self.tried.total())}")
        print(f"  of those not found   {dict(self.missed)}")
        for name, n in sorted(self.tried.items()):
            if self.found[name] < n:
                print(f"    {name}: {self.found[name]} of {n}")


def measured(
    families: int,
    runs: int,
    edits: int,
    *,
    places=(2, 4),
    anywhere=False,
    exactly=False,
    learnt_from=LEARNT_FROM,
) -> Figures:
    """Alarms with and without rules, and edits found; edits in what is always there, or anywhere."""
    figures = Figures()
    for seed in range(families):
        taught = Taught(seed, places, learnt_from)
        figures.rules.append(len(taught.rules))
        for number in range(100, 100 + runs):
            spans = taught.family.run(number)
            is_alarm = taught.alarm(spans, exactly=exactly)
            figures.runs += 1
            figures.alarms += is_alarm
            figures.before += taught.alarm(spans, DiffOptions(), exactly=exactly)
            steady = taught.family.steady(spans)
            sites = sorted(spans) if anywhere else steady
            for turn in range(0 if is_alarm else edits):
                rng = random.Random(f"{seed} {number} {turn}")
                name = rng.choice(sorted(EDITS))
                site = rng.choice(sites)
                change = EDITS[name](spans, site, rng)
                if change is not None and is_an_edit(name, spans, change.spans):
                    is_found = taught.alarm(change.spans, exactly=exactly)
                    figures.tried[name] += 1
                    figures.found[name] += is_found
                    if not is_found:
                        figures.missed["always there" if site in steady else "not in every run"] += 1
    return figures


def is_an_edit(name: str, before, after) -> bool:
    """Whether anything that counts was edited, and not as the services themselves do it."""
    return bool(compare(table(before), table(after))) and not is_natural(name, before, after)


def check(families: int, runs: int, edits: int, *, exactly: bool) -> None:
    figures = measured(families, runs, edits, exactly=exactly)
    figures.tell(f"{families} families, {runs} runs each, learnt from {LEARNT_FROM}")
    assert figures.before / figures.runs > 0.99
    assert figures.alarms / figures.runs <= GOAL_ALARMS
    assert figures.found.total() / figures.tried.total() >= GOAL_FOUND


@pytest.mark.bench
def test_five_runs_are_enough_for_rules_that_raise_no_alarm_and_hide_nothing():
    check(families=12, runs=25, edits=2, exactly=False)


@pytest.mark.bench_full
def test_so_they_are_in_3000_runs_of_60_families():
    check(families=60, runs=50, edits=3, exactly=True)
    measured(60, 20, 3, places=(1, 1)).tell("noise in single places (no goal)")
    measured(60, 20, 0, places=(1, 1), learnt_from=10).tell("the same, learnt from ten runs (no goal)")
    many = measured(60, 20, 0, places=(1, 1), learnt_from=20)
    many.tell("the same, learnt from twenty runs")
    assert many.alarms / many.runs <= GOAL_ALARMS
    measured(60, 20, 3, anywhere=True).tell("edits in retried and optional spans, too (no goal)")


@pytest.mark.bench
def test_a_rule_is_tried_on_100_stored_runs_within_a_second(tmp_path):
    taught = Taught(0)
    project = Project(tmp_path, tmp_path / ".clnrm")
    with State.open(project.state_dir) as state:
        store_runs(state, taught.family)
        baselines = BaselineReview(project, state)
        baselines.accept([ID], by="ada")
        walls, cpus = [], []
        for _ in range(REPEATS):
            started, used = time.perf_counter(), time.process_time()
            tests = BackTests(baselines, state, ID, DiffOptions())
            done = [tests.of(rule) for rule in taught.rules[:3]]
            walls.append(time.perf_counter() - started)
            cpus.append(time.process_time() - used)
        tracemalloc.start()
        BackTests(baselines, state, ID, DiffOptions()).of(taught.rules[0])
        peak_mb = tracemalloc.get_traced_memory()[1] / 1e6
        tracemalloc.stop()

    print(
        f"\nback-test of three rules on {RUNS} runs of {len(taught.base)} spans, best of {REPEATS}: "
        f"{min(walls):.2f} s wall, {min(cpus):.2f} s CPU, {peak_mb:.0f} MB"
    )
    assert [test.runs for test in done] == [RUNS] * 3
    assert min(cpus) < GOAL_BACK_TEST_S


def store_runs(state: State, family: natural_noise.Family) -> None:
    """A hundred runs, as the pipeline keeps them."""
    test_id, _, scenario = ID.partition("::")
    for number in range(RUNS):
        spans = SpanTable()
        for span in table(family.run(number)).spans():
            spans.append(span, scenario)
        part = {"name": scenario, "status": "passed"}
        test = {"id": test_id, "status": "passed", "scenarios": [part], "span_count": len(spans)}
        state.save_run(
            {
                "run": f"{number:05d}",
                "started_at": f"2025-01-01T00:{number // 60:02}:{number % 60:02}Z",
                "data": {"tests": [test]},
            },
            {test_id: write_otlp_json(spans)},
        )

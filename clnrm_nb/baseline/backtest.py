"""What a rule would have done so far: tried on the stored runs of a scenario before anybody agrees to it.

Each run is held against the baseline that was in use when it ran. A rule is wise if it quiets alarms that
nobody minded, hides nothing that somebody refused, and leaves what goes wrong beside it to be found: the
figures of a :class:`BackTest`. Runs are read and matched once, then judged under any rule.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.baseline.files import parse, scenario_of
from clnrm_nb.baseline.injection import inject, scope_of
from clnrm_nb.baseline.versions import Versions
from clnrm_nb.diff import prepare
from clnrm_nb.diff.held import Held
from clnrm_nb.diff.reading import from_table
from clnrm_nb.errors import ClnrmError
from clnrm_nb.spans.canonical import of_scenario
from clnrm_nb.spans.loaders import load

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from clnrm_nb.baseline.catalog import Baselines
    from clnrm_nb.baseline.decisions import Decision
    from clnrm_nb.baseline.files import Baseline
    from clnrm_nb.diff import DiffOptions
    from clnrm_nb.diff.rules import Rule
    from clnrm_nb.diff.side import Side
    from clnrm_nb.spans.table import SpanTable
    from clnrm_nb.state import State

__all__ = ["BackTest", "BackTests", "Hidden", "StoredRun", "stored_runs"]

RUNS: Final = 100
SPANS: Final = 20_000
"""Spans that are read for one back-test, so that it stays within a second or two for any size of trace."""
_ENOUGH: Final = 5
_LOOKED_AT: Final = 10
"""Runs that are searched for a span that not every run has."""
_FILE_ACTIONS: Final = frozenset({"accept", "restore"})
_JUDGED: Final = ("passed", "failed", "flaky")


@dataclass(frozen=True, slots=True)
class Hidden:
    """A trace that somebody refused and the rule would let pass."""

    run: str
    day: str
    by: str
    reason: str

    def __str__(self) -> str:
        why = f": {self.reason}" if self.reason else ""
        return f"run {self.run}, rejected on {self.day} by {self.by.partition(' <')[0]}{why}"


@dataclass(frozen=True, slots=True)
class BackTest:
    """What a rule would have done.

    Parameters
    ----------
    runs : int
        Stored runs it was tried on.
    stored : int
        Stored runs there are, at most :data:`RUNS`.
    alarms : int
        Runs among them that differ from the baseline of their time by something that counts.
    quieted : int
        Alarms of which nothing would be left.
    eased : int
        Alarms of which less would be left.
    edits : int
        Edits it would have quieted in all.
    hidden : tuple of Hidden
        Rejected traces that would have passed: such a rule is confirmed twice.
    injected, found : int
        Random edits put where the rule holds, and how many of them would still count.
    """

    runs: int
    stored: int
    alarms: int
    quieted: int
    eased: int
    edits: int
    hidden: tuple[Hidden, ...] = ()
    injected: int = 0
    found: int = 0

    @property
    def is_thin(self) -> bool:
        """Whether fewer runs than five say anything."""
        return self.runs < _ENOUGH

    def to_json(self) -> dict[str, Any]:
        """All of it, plain."""
        return {**asdict(self), "hidden": [asdict(one) for one in self.hidden]}

    def sentences(self) -> list[str]:
        """For people: what it would have done, what it would hide, what would still be found."""
        told = [f"tried on {_counted(self.runs, 'stored run')}{self._how_few()}: {self._quieted()}"]
        told += [f"would HIDE what was rejected: {one}" for one in self.hidden]
        if self.injected:
            told.append(f"{self.found} of {self.injected} edits injected where it holds are still found")
        else:
            told.append("it holds nowhere in the latest runs: nothing could be injected there")
        return told

    def _how_few(self) -> str:
        if self.runs < self.stored:
            return f" (the last of {self.stored}, as many as are read)"
        return ", which is few" if self.is_thin else ""

    def _quieted(self) -> str:
        if not self.alarms:
            return "none of them differed"
        eased = f", {self.eased} eased" if self.eased else ""
        edits = f" ({_counted(self.edits, 'edit')})" if self.edits else ""
        return f"{self.quieted} of {_counted(self.alarms, 'alarm')} quieted{eased}{edits}"


@dataclass(frozen=True, slots=True)
class StoredRun:
    """One run of a scenario as it was stored."""

    run: str
    at: str
    table: SpanTable
    hash: str | None = None
    """Semantic hash of what it ran with."""


def stored_runs(
    state: State, baseline_id: str, *, limit: int = RUNS, statuses: Sequence[str] = _JUDGED
) -> Iterator[StoredRun]:
    """Runs of a scenario that came to a verdict, newest first; those without spans are left out."""
    test_id, scenario = scenario_of(baseline_id)
    marks = ", ".join("?" * len(statuses))
    rows = state.read(
        f"SELECT run, at, spans, hash FROM results WHERE test_id = ? AND spans IS NOT NULL AND NOT cached "  # noqa: S608  # Question marks.
        f"AND status IN ({marks}) ORDER BY seq DESC LIMIT ?",
        (test_id, *statuses, limit),
    )
    for row in rows:
        content = state.get_object(row["spans"])
        if content is None:
            continue
        table = of_scenario(load(content, allow_empty=True)[0], scenario)
        if len(table):
            yield StoredRun(row["run"], row["at"], table, row["hash"])


@dataclass(frozen=True, slots=True)
class _Tried:
    run: StoredRun
    held: Held
    before: int
    """Edits that count without the rule."""
    rejection: Decision | None


class BackTests:
    """The stored runs of one scenario, for trying rules on.

    Parameters
    ----------
    baselines : Baselines
    state : State
    baseline_id : str
    options : DiffOptions
        What counts, and the rules that hold already.
    limit : int
        Stored runs to look at, newest first.
    reference : SpanTable, optional
        What runs are held against where nothing was ever accepted.
    """

    def __init__(
        self,
        baselines: Baselines,
        state: State,
        baseline_id: str,
        options: DiffOptions,
        *,
        limit: int = RUNS,
        reference: SpanTable | None = None,
    ) -> None:
        self._reference = reference
        self._baselines = baselines
        self._id = baseline_id
        self._options = options
        self._log = baselines.log()
        self._runs = stored_runs(state, baseline_id, limit=limit)
        self._sides: dict[str, Side] = {}
        self._stored = 0

    def of(self, rule: Rule) -> BackTest:
        """What a rule would have done."""
        tried = self._tried
        after = [len(one.held.open(rule)) for one in tried]
        alarms = [(one, left) for one, left in zip(tried, after, strict=True) if one.before]
        injected, found = self._injected(rule)
        return BackTest(
            runs=len(tried),
            stored=self._stored,
            alarms=len(alarms),
            quieted=sum(not left for _, left in alarms),
            eased=sum(0 < left < one.before for one, left in alarms),
            edits=sum(one.before - left for one, left in alarms),
            hidden=tuple(
                _hidden(one.run, one.rejection) for one, left in alarms if one.rejection and not left
            ),
            injected=injected,
            found=found,
        )

    def _injected(self, rule: Rule) -> tuple[int, int]:
        """Edits injected where the rule holds, in the last run in which it holds at all, and those found."""
        for one in self._tried[:_LOOKED_AT]:
            scope = scope_of(rule, one.run.table)
            if scope.chains:
                return inject(scope)
        return 0, 0

    def together(self, rules: Sequence[Rule]) -> tuple[int, int]:
        """How many stored runs differ by something that counts, and how many still would under rules."""
        return (
            sum(bool(one.before) for one in self._tried),
            sum(bool(one.held.open(*rules)) for one in self._tried),
        )

    @cached_property
    def _tried(self) -> list[_Tried]:
        """Every run against the baseline of its time; read until there are enough spans."""
        found: list[_Tried] = []
        n_spans = 0
        for run in self._runs:
            self._stored += 1
            n_spans += len(run.table)
            if n_spans > SPANS and found:
                continue
            side = self._side_at(run.at)
            if side is None:
                continue
            current = from_table(run.table, side.interner, own_spans=self._options.own_spans)
            rejection = self._log.rejection(self._id, current.digest) if self._has_rejections else None
            # What somebody refused is told by name, so that it is looked at as closely as a run is.
            held = Held(side, current, self._options, exactly=rejection is not None)
            found.append(_Tried(run, held, len(held.open()), rejection))
        return found

    @cached_property
    def _has_rejections(self) -> bool:
        return any(decision.action == "reject" for decision in self._log.standing(self._id))

    # ------------------------------------------------------------------------------------- baselines

    @cached_property
    def _decisions(self) -> list[Decision]:
        return [one for one in self._log.standing(self._id) if one.action in _FILE_ACTIONS]

    @cached_property
    def _versions(self) -> Versions:
        return Versions(self._baselines.store.path(self._id), self._id, self._baselines.reviews)

    def _side_at(self, at: str) -> Side | None:
        """The baseline that was in use at a time, before the first one that one; if it is lost, the file."""
        decisions = [one for one in self._decisions if one.at[:19] <= at[:19]] or self._decisions[:1]
        if decisions:
            digest = decisions[-1].digest or ""
            if digest not in self._sides:
                baseline = self._content(decisions[-1]) or self._current
                if baseline is None:
                    return None
                self._sides[digest] = self._prepared(baseline)
            return self._sides[digest]
        if self._current is not None:
            return self._prepared(self._current)
        if self._reference is not None and "" not in self._sides:
            self._sides[""] = prepare(self._reference)
        return self._sides.get("")

    def _prepared(self, baseline: Baseline) -> Side:
        if baseline.digest not in self._sides:
            self._sides[baseline.digest] = prepare(baseline.table)
        return self._sides[baseline.digest]

    @cached_property
    def _current(self) -> Baseline | None:
        return self._baselines.store.load(self._id)

    def _content(self, decision: Decision) -> Baseline | None:
        known = self._versions.after(decision)
        try:
            return parse(known[0], self._id, name="") if known else None
        except ClnrmError:
            return None


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _hidden(run: StoredRun, rejection: Decision) -> Hidden:
    return Hidden(run.run, rejection.day, rejection.by, rejection.reason)

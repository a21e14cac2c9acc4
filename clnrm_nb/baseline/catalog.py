"""Looking at baselines: what there is, what waits, what was decided, whether it holds. Writes nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from clnrm_nb.baseline.backtest import BackTests
from clnrm_nb.baseline.blame import Blamed, blame
from clnrm_nb.baseline.changes import Changes
from clnrm_nb.baseline.decisions import Decision, DecisionLog
from clnrm_nb.baseline.difference import options_from
from clnrm_nb.baseline.files import parse, scenario_of
from clnrm_nb.baseline.latest import Latest, Latests
from clnrm_nb.baseline.proposal import Session
from clnrm_nb.baseline.rulefile import read as read_rules
from clnrm_nb.baseline.store import BaselineStore
from clnrm_nb.baseline.tolerances import Tolerances
from clnrm_nb.baseline.versions import Versions
from clnrm_nb.errors import ClnrmError, Diagnostic, UsageError
from clnrm_nb.state.reviews import Reviews

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clnrm_nb.baseline.files import Baseline
    from clnrm_nb.config.project import Project
    from clnrm_nb.diff import DiffOptions
    from clnrm_nb.spans.table import SpanTable
    from clnrm_nb.state import State
    from clnrm_nb.state.reviews import PendingReview, ReviewState

__all__ = ["BaselineEntry", "Baselines"]

_FILE_ACTIONS: Final = frozenset({"accept", "restore", "undo"})


@dataclass(frozen=True, slots=True)
class BaselineEntry:
    """One line of ``baseline list``: a file, a pending trace, or both.

    ``error`` says why the file cannot be used; ``state`` is the review's, ``None`` without one.
    """

    id: str
    file: str
    version: int | None = None
    digest: str | None = None
    composed: bool = False
    span_count: int | None = None
    state: ReviewState | None = None
    at: str | None = None
    by: str | None = None
    error: Diagnostic | None = None


class Baselines:
    """Baselines of one project, for reading.

    Parameters
    ----------
    project : Project
    state : State
        Holds pending traces and older versions.
    """

    def __init__(self, project: Project, state: State) -> None:
        self._project = project
        self._state = state
        self.store = BaselineStore(project)
        self.reviews = Reviews(state)
        self._latests = Latests(state, self.reviews)

    def entries(self) -> list[BaselineEntry]:
        """Every baseline and every trace that waits for a decision, by id."""
        log = self.log()
        waiting = {review.id: review for review in self.reviews.all()}
        entries = {
            (stored.id or stored.path.stem): self._entry(stored.id, stored.path.stem, log)
            for stored in self.store.files()
        }
        for baseline_id, review in waiting.items():
            entry = entries.get(baseline_id) or BaselineEntry(
                baseline_id,
                self.store.name(self.store.path(baseline_id)),
                span_count=review.span_count,
                at=review.at,
            )
            entries[baseline_id] = replace(entry, state=review.state)
        return [entries[key] for key in sorted(entries)]

    def _entry(self, baseline_id: str | None, stem: str, log: DecisionLog) -> BaselineEntry:
        path = self.store.directory / f"{stem}.json"
        name = self.store.name(path)
        try:
            found = parse(self.store.read(path) or b"", baseline_id or stem, name=name)
        except ClnrmError as error:
            return BaselineEntry(baseline_id or stem, name, error=error.diagnostic)
        last = next((d for d in reversed(log.standing(found.id)) if d.action in _FILE_ACTIONS), None)
        return BaselineEntry(
            found.id,
            name,
            found.version,
            found.digest,
            found.composed,
            len(found.table),
            at=last.at if last else None,
            by=last.by if last else None,
        )

    def pending(self) -> list[PendingReview]:
        """Traces that wait for a decision, by id."""
        return [review for review in self.reviews.all() if review.state == "pending"]

    def undecided(self) -> list[str]:
        """Ids whose latest trace is neither their baseline nor rejected, compared or not, sorted.

        A trace that was never compared belongs to them if its scenario file is still there: one without
        spans only where a baseline has some.
        """
        log = self.log()
        waiting = {review.id for review in self.pending()}
        return [one for one in self._latests.ids() if one in waiting or self._is_undecided(one, log)]

    def _is_undecided(self, baseline_id: str, log: DecisionLog) -> bool:
        test_id, _ = scenario_of(baseline_id)
        if not (self._project.root / test_id.partition("[")[0]).is_file():
            return False
        latest = self._latests.of(baseline_id)
        try:
            current = self.store.load(baseline_id)
        except ClnrmError:
            # Whoever decides about it is told; about others one can decide all the same.
            return latest is not None
        if latest is None or not (len(latest.table) or current):
            return False
        is_same = current is not None and current.digest == latest.digest
        return not is_same and log.rejection(baseline_id, latest.digest) is None

    def show(self, baseline_id: str, version: int | None = None) -> Baseline:
        """The accepted baseline, or one of its versions.

        Raises
        ------
        ClnrmError
            CLN701: there is none; CLN702, CLN703: its file cannot be used.
        UsageError
            This machine does not have that version.
        """
        if version is None:
            found = self.store.load(baseline_id)
            if found is None:
                has_run = self._latests.of(baseline_id) is not None
                accept = f"use `clnrm baseline accept '{baseline_id}'`"
                hint = accept if has_run else "no such scenario ran here: check the id, or run its test first"
                raise ClnrmError(f"no baseline for `{baseline_id}`", "CLN701", hint=hint)
            return found
        content = self.version(baseline_id, version)
        return parse(content, baseline_id, name=f"version {version}")

    def latest(self, baseline_id: str, *, seen: str | None = None) -> Latest:
        """The latest trace of a scenario, as ``accept`` would take it.

        Parameters
        ----------
        seen : str, optional
            Trace digest: that trace and no other, should a later run have brought another one.

        Raises
        ------
        UsageError
            The scenario never ran here, or that trace is not at hand any more.
        """
        latest = self._latests.of(baseline_id)
        if latest is None:
            raise self.unknown(baseline_id)
        if seen is None or latest.digest == seen:
            return latest
        review = self.reviews.get(baseline_id)
        reviewed = self._latests.reviewed(review) if review and review.digest == seen else None
        if reviewed is None:
            raise UsageError(
                f"the latest trace of `{baseline_id}` is not the one that was shown",
                hint="a later run brought another one: look at the diff again",
            )
        return reviewed

    def session(self, baseline_id: str) -> Session:
        """The review of one scenario: its diff with the ids that ``accept`` takes, and what is still open.

        Raises
        ------
        UsageError
            Nothing is pending, or there is no baseline to differ from.
        """
        review = self.reviews.get(baseline_id)
        latest = self._latests.reviewed(review) if review else None
        if review is None or latest is None:
            raise self.unknown(baseline_id)
        current = self.store.load(baseline_id)
        if current is None:
            raise UsageError(f"`{baseline_id}` has no baseline to patch", hint="accept the whole trace first")
        return Session.of(review, latest, current, self._base(review), self.options(review))

    def options(self, review: PendingReview) -> DiffOptions:
        """What counts in a review: as when it was compared, under the rules that the project has now.

        Raises
        ------
        ClnrmError
            CLN325: `rules.toml` is broken.
        """
        kept = options_from(review.options)
        own = [rule for rule in kept.rules if rule.origin == "scenario"]
        return replace(kept, rules=Tolerances(read_rules(self._project)).rules_for(review.id, own))

    def selector(self, baseline_id: str) -> str:
        """What ``scenario`` says in a rule about one scenario, and about no other one that anybody accepted.

        Its name, unless another file has a scenario of that name: then its whole id.
        """
        test_id, scenario = scenario_of(baseline_id)
        if scenario is None:
            return baseline_id
        file = test_id.partition("[")[0]
        known = [stored.id for stored in self.store.files()] + [review.id for review in self.reviews.all()]
        pairs = (scenario_of(one) for one in known if one is not None)
        is_shared = any(name == scenario and test.partition("[")[0] != file for test, name in pairs)
        return baseline_id if is_shared else scenario

    def back_tests(
        self, baseline_id: str, options: DiffOptions, *, reference: SpanTable | None = None
    ) -> BackTests:
        """The stored runs of a scenario, for trying rules on; without a baseline against a reference."""
        return BackTests(self, self._state, baseline_id, options, reference=reference)

    def history(self, baseline_id: str) -> list[Decision]:
        """Decisions about one id, oldest first."""
        return self.log().of(baseline_id)

    def blame(self, baseline_id: str) -> list[Blamed]:
        """Which decision made which line of the accepted baseline.

        Raises
        ------
        ClnrmError
            CLN701: there is none; CLN702, CLN703: its file cannot be used.
        """
        path = self.store.path(baseline_id)
        content = self.store.read(path)
        if content is None:
            self.show(baseline_id)
        versions = Versions(path, baseline_id, self.reviews)
        return blame(content or b"", baseline_id, self.log(), versions.after, name=self.store.name(path))

    def verify(self, ids: Sequence[str] = ()) -> list[Diagnostic]:
        """What does not hold: damaged files and decisions, gaps in the log, one without the other.

        Raises
        ------
        UsageError
            One of `ids` has neither a file nor a decision.
        """
        log = self.log()
        for baseline_id in ids:
            if not log.of(baseline_id) and self.store.read(self.store.path(baseline_id)) is None:
                raise self.undecided_about(baseline_id, log)
        found = [*log.verify(ids), *self._gone(ids or log.ids, log)]
        for stored in self.store.files():
            baseline_id = stored.id or stored.path.stem
            if ids and baseline_id not in ids:
                continue
            try:
                baseline = parse(
                    self.store.read(stored.path) or b"", baseline_id, name=self.store.name(stored.path)
                )
            except ClnrmError as error:
                found.append(error.diagnostic)
                continue
            if baseline.digest not in _accounted_for(log, baseline_id):
                message = f"no decision accounts for what `{self.store.name(stored.path)}` holds"
                hint = "it came past the log; accept the scenario again to say who and why"
                found.append(Diagnostic("CLN702", message, hint=hint, severity="warning"))
        return found

    def _gone(self, ids: Sequence[str], log: DecisionLog) -> list[Diagnostic]:
        """Accepted traces without a file: it was removed, or a killed process never wrote it."""
        found = []
        for baseline_id in ids:
            path = self.store.path(baseline_id)
            last = next((d for d in reversed(log.of(baseline_id)) if d.action in _FILE_ACTIONS), None)
            if last is not None and last.version is not None and self.store.read(path) is None:
                message = f"version {last.version} of `{baseline_id}` was accepted, and its file is gone"
                hint = f"`clnrm baseline restore '{baseline_id}'` brings it back, if it is still wanted"
                name = self.store.name(path)
                found.append(Diagnostic("CLN702", message, file=name, hint=hint, severity="info"))
        return found

    def log(self) -> DecisionLog:
        """The decisions, as they are now.

        Raises
        ------
        ClnrmError
            CLN001: they cannot be read.
        """
        log = DecisionLog(self.store.log_directory, self.store.name)
        if not log.is_readable:
            raise ClnrmError(log.damaged[0].message, "CLN001", hint="nothing was changed")
        return log

    def version(self, baseline_id: str, version: int) -> bytes:
        """The bytes of one version.

        Raises
        ------
        UsageError
            This machine does not have it.
        """
        log, path = self.log(), self.store.path(baseline_id)
        stored = Changes(self.store, log, self.reviews).versions(baseline_id)
        if version in stored:
            return stored[version]
        committed = Versions(path, baseline_id, self.reviews).committed()
        if version in committed:
            return committed[version]
        if not log.of(baseline_id) and not committed:
            raise self.undecided_about(baseline_id, log)
        known = ", ".join(map(str, sorted({*stored, *committed}))) or "none"
        raise UsageError(
            f"neither this machine nor git has version {version} of `{baseline_id}` (they have: {known})"
        )

    def unknown(self, baseline_id: str) -> UsageError:
        """What to say about an id that never ran here."""
        waiting = [review.id for review in self.pending()]
        hint = f"waiting: {', '.join(waiting[:5])}" if waiting else "run the test first"
        below = _below(baseline_id, self._latests.ids())
        return UsageError(f"no trace of `{baseline_id}` is known", hint=below or hint)

    def undecided_about(self, baseline_id: str, log: DecisionLog) -> UsageError:
        """What to say about an id that nothing was ever decided about."""
        hint = _below(baseline_id, log.ids) or "`clnrm baseline list` has the ids"
        return UsageError(f"nothing was ever decided about `{baseline_id}`", hint=hint)

    def _base(self, review: PendingReview) -> Baseline | None:
        content = self.reviews.file(review.base) if review.base else None
        try:
            return parse(content, review.id, name="") if content is not None else None
        except ClnrmError:
            return None


def _below(test_id: str, ids: Sequence[str]) -> str | None:
    """The scenarios of a test, where only one of them can be meant."""
    found = [one for one in ids if one.startswith((f"{test_id}::", f"{test_id}["))]
    return f"name one of its scenarios: {', '.join(f'`{one}`' for one in found[:5])}" if found else None


def _accounted_for(log: DecisionLog, baseline_id: str) -> set[str | None]:
    """Digests the file may have: that of the last decision that wrote it, of either branch after a merge."""
    writing = [decision for decision in log.of(baseline_id) if decision.action in _FILE_ACTIONS]
    named = {parent for decision in writing for parent in decision.parents}
    return {decision.digest for decision in writing if decision.hash not in named or decision is writing[-1]}

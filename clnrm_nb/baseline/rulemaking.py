"""Rules that people agree to: written where they belong, logged, and taken out again byte for byte.

What all decisions have in common stands here, too: the lock, what ``--ci`` refuses, and the record of who and
when. :class:`~clnrm_nb.baseline.review.BaselineReview` adds the decisions about traces.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from clnrm_nb.baseline.catalog import Baselines
from clnrm_nb.baseline.changes import Changes
from clnrm_nb.baseline.decisions import Action, Decided, Decision, identity
from clnrm_nb.baseline.difference import options_from, plain
from clnrm_nb.baseline.offers import Offer
from clnrm_nb.baseline.proposals import propose
from clnrm_nb.baseline.ruling import RulePlace, file_of, has_rule, recorded, with_rule, without_rule
from clnrm_nb.diff import DiffOptions
from clnrm_nb.errors import UsageError
from clnrm_nb.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from clnrm_nb.baseline.files import Baseline
    from clnrm_nb.baseline.latest import Latest
    from clnrm_nb.config.project import Project
    from clnrm_nb.diff.rules import Rule
    from clnrm_nb.state import State

__all__ = ["RuleReview"]


def _now() -> datetime:
    return datetime.now(UTC)


class RuleReview(Baselines):
    """Baselines of one project, for reading, and for making rules about what differs from them.

    Parameters
    ----------
    project : Project
    state : State
        Holds pending traces and older versions.
    read_only : bool
        ``--ci``: every decision is refused.
    now : callable, optional
        The clock.
    """

    def __init__(
        self,
        project: Project,
        state: State,
        *,
        read_only: bool = False,
        now: Callable[[], datetime] = _now,
    ) -> None:
        super().__init__(project, state)
        self._read_only = read_only
        self._now = now

    def make_rule(
        self,
        baseline_id: str,
        rule: Rule,
        *,
        place: RulePlace = "project",
        confirmed: bool = False,
        causes: Sequence[str] = (),
        options: DiffOptions | None = None,
        by: str | None = None,
        message: str = "",
        dry_run: bool = False,
    ) -> Decided:
        """Write a tolerance rule that a person has agreed to.

        Parameters
        ----------
        rule : Rule
            As proposed; who, when and why are added.
        place : {"project", "scenario"}
            ``baselines/rules.toml``, or the end of the scenario file.
        confirmed : bool
            Although it hides a trace that somebody rejected.
        causes : sequence of str
            Ids of the causes it was made of.
        options : DiffOptions, optional
            What counts, for the back-test; default: what counts in the review of this scenario.
        message : str, optional
            Why, in place of what was proposed.

        Raises
        ------
        UsageError
            It hides what was rejected and that is not confirmed; it cannot stand in that file.
        ClnrmError
            CLN325: `rules.toml` is broken. CLN001: a file cannot be written.
        """
        with self._deciding("rule", dry_run=dry_run):
            log, current = self.log(), self.store.load(baseline_id)
            path = file_of(self._project, self.store, baseline_id, place)
            name, before = self.store.name(path), self.store.read(path)
            is_new = not has_rule(before, rule, place, name)
            decided = self._about_rule("rule", baseline_id, current, name, rule.id, is_new=is_new)
            if dry_run or not is_new:
                return decided
            if not confirmed:
                self._refuse_hiding(baseline_id, rule, options)
            who = identity(by, self._project.root)
            decision = self._decision(decided, who, message)
            made = replace(rule, by=who, at=decision.at, reason=message or rule.reason)
            review = self.reviews.get(baseline_id)
            run = review.run if review else None
            decision = replace(decision, rule=recorded(made, name), run=run, causes=tuple(causes))
            content = with_rule(before, made, place, name)
            done = Changes(self.store, log, self.reviews).carry_out(decision, path, content)
            left = self._under_rules(baseline_id, add=replace(made, origin=place))
            return replace(decided, decision=done, left=left)

    def offers(self, baseline_id: str, wanted: Sequence[str]) -> list[Offer]:
        """Rules that would allow some edits or causes of a review, narrowest first, tried on stored runs.

        Parameters
        ----------
        wanted : sequence of str
            Ids of edits or causes of the review's diff.

        Raises
        ------
        UsageError
            Nothing is pending, no edit or cause is called that, or no rule can allow it.
        """
        session = self.session(baseline_id)
        review = self.reviews.get(baseline_id)
        assert review is not None
        unknown = [one for one in wanted if not session.has(one)]
        if unknown:
            raise UsageError(
                f"no pending edit or cause is called {', '.join(unknown)}",
                hint="the trace or the baseline may have changed since: look at the diff again",
            )
        diff = session.diff
        edits = [edit for edit in diff.counted if edit.edit_id in wanted or edit.cause_id in wanted]
        found = propose(edits, diff, scenario=self.selector(baseline_id))
        if not found:
            raise UsageError(
                "no single rule can allow that", hint="accept or reject it, or allow its edits one by one"
            )
        tests = self.back_tests(baseline_id, self.options(review))
        causes = tuple(dict.fromkeys(edit.cause_id for edit in edits))
        return [Offer(one, tests.of(one.rule), causes) for one in found]

    def rules_made(self, baseline_id: str) -> list[str]:
        """Ids of the rules that stand because of decisions about a scenario."""
        return [one.rule["id"] for one in self.log().standing(baseline_id) if one.rule is not None]

    def _refuse_hiding(self, baseline_id: str, rule: Rule, options: DiffOptions | None) -> None:
        review = self.reviews.get(baseline_id)
        options = options or (self.options(review) if review else DiffOptions())
        hidden = self.back_tests(baseline_id, options).of(rule).hidden
        if hidden:
            raise UsageError(
                f"rule `{rule.id}` would hide what was rejected: {'; '.join(map(str, hidden))}",
                hint="confirm that it shall",
            )

    def _take_out(
        self,
        last: Decision,
        rule: Mapping[str, Any],
        changes: Changes,
        *,
        by: str | None,
        message: str,
        dry_run: bool,
    ) -> Decided:
        """Undo a rule: its block goes, and what it quieted is open again."""
        path, current = self._project.root / rule["file"], self.store.load(last.id)
        before, after = changes.around(last)
        content = without_rule(self.store.read(path), before, after, rule["id"], rule["file"])
        decided = self._about_rule("undo", last.id, current, rule["file"], rule["id"], is_new=True)
        if dry_run:
            return decided
        who = identity(by, self._project.root)
        decision = replace(self._decision(decided, who, message), rule=last.rule, run=last.run)
        done = changes.carry_out(decision, path, content)
        return replace(decided, decision=done, left=self._under_rules(last.id, without=rule["id"]))

    @staticmethod
    def _about_rule(
        action: Action, baseline_id: str, current: Baseline | None, file: str, rule: str, *, is_new: bool
    ) -> Decided:
        version, digest = (current.version, current.digest) if current else (None, None)
        return Decided(baseline_id, action, is_new, version, digest, digest, file, rule=rule)

    def _under_rules(self, baseline_id: str, *, add: Rule | None = None, without: str = "") -> int:
        """Bring the review of a scenario up to its rules; how many edits are still open."""
        review = self.reviews.get(baseline_id)
        if review is None:
            return 0
        kept = options_from(review.options)
        rules = [rule for rule in kept.rules if rule.id != without]
        rules += [add] if add is not None else []
        review = replace(review, options=plain(replace(kept, rules=tuple(rules))))
        self.reviews.put(review)
        if self.store.load(baseline_id) is None:
            return 0
        left = len(self.session(baseline_id).open)
        if review.state in ("pending", "rule"):
            self.reviews.mark(review, "pending" if left else "rule")
        return left

    # ------------------------------------------------------------------------------------ for all decisions

    def _deciding(self, action: str, *, dry_run: bool) -> AbstractContextManager[None]:
        if dry_run:
            return nullcontext()
        if self._read_only:
            raise UsageError(
                f"`{action}` changes baselines, and `--ci` never does",
                hint="decide on a machine where somebody looks, or use `--update-baseline`",
            )
        return self.store.lock()

    def _decision(self, decided: Decided, who: str, message: str, latest: Latest | None = None) -> Decision:
        return Decision(
            id=decided.id,
            action=decided.action,
            version=decided.version,
            digest=decided.digest,
            previous=decided.previous,
            at=self._now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            by=who,
            reason=message,
            run=latest.run if latest else None,
            source_hash=latest.source_hash if latest else None,
            vars_hash=latest.vars_hash if latest else None,
            clnrm_nb=__version__,
        )

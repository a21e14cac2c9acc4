"""Deciding about differences: accept all or some of them, reject, restore, undo.

The one place that changes baselines. Every decision is made under a lock that all processes share, from files
as they are at that moment, so that two decisions at once are two decisions one after the other. A person
without a terminal, a notebook and ``--update-baseline`` come through here alike.
"""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from clnrm_nb.baseline.changes import Changes
from clnrm_nb.baseline.decisions import Decided, Decision, DecisionLog, identity
from clnrm_nb.baseline.files import parse, scenario_of
from clnrm_nb.baseline.proposal import Proposal, propose, refusal
from clnrm_nb.baseline.rulemaking import RuleReview
from clnrm_nb.errors import ClnrmError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from clnrm_nb.state.reviews import ReviewState

__all__ = ["BaselineReview"]


class BaselineReview(RuleReview):
    """Baselines of one project, for reading and deciding.

    Parameters
    ----------
    project : Project
    state : State
        Holds pending traces and older versions.
    read_only : bool
        ``--ci``: every decision is refused. ``--update-baseline`` is the only thing that overrules it.
    now : callable, optional
        The clock.
    """

    # ------------------------------------------------------------------------------------------ deciding

    def accept(
        self,
        ids: Sequence[str] = (),
        *,
        edits: Sequence[str] = (),
        causes: Sequence[str] = (),
        everything: bool = False,
        skip_refused: bool = False,
        force: bool = False,
        seen: Mapping[str, str] | None = None,
        by: str | None = None,
        message: str = "",
        dry_run: bool = False,
    ) -> list[Decided]:
        """Make the latest trace of scenarios their baseline, or only some of its edits.

        Parameters
        ----------
        ids : sequence of str
            Ids, tests (all that is undecided of them), or globs of ids.
        edits, causes : sequence of str
            Only these edits, with those they require, as a patch on the accepted baseline.
        everything : bool
            Every latest trace that is neither its baseline nor rejected, whether its run was compared or not;
            implies `skip_refused`.
        skip_refused : bool
            What must be refused is reported and left out (``--update-baseline``: accept what passed).
        force : bool
            Also traces of tests that did not pass.
        seen : mapping of id to str, optional
            Digests of the traces that a person looked at: those are accepted, not what ran since.
        by, message : str, optional
            Who (default: git's identity, else the user's name) and why.
        dry_run : bool
            Write nothing; say what would become of it.

        Raises
        ------
        UsageError
            Unknown id, edit or cause; a trace without spans, incomplete, or of a test that did not pass. With
            several ids nothing is changed unless all can be.
        ClnrmError
            CLN702, CLN703: a baseline file is damaged or newer; CLN001: a file cannot be written.
        """
        with self._deciding("accept", dry_run=dry_run):
            log = self.log()
            chosen = self._chosen(ids, everything=everything, is_partial=bool(edits or causes))
            wanted = [*edits, *causes]
            proposals = (
                self._partial(chosen, wanted, log, force=force)
                if wanted
                else self._whole(chosen, log, seen or {}, force=force, skip_damaged=everything)
            )
            refused = [proposal for proposal in proposals if proposal.refused]
            if refused and not (everything or skip_refused):
                raise UsageError("; ".join(str(proposal.refused) for proposal in refused))
            who = identity(by, self._project.root)
            return [self._accept(p, log, who, message, causes, dry_run=dry_run) for p in proposals]

    def reject(
        self,
        baseline_id: str,
        *,
        seen: str | None = None,
        by: str | None = None,
        message: str = "",
        dry_run: bool = False,
    ) -> Decided:
        """Refuse the latest trace: the file stays, and an equal trace fails until this is undone.

        Parameters
        ----------
        seen : str, optional
            Digest of the trace that a person looked at.

        Raises
        ------
        UsageError
            There is no such trace, or it is the accepted one.
        """
        with self._deciding("reject", dry_run=dry_run):
            log = self.log()
            latest = self.latest(baseline_id, seen=seen)
            current = self.store.load(baseline_id)
            if current is not None and current.digest == latest.digest:
                raise UsageError(f"the latest trace of `{baseline_id}` is its baseline: nothing to reject")
            decided = Decided(
                baseline_id,
                "reject",
                log.rejection(baseline_id, latest.digest) is None,
                current.version if current else None,
                latest.digest,
                current.digest if current else None,
                self.store.name(self.store.path(baseline_id)),
            )
            if dry_run or not decided.changed:
                return decided
            who = identity(by, self._project.root)
            decision = self._decision(decided, who, message, latest)
            name = Changes(self.store, log, self.reviews).note(decision)
            self._mark(baseline_id, "rejected")
            return replace(decided, decision=name)

    def restore(
        self,
        baseline_id: str,
        version: int | None = None,
        *,
        by: str | None = None,
        message: str = "",
        dry_run: bool = False,
    ) -> Decided:
        """Bring a version back byte for byte; a damaged file may be replaced that way.

        Parameters
        ----------
        version : int, optional
            Default: the last accepted one if the file is damaged or gone, else the one before the current.

        Raises
        ------
        UsageError
            This machine does not have that version.
        """
        with self._deciding("restore", dry_run=dry_run):
            log = self.log()
            path = self.store.path(baseline_id)
            before = self.store.read(path)
            try:
                current = self.store.load(baseline_id)
            except ClnrmError:
                current = None
            if version is None:
                version = current.version - 1 if current else log.last_version(baseline_id)
            content = self.version(baseline_id, version)
            found = parse(content, baseline_id, name=f"version {version}")
            decided = Decided(
                baseline_id,
                "restore",
                content != before,
                found.version,
                found.digest,
                current.digest if current else None,
                self.store.name(path),
            )
            if dry_run or not decided.changed:
                return decided
            decision = self._decision(decided, identity(by, self._project.root), message)
            return replace(
                decided, decision=Changes(self.store, log, self.reviews).carry_out(decision, path, content)
            )

    def undo(
        self, baseline_id: str, *, by: str | None = None, message: str = "", dry_run: bool = False
    ) -> Decided:
        """Take back the last decision that stands; files are as they were, byte for byte.

        Raises
        ------
        UsageError
            Nothing to undo, the file has changed since, or this machine lacks the bytes it replaced.
        """
        with self._deciding("undo", dry_run=dry_run):
            log = self.log()
            standing = log.standing(baseline_id)
            if not standing:
                if not log.of(baseline_id):
                    raise self.undecided_about(baseline_id, log)
                raise UsageError(f"every decision about `{baseline_id}` is undone already")
            last = standing[-1]
            changes = Changes(self.store, log, self.reviews)
            if last.rule is not None:
                return self._take_out(last, last.rule, changes, by=by, message=message, dry_run=dry_run)
            path = self.store.path(baseline_id)
            content = now = self.store.read(path)
            if last.action != "reject":
                if not changes.is_as_left(last, now):
                    raise UsageError(
                        f"`{self.store.name(path)}` is not what the last decision left; undo would lose that",
                        hint=f"`clnrm baseline restore '{baseline_id}' --version N` brings a version back",
                    )
                content = changes.before(last)
            decided = self._undone(last, content, path_name=self.store.name(path))
            if dry_run:
                return decided
            who = identity(by, self._project.root)
            decision = replace(
                self._decision(decided, who, message), edits=last.edits, causes=last.causes, run=last.run
            )
            name = changes.carry_out(decision, path, content)
            self._reopen(last)
            return replace(decided, decision=name)

    def remove(self, paths: Sequence[Path]) -> None:
        """Remove baseline files that no scenario owns; their bytes are kept here, so that `restore` works.

        Raises
        ------
        UsageError
            ``--ci``.
        ClnrmError
            CLN001: a file cannot be kept or removed; it is as it was, those before it are gone.
        """
        with self._deciding("gc", dry_run=False):
            changes = Changes(self.store, self.log(), self.reviews)
            for path in paths:
                changes.drop(path)

    # --------------------------------------------------------------------------------------------- parts

    def _chosen(self, ids: Sequence[str], *, everything: bool, is_partial: bool) -> list[str]:
        if is_partial and not ids:
            return [review.id for review in self.pending()]
        if everything:
            return self._everything()
        if not ids:
            raise UsageError("name a scenario, or give `--all`")
        chosen: dict[str, None] = {}
        for wanted in ids:
            matches = self._matches(wanted)
            if not matches:
                raise self.unknown(wanted)
            chosen.update(dict.fromkeys(matches))
        return list(chosen)

    def _everything(self) -> list[str]:
        undecided = self.undecided()
        if not undecided and not self._latests.ids():
            raise UsageError(
                "no trace is known here that could become a baseline",
                hint="`clnrm run` brings traces, then `clnrm baseline accept --all` takes them",
            )
        return undecided

    def _matches(self, wanted: str) -> list[str]:
        """The ids that are meant: an id; all that is undecided of a test or a file; a glob."""
        if scenario_of(wanted)[1] is None:
            below = (f"{wanted}::", f"{wanted}[")
            if found := [one for one in self.undecided() if one == wanted or one.startswith(below)]:
                return found
        if self._latests.of(wanted) is not None:
            return [wanted]
        return [one for one in self.undecided() if fnmatchcase(one, wanted)]

    # ............................................................................................ accept

    def _whole(
        self,
        ids: Sequence[str],
        log: DecisionLog,
        seen: Mapping[str, str],
        *,
        force: bool,
        skip_damaged: bool,
    ) -> list[Proposal]:
        proposals = []
        for baseline_id in ids:
            latest = self.latest(baseline_id, seen=seen.get(baseline_id))
            try:
                current = self.store.load(baseline_id)
            except ClnrmError as error:
                if not skip_damaged:
                    raise
                proposals.append(refusal(latest, error.message))
                continue
            version = max(log.last_version(baseline_id), current.version if current else 0) + 1
            proposals.append(propose(latest, current, version, force=force))
        return proposals

    def _partial(
        self, ids: Sequence[str], wanted: Sequence[str], log: DecisionLog, *, force: bool
    ) -> list[Proposal]:
        proposals: list[Proposal] = []
        left = dict.fromkeys(wanted)
        for baseline_id in ids:
            session = self.session(baseline_id)
            mine = [one for one in wanted if session.has(one)]
            for one in mine:
                left.pop(one, None)
            if mine:
                version = max(log.last_version(baseline_id), session.current.version) + 1
                proposals.append(session.propose(mine, version, force=force))
        if left:
            raise UsageError(
                f"no pending edit or cause is called {', '.join(left)}",
                hint="the trace or the baseline may have changed since: look at the diff again",
            )
        return proposals

    def _accept(
        self,
        proposal: Proposal,
        log: DecisionLog,
        who: str,
        message: str,
        causes: Sequence[str],
        *,
        dry_run: bool,
    ) -> Decided:
        path = self.store.path(proposal.id)
        decided = Decided(
            proposal.id,
            "accept",
            proposal.is_new,
            proposal.version,
            proposal.digest,
            proposal.previous,
            self.store.name(path),
            edits=proposal.edits,
            left=proposal.left,
            refused=proposal.refused,
        )
        if dry_run or proposal.refused:
            return decided
        before = self.store.read(path)
        if decided.changed:
            decision = replace(
                self._decision(decided, who, message, proposal.latest),
                edits=proposal.edits,
                causes=tuple(c for c in causes if proposal.session and proposal.session.has(c)),
            )
            name = Changes(self.store, log, self.reviews).carry_out(decision, path, proposal.content)
            decided = replace(decided, decision=name)
        elif proposal.content is not None:
            self.store.replace(path, proposal.content)
        self._progress(proposal, before)
        return decided

    def _progress(self, proposal: Proposal, before: bytes | None) -> None:
        """How far the review of this scenario has come."""
        review = self.reviews.get(proposal.id)
        if review is None:
            return
        if proposal.session is None:
            self.reviews.mark(review, "accepted")
            return
        base = review.base
        if proposal.session.is_fresh and before is not None:
            base = self.reviews.put_file(before)
        state: ReviewState = "pending" if proposal.left else "accepted"
        self.reviews.put(replace(review, base=base, accepted=proposal.accepted, state=state))

    # .............................................................................................. undo

    def _undone(self, last: Decision, content: bytes | None, *, path_name: str) -> Decided:
        try:
            found = parse(content, last.id, name=path_name) if content is not None else None
        except ClnrmError:
            # A damaged file was restored over, and that is taken back: the damage included.
            found = None
        before = last.previous if last.action == "reject" else last.digest
        return Decided(
            last.id,
            "undo",
            True,
            found.version if found else None,
            found.digest if found else None,
            before,
            path_name,
            edits=last.edits,
        )

    def _reopen(self, undone: Decision) -> None:
        """What was decided about waits again, if its trace is still the latest one seen."""
        review = self.reviews.get(undone.id)
        if review is None or undone.action not in ("accept", "reject"):
            return
        if undone.run in (None, review.run) or undone.digest == review.digest:
            accepted = tuple(edit for edit in review.accepted if edit not in undone.edits)
            self.reviews.put(replace(review, state="pending", accepted=accepted))

    def _mark(self, baseline_id: str, state: ReviewState) -> None:
        review = self.reviews.get(baseline_id)
        if review is not None:
            self.reviews.mark(review, state)

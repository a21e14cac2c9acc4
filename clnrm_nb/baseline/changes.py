"""One decision carried out: the old bytes kept, the decision logged, the file replaced, in this order.

Whatever fails on the way leaves the file as it was. A process killed between log and file leaves a decision
without its effect, which ``verify`` tells and repeating the decision heals; never a file without a decision.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from clnrm_nb.baseline.files import header_of, parse
from clnrm_nb.baseline.versions import Versions
from clnrm_nb.errors import ClnrmError, UsageError
from clnrm_nb.state.objects import digest_of
from clnrm_nb.state.reviews import Change

if TYPE_CHECKING:
    from pathlib import Path

    from clnrm_nb.baseline.decisions import Decision, DecisionLog
    from clnrm_nb.baseline.store import BaselineStore
    from clnrm_nb.state.reviews import Reviews

__all__ = ["Changes"]


class Changes:
    """Writes decisions; only under the lock of the store.

    Parameters
    ----------
    store : BaselineStore
    log : DecisionLog
        As read under the lock.
    reviews : Reviews
        Where old bytes are kept.
    """

    def __init__(self, store: BaselineStore, log: DecisionLog, reviews: Reviews) -> None:
        self._store = store
        self._log = log
        self._reviews = reviews

    # ------------------------------------------------------------------------------------------ writing

    def carry_out(self, decision: Decision, path: Path, content: bytes | None) -> str:
        """Log a decision and put `content` in place of the file; the decision's name.

        Parameters
        ----------
        decision : Decision
            Without parents: they are looked up.
        content : bytes or None
            ``None`` removes the file.

        Raises
        ------
        ClnrmError
            CLN001: something cannot be written; the file is as it was.
        """
        decision = replace(decision, parents=self._log.heads(decision.id))
        before = self._store.read(path)
        self._keep(decision, before, content)
        name = self._log_it(decision)
        if content != before:
            try:
                self._store.replace(path, content)
            except ClnrmError:
                self._log.remove(name)
                raise
        return name

    def drop(self, path: Path) -> None:
        """Remove a file that no scenario owns, its bytes kept.

        Raises
        ------
        ClnrmError
            CLN001: it cannot be kept or removed; it is as it was.
        """
        content = self._store.read(path)
        if content is None:
            return
        header = header_of(content) or {}
        kept = self._reviews.put_file(content)
        name = f"dropped {digest_of(content)}"
        change = Change(name, str(header.get("id", path.stem)), None, None, before=kept, after=None)
        if kept is None or not self._reviews.add_change(change):
            raise _not_kept(path.name)
        self._store.replace(path, None)
        self._reviews.remove([change.id])

    def note(self, decision: Decision) -> str:
        """Log a decision that changes no file; its name."""
        return self._log_it(replace(decision, parents=self._log.heads(decision.id)))

    def _log_it(self, decision: Decision) -> str:
        try:
            return self._log.add(decision)
        except OSError as error:
            raise ClnrmError(
                f"the decision about `{decision.id}` cannot be written: {error.strerror or error}",
                "CLN001",
                hint="nothing was changed",
            ) from error

    def _keep(self, decision: Decision, before: bytes | None, after: bytes | None) -> None:
        objects = [
            None if content is None else self._reviews.put_file(content) for content in (before, after)
        ]
        is_kept = all(
            kept is not None
            for kept, content in zip(objects, (before, after), strict=True)
            if content is not None
        )
        # The file of a rule is no version of the baseline.
        digest = decision.digest if decision.rule is None else f"rule {decision.rule['id']}"
        version = decision.version if decision.rule is None else None
        change = Change(decision.hash, decision.id, version, digest, before=objects[0], after=objects[1])
        if not (is_kept and self._reviews.add_change(change)):
            raise _not_kept(decision.id)

    # ------------------------------------------------------------------------------------------ looking back

    def before(self, decision: Decision) -> bytes | None:
        """The bytes a decision replaced; ``None``: there was no file.

        Raises
        ------
        UsageError
            Neither this machine nor git has them.
        """
        changes = self._reviews.changes(decision.id)
        made = next((change for change in changes if change.decision == decision.hash), None)
        if made is None and decision.previous is None:
            return None
        if made is not None and made.before is None:
            return None
        wanted = [made.before] if made is not None and made.before is not None else []
        wanted += [change.after for change in changes if change.after and change.digest == decision.previous]
        for digest in wanted:
            content = self._reviews.file(digest)
            if content is not None:
                return content
        committed = Versions(self._store.path(decision.id), decision.id, self._reviews)
        content = committed.with_digest(decision.previous)
        if content is not None:
            return content
        raise UsageError(
            f"this machine does not have the baseline of `{decision.id}` before that {decision.action}",
            hint="take it from version control; nothing was changed",
        )

    def versions(self, baseline_id: str) -> dict[int, bytes]:
        """Every version of a baseline that this machine has, the latest of each number."""
        found: dict[int, bytes] = {}
        for change in self._reviews.changes(baseline_id):
            for digest in (change.before, change.after):
                content = self._reviews.file(digest) if digest else None
                if content is None:
                    continue
                try:
                    found[parse(content, baseline_id, name=str(digest)).version] = content
                except ClnrmError:
                    # A damaged file that was replaced on purpose: kept for undo, and no version.
                    continue
        return found

    def around(self, decision: Decision) -> tuple[bytes | None, bytes | None]:
        """The bytes of a file before and after a decision about it.

        Raises
        ------
        UsageError
            This machine does not have them.
        """
        made = next((c for c in self._reviews.changes(decision.id) if c.decision == decision.hash), None)
        if made is None:
            raise UsageError(
                f"this machine does not know what that {decision.action} about `{decision.id}` changed",
                hint="take it out by hand; nothing was changed",
            )
        before, after = (self._reviews.file(kept) if kept else None for kept in (made.before, made.after))
        return before, after

    def is_as_left(self, decision: Decision, content: bytes | None) -> bool:
        """Whether a file still is what a decision made of it, its ``composed`` mark aside."""
        if content is None:
            return decision.digest is None
        made = next((c for c in self._reviews.changes(decision.id) if c.decision == decision.hash), None)
        if made is not None and made.after == digest_of(content):
            return True
        try:
            return parse(content, decision.id, name="").digest == decision.digest
        except ClnrmError:
            return False


def _not_kept(name: str) -> ClnrmError:
    return ClnrmError(
        f"the version of `{name}` that would be replaced cannot be kept for undo",
        "CLN001",
        hint="the state directory cannot be written; nothing was changed",
    )

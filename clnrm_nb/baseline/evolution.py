"""How a test's trace changed over its accepted versions: each version held against the one before it.

Versions are those whose decision still stands, in the order in which they came into use; the log says who,
when and why. What they hold comes from the objects of this machine, else from git; a version that neither
has is listed without what could only be counted in it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.baseline.difference import difference
from clnrm_nb.baseline.files import parse
from clnrm_nb.baseline.versions import Versions
from clnrm_nb.diff import DiffOptions
from clnrm_nb.errors import ClnrmError

if TYPE_CHECKING:
    from clnrm_nb.baseline.catalog import Baselines
    from clnrm_nb.baseline.decisions import Decision
    from clnrm_nb.baseline.files import Baseline

__all__ = ["Version", "evolution"]

_FILE_ACTIONS: Final = frozenset({"accept", "restore"})
_STATUSES: Final = ("added", "missing", "changed", "moved", "renamed")
_MOST_CAUSES: Final = 3


@dataclass(frozen=True, slots=True)
class Version:
    """One accepted version.

    Parameters
    ----------
    scenario_id : str
    version : int
    action : str
        How it came into use: ``accept`` or ``restore``; ``""`` for a file that came past the log.
    in_use : bool
        Whether the file holds it now.
    digest : str or None
    accepted_at, accepted_by, reason : str or None
    spans : int or None
        ``None`` where its content is not at hand.
    composed : bool or None
    added, missing, changed, moved, renamed : int or None
        Spans by status since the version before it; ``None`` where one of the two is not at hand, and for the
        first one.
    edits, causes, cost : int or None
        Of the difference from the version before it.
    change : str or None
        That difference in words: its first causes.
    """

    scenario_id: str
    version: int
    action: str
    in_use: bool
    digest: str | None
    accepted_at: str | None = None
    accepted_by: str | None = None
    reason: str | None = None
    spans: int | None = None
    composed: bool | None = None
    added: int | None = None
    missing: int | None = None
    changed: int | None = None
    moved: int | None = None
    renamed: int | None = None
    edits: int | None = None
    causes: int | None = None
    cost: int | None = None
    change: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Its row."""
        return asdict(self)


def evolution(baselines: Baselines, baseline_id: str, options: DiffOptions | None = None) -> list[Version]:
    """The versions of a baseline, oldest first.

    Parameters
    ----------
    options : DiffOptions, optional
        What counts between two versions; tolerance rules have no say in what was accepted.

    A file that is damaged is no version; decisions are told all the same.
    """
    options = replace(options or DiffOptions(), rules=())
    try:
        current = baselines.store.load(baseline_id)
    except ClnrmError:
        current = None
    log = baselines.log()
    decisions = [
        one for one in log.standing(baseline_id) if one.action in _FILE_ACTIONS and one.version is not None
    ]
    versions = Versions(baselines.store.path(baseline_id), baseline_id, baselines.reviews)
    made: list[Version] = []
    before: Baseline | None = None
    known: dict[str, Baseline] = {}
    for decision in decisions:
        is_current = current is not None and current.digest == decision.digest
        found = current if is_current else _content(versions, decision)
        # After a merge the decision before may be another branch's.
        before = known.get(decision.previous or "")
        made.append(
            Version(
                baseline_id,
                decision.version or 0,
                decision.action,
                in_use=False,
                digest=decision.digest,
                accepted_at=decision.at,
                accepted_by=decision.by,
                reason=decision.reason or None,
                **_held(before, found, options, is_first=not made),
            )
        )
        before = found
        if found is not None:
            known[found.digest] = found
    return _with_current(made, baseline_id, current, before, options)


def _content(versions: Versions, decision: Decision) -> Baseline | None:
    """What a decision made of the file; ``None`` where nobody has it."""
    known = versions.after(decision)
    if known is None:
        return None
    try:
        found = parse(known[0], decision.id, name=f"version {decision.version}")
    except ClnrmError:
        # Damaged, or of a newer format, when it was committed: no version that could be counted.
        return None
    return found if found.digest == decision.digest else None


def _with_current(
    made: list[Version],
    baseline_id: str,
    current: Baseline | None,
    before: Baseline | None,
    options: DiffOptions,
) -> list[Version]:
    """Mark the version that is in use; a file that no decision accounts for stands at the end."""
    if current is None:
        return made
    # After a merge, or a checkout of an older file, it need not be the last one that was decided.
    accounted = [place for place, version in enumerate(made) if version.digest == current.digest]
    if accounted:
        used = replace(made[accounted[-1]], in_use=True, composed=current.composed)
        return [*made[: accounted[-1]], used, *made[accounted[-1] + 1 :]]
    held = _held(before, current, options, is_first=not made)
    return [*made, Version(baseline_id, current.version, "", in_use=True, digest=current.digest, **held)]


def _held(
    before: Baseline | None, found: Baseline | None, options: DiffOptions, *, is_first: bool
) -> dict[str, Any]:
    """What is counted in a version, and between it and the one before."""
    if found is None:
        return {}
    held: dict[str, Any] = {"spans": len(found.table), "composed": found.composed}
    if is_first or before is None:
        return held
    diff = difference(before.table, found.table, options, digest=before.digest)
    causes = [cause.message for cause in diff.causes if cause.counted]
    more = f"; and {len(causes) - _MOST_CAUSES} more" if len(causes) > _MOST_CAUSES else ""
    return {
        **held,
        **{status: diff.totals[status] for status in _STATUSES},
        "edits": len(diff.counted),
        "causes": len(causes),
        "cost": diff.cost,
        "change": "; ".join(causes[:_MOST_CAUSES]) + more,
    }

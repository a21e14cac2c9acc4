"""How a test's trace changed over its accepted versions: each version held against the one before it.

Versions are those whose decision still stands, in the order in which they came into use; the log says who,
when and why. What they hold comes from the objects of this machine, else from git; a version that neither
has is listed without what could only be counted in it.
"""

from __future__ import annotations

import subprocess
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.baseline.changes import Changes
from clnrm_nb.baseline.difference import difference
from clnrm_nb.baseline.files import parse
from clnrm_nb.diff import DiffOptions
from clnrm_nb.errors import ClnrmError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from clnrm_nb.baseline.catalog import Baselines
    from clnrm_nb.baseline.files import Baseline

__all__ = ["Version", "evolution", "from_git"]

_FILE_ACTIONS: Final = frozenset({"accept", "restore"})
_STATUSES: Final = ("added", "missing", "changed", "moved", "renamed")
_MOST_CAUSES: Final = 3
_GIT_TIMEOUT_S: Final = 10.0


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

    Raises
    ------
    ClnrmError
        CLN702, CLN703: its file cannot be used.
    """
    options = replace(options or DiffOptions(), rules=())
    current = baselines.store.load(baseline_id)
    log = baselines.log()
    decisions = [
        one for one in log.standing(baseline_id) if one.action in _FILE_ACTIONS and one.version is not None
    ]
    contents = _contents(baselines, baseline_id, current, {one.digest or "" for one in decisions})
    made: list[Version] = []
    before: Baseline | None = None
    for decision in decisions:
        found = contents.get(decision.digest or "")
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
    return _with_current(made, baseline_id, current, before, options)


def _contents(
    baselines: Baselines, baseline_id: str, current: Baseline | None, wanted: set[str]
) -> dict[str, Baseline]:
    """Versions by digest: of the file, of this machine's objects, and what these lack of git."""
    found = {current.digest: current} if current else {}
    kept = Changes(baselines.store, baselines.log(), baselines.reviews).versions(baseline_id)
    for version, content in kept.items():
        baseline = parse(content, baseline_id, name=f"version {version}")
        found.setdefault(baseline.digest, baseline)
    lost = wanted - found.keys()
    if lost:
        path = baselines.store.path(baseline_id)
        found.update((one.digest, one) for one in from_git(path, baseline_id, lost))
    return found


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
    if made and made[-1].digest == current.digest:
        last = asdict(made[-1])
        return [*made[:-1], Version(**{**last, "in_use": True, "composed": current.composed})]
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


def from_git(path: Path, baseline_id: str, wanted: set[str]) -> Iterator[Baseline]:
    """Versions of a file that its git history has, as far as they are wanted.

    Parameters
    ----------
    wanted : set of str
        Digests of the versions that are looked for; once all are found no more is read.
    """
    left = set(wanted)
    seen: set[str] = set()
    for commit in (_git(path.parent, "log", "--format=%H", "--", path.name) or b"").decode().split():
        if not left:
            return
        content = _git(path.parent, "show", f"{commit}:./{path.name}")
        if content is None:
            continue
        try:
            found = parse(content, baseline_id, name=f"{path.name} in {commit[:12]}")
        except ClnrmError:
            # A version that was damaged when it was committed is no version.
            continue
        if found.digest not in seen:
            seen.add(found.digest)
            left.discard(found.digest)
            yield found


def _git(directory: Path, *words: str) -> bytes | None:
    """What git says; ``None`` without git, a repository, or that object."""
    try:
        done = subprocess.run(
            ["git", *words],
            cwd=directory,
            capture_output=True,
            timeout=_GIT_TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode == 0 else None

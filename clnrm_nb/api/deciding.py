"""``baseline …``: the accepted traces, and decisions about what differs from them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from clnrm_nb.api.contexts import Context, context_of, refuse_unknown
from clnrm_nb.baseline import BaselineReview
from clnrm_nb.baseline.difference import options_of
from clnrm_nb.baseline.evolution import evolution
from clnrm_nb.errors import ClnrmError
from clnrm_nb.report.baselines import Baselines
from clnrm_nb.report.evolution import BaselineHistory
from clnrm_nb.report.results import Trace
from clnrm_nb.report.text import number_text
from clnrm_nb.state import State

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from clnrm_nb.baseline import BaselineEntry, Decided, Decision
    from clnrm_nb.errors import Diagnostic

__all__ = [
    "baseline_accept",
    "baseline_history",
    "baseline_list",
    "baseline_reject",
    "baseline_restore",
    "baseline_show",
    "baseline_undo",
    "baseline_verify",
]


@contextmanager
def _review(here: Context) -> Iterator[BaselineReview]:
    with State.open(here.project.state_dir) as state:
        yield BaselineReview(here.project, state, read_only=here.ci)


def baseline_list(*, context: Context | None = None, **options: Any) -> Baselines:
    """Every baseline file, and every trace that waits for a decision."""
    here = context_of(context, options)
    refuse_unknown("baseline_list", options)
    with _review(here) as review:
        entries = review.entries()
    waiting = sum(entry.state == "pending" for entry in entries)
    notes = [f"{waiting} waiting for a decision: `clnrm review`"] if waiting else []
    return Baselines(
        [_record(entry) for entry in entries if entry.version is not None],
        notes=notes,
        findings=[entry.error for entry in entries if entry.error],
        data={"pending": [entry.id for entry in entries if entry.state == "pending"]},
    )


def _record(entry: BaselineEntry) -> dict[str, Any]:
    return {
        "scenario_id": entry.id,
        "version": entry.version,
        "in_use": entry.error is None,
        "composed": entry.composed,
        "digest": entry.digest,
        "spans": entry.span_count,
        "accepted_at": entry.at,
        "accepted_by": entry.by,
    }


def baseline_show(
    id: str,  # noqa: A002  # The argument's name.
    *,
    version: int | None = None,
    context: Context | None = None,
    **options: Any,
) -> Trace:
    """The accepted trace of a scenario; with `version`, an older one."""
    here = context_of(context, options)
    refuse_unknown("baseline_show", options)
    with _review(here) as review:
        return Trace([(id, review.show(id, version).table)], command="baseline show")


def baseline_accept(
    ids: Sequence[str] | str = (),
    *,
    edit: Sequence[str] = (),
    cause: Sequence[str] = (),
    accept_all: bool = False,
    force: bool = False,
    by: str | None = None,
    message: str = "",
    dry_run: bool = False,
    context: Context | None = None,
    **options: Any,
) -> Baselines:
    """Make the latest trace of scenarios their baseline, or only some edits or causes of it.

    Parameters
    ----------
    ids : str or sequence of str
        Ids, or globs of ids whose latest trace is neither its baseline nor rejected.
    edit, cause : sequence of str
        Only these, by their ids in the diff.
    accept_all : bool
        Every latest trace that is neither its baseline nor rejected, whether its run was compared or not.
        What must not be accepted is told and left, with exit status 1.
    force : bool
        Also traces of tests that did not pass.
    by, message : str, optional
        Who and why, for the log.
    dry_run : bool
        Write nothing.

    Raises
    ------
    UsageError
        Unknown id, edit or cause; a named trace that must not be accepted; nothing ever ran here.
    """
    here = context_of(context, options)
    refuse_unknown("baseline_accept", options)
    with _review(here) as review:
        decided = review.accept(
            [ids] if isinstance(ids, str) else list(ids),
            edits=list(edit),
            causes=list(cause),
            everything=accept_all,
            force=force,
            by=by,
            message=message,
            dry_run=dry_run,
        )
    return _told("baseline accept", decided, dry_run=dry_run)


def baseline_reject(
    id: str,  # noqa: A002  # The argument's name.
    *,
    by: str | None = None,
    message: str = "",
    context: Context | None = None,
    **options: Any,
) -> Baselines:
    """Refuse the latest trace of a scenario: the file stays, and an equal trace is CLN705 from now on."""
    here = context_of(context, options)
    refuse_unknown("baseline_reject", options)
    with _review(here) as review:
        return _told("baseline reject", [review.reject(id, by=by, message=message)])


def baseline_restore(
    id: str,  # noqa: A002  # The argument's name.
    *,
    version: int | None = None,
    by: str | None = None,
    message: str = "",
    dry_run: bool = False,
    context: Context | None = None,
    **options: Any,
) -> Baselines:
    """Bring an older version back; without one, repair a damaged or missing file."""
    here = context_of(context, options)
    refuse_unknown("baseline_restore", options)
    with _review(here) as review:
        done = review.restore(id, version, by=by, message=message, dry_run=dry_run)
    return _told("baseline restore", [done], dry_run=dry_run)


def baseline_undo(
    id: str,  # noqa: A002  # The argument's name.
    *,
    by: str | None = None,
    message: str = "",
    context: Context | None = None,
    **options: Any,
) -> Baselines:
    """Take back the last decision about a scenario."""
    here = context_of(context, options)
    refuse_unknown("baseline_undo", options)
    with _review(here) as review:
        return _told("baseline undo", [review.undo(id, by=by, message=message)])


_NOTHING_TO_DO = "Nothing to do: every latest trace is its baseline already, or rejected."
_DONE = {"accept": "accepted", "reject": "rejected", "restore": "restored", "undo": "undone"}


def _told(command: str, decided: Sequence[Decided], *, dry_run: bool = False) -> Baselines:
    records = [
        {
            "scenario_id": one.id,
            "version": one.version,
            "in_use": one.refused is None,
            "digest": one.digest,
            "reason": one.refused,
        }
        for one in decided
    ]
    notes = [_sentence(one, dry_run=dry_run) for one in decided] or [_NOTHING_TO_DO]
    refused = any(one.refused for one in decided)
    return Baselines(records, title=command, command=command, notes=notes, exit_code=int(refused))


def _sentence(one: Decided, *, dry_run: bool) -> str:
    if one.refused:
        return f"{one.id}: {one.refused}"
    if not one.changed:
        same = (
            "this trace is rejected already"
            if one.action == "reject"
            else f"version {one.version} is the same"
        )
        return f"{one.id}: nothing to do, {same}"
    would = "would be " if dry_run else ""
    if one.rule is not None:
        return f"{one.id}: {would}{_DONE[one.action]}, rule {one.rule} is no longer in {one.file}"
    if one.action == "reject":
        return f"{one.id}: {would}rejected; an equal trace fails from now on"
    open_now = "edit is" if one.left == 1 else "edits are"
    left = f"; {one.left} {open_now} still open" if one.left else ""
    if one.version is None:
        return f"{one.id}: {would}{_DONE[one.action]}, nothing is accepted: there is no {one.file}"
    return f"{one.id}: {would}{_DONE[one.action]}, {one.file} is version {one.version}{left}"


def baseline_history(
    id: str,  # noqa: A002  # The argument's name.
    *,
    context: Context | None = None,
    **options: Any,
) -> BaselineHistory:
    """All decisions about a scenario, oldest first, and how its trace changed over the versions they made.

    Returns
    -------
    BaselineHistory
        ``.frame`` has one row a decision, ``.evolution.frame`` one a version; ``.plot()`` draws the latter.
    """
    here = context_of(context, options)
    refuse_unknown("baseline_history", options)
    with _review(here) as review:
        decisions = review.history(id)
        versions = [one.to_json() for one in evolution(review, id, options_of(here.settings.diff))]
        damage = _damage(review, id)
    spans = {version["digest"]: version["spans"] for version in versions}
    return BaselineHistory(
        [_decision(one, spans) for one in decisions],
        versions,
        title=id,
        decisions=[{**one.to_json(), "hash": one.hash} for one in decisions],
        findings=damage,
    )


def _damage(review: BaselineReview, baseline_id: str) -> list[Diagnostic]:
    try:
        review.store.load(baseline_id)
    except ClnrmError as error:
        return [error.diagnostic]
    return []


def _decision(one: Decision, spans: Mapping[str, int | None]) -> dict[str, Any]:
    parts = [number_text(len(ids), word) for ids, word in ((one.causes, "cause"), (one.edits, "edit")) if ids]
    what = f"{one.action} of {', '.join(parts)}" if parts else one.action
    if one.rule is not None:
        what = (
            f"{one.action} {one.rule['id']}"
            if one.action == "rule"
            else f"{one.action} of rule {one.rule['id']}"
        )
    return {
        "scenario_id": one.id,
        "version": one.version,
        "digest": one.digest,
        "spans": spans.get(one.digest or ""),
        "accepted_at": one.at,
        "accepted_by": one.by,
        "reason": f"{what}: {one.reason}" if one.reason else what,
    }


def baseline_verify(
    ids: Sequence[str] | str = (), *, context: Context | None = None, **options: Any
) -> Baselines:
    """Whether files and decisions are as they were written: exit status 2 if one is not."""
    here = context_of(context, options)
    refuse_unknown("baseline_verify", options)
    with _review(here) as review:
        asked = [ids] if isinstance(ids, str) else list(ids)
        findings = review.verify(asked)
        entries = [entry for entry in review.entries() if not asked or entry.id in asked]
    wrong = any(finding.severity == "error" for finding in findings)
    notes = [] if findings else ["All files and decisions are as they were written."]
    return Baselines(
        [_record(entry) for entry in entries if entry.version is not None],
        title="baseline verify",
        command="baseline verify",
        notes=notes,
        findings=findings,
        exit_code=2 if wrong else 0,
    )

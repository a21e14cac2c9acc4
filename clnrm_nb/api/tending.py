"""``baseline blame`` and ``baseline gc``: where the lines of a baseline come from, and what nobody needs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from clnrm_nb.api.contexts import Context, context_of, refuse_unknown
from clnrm_nb.baseline import BaselineReview, Baselines
from clnrm_nb.baseline.files import header_of
from clnrm_nb.cache.upkeep import locked
from clnrm_nb.diff.sentences import sentence
from clnrm_nb.errors import ClnrmError, UsageError
from clnrm_nb.pipeline.load import Sources, Variables, load
from clnrm_nb.report.blame import BaselineBlame
from clnrm_nb.report.results import Table
from clnrm_nb.report.text import number_text
from clnrm_nb.state import State
from clnrm_nb.state.garbage import YOUNG_S, collect

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from clnrm_nb.baseline.blame import Blamed
    from clnrm_nb.baseline.store import StoredFile
    from clnrm_nb.state.garbage import Garbage

__all__ = ["baseline_blame", "baseline_gc"]


def baseline_blame(
    id: str,  # noqa: A002  # The argument's name.
    *,
    context: Context | None = None,
    **options: Any,
) -> BaselineBlame:
    """Which decision made which line of a baseline file, down to the attribute."""
    here = context_of(context, options)
    refuse_unknown("baseline_blame", options)
    with State.open(here.project.state_dir) as state:
        baselines = Baselines(here.project, state)
        blamed = baselines.blame(id)
        file = baselines.store.name(baselines.store.path(id))
    made = {one.decision.hash: one.decision for one in blamed if one.decision is not None}
    unsure = sum(not one.is_certain for one in blamed)
    nobody = sum(one.decision is None for one in blamed if one.kind != "header")
    notes = []
    if unsure:
        notes.append(
            f"{number_text(unsure, 'line')} marked `?` may be older: neither this machine nor git has the "
            "version before"
        )
    if nobody:
        notes.append(
            f"{number_text(nobody, 'line')} came past the log: accept the scenario to say who and why"
        )
    return BaselineBlame(
        id,
        file,
        [_blamed(one) for one in blamed],
        decisions=[
            {**one.to_json(), "hash": name}
            for name, one in sorted(made.items(), key=lambda item: (item[1].at, item[1].version or 0))
        ],
        notes=notes,
    )


def _blamed(one: Blamed) -> dict[str, Any]:
    by = one.decision
    known = (
        {}
        if by is None
        else {name: getattr(by, name) for name in ("version", "action", "at", "by", "reason")}
    )
    return {
        "line": one.line,
        "kind": one.kind,
        "path": one.path,
        "part": one.part,
        "decision": by.hash if by else None,
        **known,
        "certain": one.is_certain,
        "edits": [edit.edit_id for edit in one.edits],
        "causes": [
            {"cause_id": cause_id, "message": message}
            for cause_id, message in {edit.cause_id: sentence(edit) for edit in one.edits}.items()
        ],
    }


def baseline_gc(
    *,
    unused: bool = False,
    dry_run: bool = False,
    ask: Callable[[Sequence[str]], bool] | None = None,
    context: Context | None = None,
    **options: Any,
) -> Table:
    """Remove stored objects that nothing refers to and, once asked, baseline files that no scenario owns.

    Parameters
    ----------
    unused : bool
        Also files without a scenario. Their bytes are kept, so that ``baseline restore`` brings them back.
    dry_run : bool
        Remove nothing.
    ask : callable, optional
        Told the files that would go; whether they may. Without it they stay, and the exit status is 1.

    Raises
    ------
    UsageError
        `unused` under ``--ci``, or while a scenario file cannot be read: it may own any of them.
    ClnrmError
        CLN805: another process clears. CLN001: the state directory cannot be written.
    """
    here = context_of(context, options)
    refuse_unknown("baseline_gc", options)
    if unused and here.ci:
        raise UsageError("`gc --unused` removes baselines, and `--ci` never does")
    with State.open(here.project.state_dir) as state:
        review = BaselineReview(here.project, state)
        files = _unowned(here, review) if unused else []
        names = [review.store.name(one.path) for one in files]
        may_go = bool(files) and not dry_run and ask is not None and ask(names)
        if may_go:
            review.remove([one.path for one in files])
        garbage = _collected(here, review, state, dry_run=dry_run)
    fate = "would be removed" if dry_run else "removed"
    rows: list[list[Any]] = [["object", digest, size, fate] for digest, size in garbage.objects]
    rows += [["half-written file", name, size, fate] for name, size in garbage.leftovers]
    rows += [["baseline", name, None, fate if dry_run or may_go else "kept"] for name in names]
    return Table(
        "baseline gc",
        ("type", "name", "bytes", "state"),
        rows,
        notes=_notes(garbage, fate, asked=ask is not None, kept=[] if may_go or dry_run else names),
        exit_code=int(bool(files) and not dry_run and ask is None),
        dtypes={"bytes": "Int64"},
    )


def _unowned(here: Context, review: BaselineReview) -> list[StoredFile]:
    variables = Variables(environ=dict(os.environ))
    found = load(Sources([here.project.root]), variables, project=here.project, settings=here.settings)
    broken = [test.test_id for test in found.tests if test.test is None]
    broken += [
        finding.file or finding.message for finding in found.diagnostics if finding.severity == "error"
    ]
    if broken:
        raise UsageError(
            f"which baselines are unused cannot be told: {broken[0]} has errors",
            hint="`clnrm validate` lists them; nothing was removed",
        )
    names = {
        name for test in found.tests for name in (test.test_id, f"{test.test_id}::steps", *test.scenario_ids)
    }
    return review.store.unowned(names)


def _collected(here: Context, review: BaselineReview, state: State, *, dry_run: bool) -> Garbage:
    log = review.log()
    decided = {one.digest for name in log.ids for one in log.of(name)}

    def is_needed(head: bytes) -> bool:
        # A version that a decision names: another machine's, or of an index that was made anew.
        header = header_of(head.partition(b"\n")[0] + b"\n") if head.startswith(b'{"clnrm":') else None
        return header is not None and header.get("digest") in decided

    def work() -> Garbage:
        found = collect(
            state, is_needed=is_needed, keep_versions=here.settings.baseline.keep_versions, dry_run=dry_run
        )
        if found is None:
            raise ClnrmError(
                "what is needed cannot be told: `state.db` is damaged, set aside, or cannot be written",
                "CLN001",
                hint="nothing was removed; delete `state.db.damaged-*` if nobody needs it any more",
            )
        return found

    if dry_run or not state.directory.is_dir():
        return work()
    with locked(state), review.store.lock():
        return work()


def _notes(garbage: Garbage, fate: str, *, asked: bool, kept: Sequence[str]) -> list[str]:
    n_files = len(garbage.objects) + len(garbage.leftovers)
    notes = [f"{number_text(n_files, 'stored file')}, {garbage.size:,} bytes {fate}"]
    if garbage.versions:
        notes.append(f"{number_text(garbage.versions, 'older version')} beyond `baseline.keep_versions`")
    if garbage.young:
        notes.append(
            f"{number_text(garbage.young, 'object')} left alone: written in the last "
            f"{YOUNG_S / 60:g} minutes, or since a run began that still goes on"
        )
    if kept:
        why = "not confirmed" if asked else "nobody was there to be asked"
        notes.append(f"{number_text(len(kept), 'baseline')} without a scenario kept: {why}")
    return notes

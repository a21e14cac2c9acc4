"""``diff`` and ``baseline …``: what changed since the run that was trusted, and decisions about it."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clnrm_nb.api.contexts import Context, context_of, paths_of, refuse_unknown, variables_from
from clnrm_nb.api.inspect import SCENARIO_FILES, read_reported
from clnrm_nb.api.running import run
from clnrm_nb.baseline import BaselineReview
from clnrm_nb.baseline.difference import options_of
from clnrm_nb.diff import compare
from clnrm_nb.pipeline.load import Sources, load
from clnrm_nb.pipeline.reanalyse import compare_stored
from clnrm_nb.report.baselines import Baselines
from clnrm_nb.report.diffs import TraceDiff
from clnrm_nb.report.files import write_report
from clnrm_nb.report.results import RunResult, Trace
from clnrm_nb.spans.loaders.carried import comparable, doubts
from clnrm_nb.state import State

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from clnrm_nb.baseline import BaselineEntry, Decided, Decision
    from clnrm_nb.executor.events import Listener
    from clnrm_nb.report.render import Format

__all__ = [
    "baseline_accept",
    "baseline_history",
    "baseline_list",
    "baseline_reject",
    "baseline_restore",
    "baseline_show",
    "baseline_undo",
    "baseline_verify",
    "diff",
]


def diff(
    paths: str | Path | Sequence[str | Path] = ".",
    *,
    context: Context | None = None,
    listener: Listener | None = None,
    view: str = "tree",
    run_when: str = "auto",
    output: str | Path | None = None,
    input_format: str | None = None,
    **options: Any,
) -> TraceDiff:
    """What differs between runs and their accepted traces, or between two trace files.

    Parameters
    ----------
    paths : path or sequence of paths
        Scenario files and directories; or exactly two trace files, the older one first.
    view : {"tree", "side-by-side", "json", "html", "markdown"}
        Form of the report, and of `output`.
    run_when : {"auto", "always", "never"}
        ``never`` compares the spans of each test's last run; ``auto`` runs what the cache does not know to be
        unchanged; ``always`` runs everything.
    output : path, optional
        Also write the report there.
    listener : callable, optional
        As of :func:`~clnrm_nb.api.run`, where tests are run.

    Returns
    -------
    TraceDiff
        ``exit_code`` 1 with differences.
    """
    here = context_of(context, options)
    refuse_unknown("diff", options)
    chosen = paths_of(paths)
    if len(chosen) == 2 and all(_is_trace_file(path) for path in chosen):  # noqa: PLR2004  # A and B.
        found = _between_files(chosen[0], chosen[1], here, view, input_format)
    elif run_when == "never":
        found = _of_stored_runs(chosen, here, options)
    else:
        asked = {**options, "force": True} if run_when == "always" else options
        found = _of_a_run(chosen, here, listener, asked)
    found.view = view
    if output is not None:
        form: Format = "human" if view in ("tree", "side-by-side") else view  # type: ignore[assignment]  # words of the flag
        write_report(found, Path(output), form)
    return found


def _is_trace_file(path: Path) -> bool:
    return str(path) == "-" or (path.is_file() and not path.name.endswith(SCENARIO_FILES))


def _between_files(older: Path, newer: Path, here: Context, view: str, input_format: str | None) -> TraceDiff:
    (before, of_before), (after, of_after) = (
        read_reported(str(path), input_format) for path in (older, newer)
    )
    left, right, notes = comparable(before, of_before, after, of_after)
    found = compare(left, right, options=options_of(here.settings.diff))
    found = replace(found, notes=(*notes, *doubts(of_before, of_after), *found.notes))
    return TraceDiff.of_tables(
        found,
        before,
        after,
        names=(str(older), str(newer)),
        only_diffs=here.settings.diff.show_only_diffs,
        depth=here.settings.diff.max_display_depth,
        view=view,
    )


def _of_a_run(
    paths: list[Path], here: Context, listener: Listener | None, options: dict[str, Any]
) -> TraceDiff:
    settings = here.settings
    comparing = settings.model_copy(
        update={"baseline": settings.baseline.model_copy(update={"compare": True})}
    )
    result = run(paths, context=Context(here.project, comparing, here.ci), listener=listener, **options)
    assert isinstance(result, RunResult)
    assert result.diff is not None
    # What kept a trace from being compared belongs to the answer, and to its exit status.
    found = [finding for finding in result.raw["diagnostics"] if not finding["code"].startswith("CLN7")]
    told = [finding for finding in found if finding["severity"] == "error"]
    if not told and result.exit_code > result.diff.exit_code:
        told = [finding for finding in found if finding["severity"] == "warning"]
    result.diff.add_findings(told, exit_code=result.exit_code)
    return result.diff


def _of_stored_runs(paths: list[Path], here: Context, options: dict[str, Any]) -> TraceDiff:
    sources = Sources(paths, no_template=bool(options.get("no_template")))
    loaded = load(sources, variables_from(options), project=here.project, settings=here.settings)
    found = compare_stored(loaded, project=here.project, settings=here.settings, ci=here.ci)
    unread = [test.test_id for test in loaded.tests if test.test is None]
    errors = [finding for finding in loaded.diagnostics_of(unread) if finding.severity == "error"]
    found.add_findings(finding.to_json() for finding in errors)
    return found


# ------------------------------------------------------------------------------------------- baselines


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
        return f"{one.id}: nothing to do, version {one.version} is the same"
    would = "would be " if dry_run else ""
    left = f"; {one.left} edits are still open" if one.left else ""
    return f"{one.id}: {would}{_DONE[one.action]}, {one.file} is version {one.version}{left}"


def baseline_history(
    id: str,  # noqa: A002  # The argument's name.
    *,
    context: Context | None = None,
    **options: Any,
) -> Baselines:
    """All decisions about a scenario, oldest first."""
    here = context_of(context, options)
    refuse_unknown("baseline_history", options)
    with _review(here) as review:
        decisions = review.history(id)
    return Baselines([_decision(one) for one in decisions], title=id, command="baseline history")


def _decision(one: Decision) -> dict[str, Any]:
    return {
        "scenario_id": one.id,
        "version": one.version,
        "digest": one.digest,
        "accepted_at": one.at,
        "accepted_by": one.by,
        "reason": f"{one.action}: {one.reason}" if one.reason else one.action,
    }


def baseline_verify(
    ids: Sequence[str] | str = (), *, context: Context | None = None, **options: Any
) -> Baselines:
    """Whether files and decisions are as they were written: exit status 2 if one is not."""
    here = context_of(context, options)
    refuse_unknown("baseline_verify", options)
    with _review(here) as review:
        findings = review.verify([ids] if isinstance(ids, str) else list(ids))
    wrong = any(finding.severity == "error" for finding in findings)
    notes = [] if findings else ["All files and decisions are as they were written."]
    return Baselines(
        [],
        title="baseline verify",
        command="baseline verify",
        notes=notes,
        findings=findings,
        exit_code=2 if wrong else 0,
    )

"""``diff`` and ``baseline …``: what changed since the run that was trusted, and decisions about it."""

from __future__ import annotations

import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clnrm_nb.api.contexts import Context, context_of, paths_of, refuse_unknown, variables_from
from clnrm_nb.api.inspect import SCENARIO_FILES, read_table
from clnrm_nb.api.running import run
from clnrm_nb.baseline import BaselineReview
from clnrm_nb.baseline.difference import options_of
from clnrm_nb.baseline.evolution import evolution
from clnrm_nb.baseline.rulefile import read as read_rules
from clnrm_nb.baseline.threeway import MainTraces, three_way
from clnrm_nb.baseline.tolerances import Tolerances
from clnrm_nb.diff import compare
from clnrm_nb.errors import UsageError
from clnrm_nb.pipeline.load import Sources, load
from clnrm_nb.pipeline.reanalyse import compare_stored
from clnrm_nb.report.baselines import Baselines
from clnrm_nb.report.diffs import TraceDiff
from clnrm_nb.report.evolution import BaselineHistory
from clnrm_nb.report.files import write_report
from clnrm_nb.report.results import RunResult, Trace
from clnrm_nb.report.text import number_text
from clnrm_nb.report.threeway import with_three_way
from clnrm_nb.state import State

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from clnrm_nb.baseline import BaselineEntry, Decided, Decision
    from clnrm_nb.baseline.threeway import ThreeWay
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

_SCENARIO = re.compile(rb"(?m)^[ \t]*\[(meta|test)[.\]]")
_PEEK_BYTES = 65_536


def diff(
    paths: str | Path | Sequence[str | Path] = ".",
    *,
    context: Context | None = None,
    listener: Listener | None = None,
    view: str = "tree",
    run_when: str = "auto",
    output: str | Path | None = None,
    input_format: str | None = None,
    main: str | None = None,
    **options: Any,
) -> TraceDiff:
    """What differs between runs and their accepted traces, or between two trace files.

    Parameters
    ----------
    paths : path or sequence of paths
        Scenario files and directories; or exactly two trace files, the older one first.
    view : {"tree", "side-by-side", "three-way", "json", "html", "markdown"}
        Form of the report, and of `output`. ``three-way`` tells what is new here from what is on main.
    run_when : {"auto", "always", "never"}
        ``never`` compares the spans of each test's last run; ``auto`` runs what the cache does not know to be
        unchanged; ``always`` runs everything.
    output : path, optional
        Also write the report there.
    main : str, optional
        What the main branch has: a stored run by its id, or a file with spans. Default: its last stored run,
        else the baseline as it is committed there. Any view but ``tree`` and ``side-by-side`` tells it.
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
    if any(_is_trace_file(path) for path in chosen):
        found = _between_files(*_two(chosen), here, view, input_format)
    elif run_when == "never":
        found = _of_stored_runs(chosen, here, options)
    else:
        asked = {**options, "force": True} if run_when == "always" else options
        found = _of_a_run(chosen, here, listener, asked)
    found.view = view
    if view == "three-way" or main is not None:
        with_three_way(found, _beside_main(found, here, main))
    if output is not None:
        form = _form(view, Path(output))
        try:
            write_report(found, Path(output), form)
        except OSError as error:
            raise UsageError(f"cannot write {output}: {error.strerror or error}") from None
    return found


def _form(view: str, output: Path) -> Format:
    """The form of a file: that of the view; of a view for people what its name asks for."""
    if view in ("json", "html", "markdown"):
        return view  # type: ignore[return-value]  # Words of the flag.
    by_name: dict[str, Format] = {".md": "markdown", ".json": "json", ".html": "html"}
    return by_name.get(output.suffix, "human") if view == "three-way" else "human"


def _beside_main(found: TraceDiff, here: Context, main: str | None) -> dict[str, ThreeWay]:
    with State.open(here.project.state_dir) as state:
        traces = MainTraces(here.project, state, main)
        return {
            one.id: three_way(one.baseline, traces.of(one.id), one.diff, one.options)
            for one in found.comparisons
            if one.baseline is not None and one.diff is not None and one.options is not None
        }


def _is_trace_file(path: Path) -> bool:
    """Whether a path means spans: standard input, or a file with neither name nor look of a scenario."""
    if str(path) == "-":
        return True
    if not path.is_file() or path.name.endswith((*SCENARIO_FILES, ".toml", ".tera")):
        return False
    try:
        with path.open("rb") as file:
            return _SCENARIO.search(file.read(_PEEK_BYTES)) is None
    except OSError:
        return True


def _two(paths: Sequence[Path]) -> tuple[Path, Path]:
    """The older and the newer file.

    Raises
    ------
    UsageError
        It is not two of them, or both are standard input.
    """
    traces = [str(path) for path in paths if _is_trace_file(path) or not path.exists()]
    if len(paths) != len(traces):
        others = ", ".join(str(path) for path in paths if str(path) not in traces)
        raise UsageError(
            f"{traces[0]} is a trace file and {others} is not",
            hint="`clnrm diff` takes scenario files and directories, or two trace files: the older one first",
        )
    if len(traces) != 2:  # noqa: PLR2004  # A and B.
        raise UsageError(
            f"two trace files are compared, and {len(traces)} {'is' if len(traces) == 1 else 'are'} given",
            hint="the older one first: `clnrm diff before.json after.json`; `-` is standard input",
        )
    if traces == ["-", "-"]:
        raise UsageError("standard input can be one of the two traces only")
    return paths[0], paths[1]


def _between_files(older: Path, newer: Path, here: Context, view: str, input_format: str | None) -> TraceDiff:
    before, after = (read_table(str(path), input_format) for path in (older, newer))
    tolerances = Tolerances(read_rules(here.project))
    found = compare(before, after, options=tolerances.options(here.settings.diff, None))
    return TraceDiff.of_tables(
        found,
        before,
        after,
        names=(str(older), str(newer)),
        only_diffs=here.settings.diff.show_only_diffs,
        depth=here.settings.diff.max_display_depth,
        findings=tolerances.expired(tolerances.project),
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
    open_now = "edit is" if one.left == 1 else "edits are"
    left = f"; {one.left} {open_now} still open" if one.left else ""
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
    spans = {version["digest"]: version["spans"] for version in versions}
    return BaselineHistory(
        [_decision(one, spans) for one in decisions],
        versions,
        title=id,
        decisions=[{**one.to_json(), "hash": one.hash} for one in decisions],
    )


def _decision(one: Decision, spans: Mapping[str, int | None]) -> dict[str, Any]:
    parts = [number_text(len(ids), word) for ids, word in ((one.causes, "cause"), (one.edits, "edit")) if ids]
    what = f"{one.action} of {', '.join(parts)}" if parts else one.action
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

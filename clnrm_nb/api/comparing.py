"""``diff``: what changed since the run that was trusted, or between two trace files."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clnrm_nb.api.contexts import Context, context_of, paths_of, refuse_unknown, variables_from
from clnrm_nb.api.inspect import SCENARIO_FILES, read_reported
from clnrm_nb.api.running import run
from clnrm_nb.baseline.rulefile import read as read_rules
from clnrm_nb.baseline.threeway import MainTrace, MainTraces, three_way
from clnrm_nb.baseline.tolerances import Tolerances
from clnrm_nb.diff import compare
from clnrm_nb.errors import UsageError
from clnrm_nb.pipeline.load import Sources, load
from clnrm_nb.pipeline.reanalyse import compare_stored
from clnrm_nb.report.diffs import TraceDiff
from clnrm_nb.report.files import write_report
from clnrm_nb.report.results import RunResult
from clnrm_nb.report.threeway import with_three_way
from clnrm_nb.spans.canonical import trace_digest
from clnrm_nb.spans.loaders.carried import comparable, doubts
from clnrm_nb.state import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clnrm_nb.baseline.threeway import ThreeWay
    from clnrm_nb.executor.events import Listener
    from clnrm_nb.report.render import Format

__all__ = ["diff"]

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
        else the baseline as it is committed there; of two trace files nothing is known, and it is the third
        file. Any view but ``tree`` and ``side-by-side`` tells it.
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
    is_of_files = any(_is_trace_file(path) for path in chosen)
    if is_of_files:
        older, newer = _two(chosen)
        if view == "three-way" and main is None:
            raise UsageError(
                "of two trace files it is not known what the main branch has",
                hint=f"name a third one: `clnrm diff {older} {newer} --view three-way --main FILE`; "
                "of tests it is found without: `clnrm diff tests/ --view three-way`",
            )
        found = _between_files(older, newer, here, main, input_format)
    elif run_when == "never":
        found = _of_stored_runs(chosen, here, options)
    else:
        asked = {**options, "force": True} if run_when == "always" else options
        found = _of_a_run(chosen, here, listener, asked)
    found.view = view
    if not is_of_files and (view == "three-way" or main is not None):
        with_three_way(found, _beside_main(found, here, main))
    if output is not None:
        form = _form(view, Path(output), here.settings.cli.output_format)
        try:
            write_report(found, Path(output), form)
        except OSError as error:
            raise UsageError(f"cannot write {output}: {error.strerror or error}") from None
    return found


def _form(view: str, output: Path, asked: Format) -> Format:
    """The form of a file: that of the view; of a view for people what `--format` or its name asks for."""
    if view in ("json", "html", "markdown"):
        return view  # type: ignore[return-value]  # Words of the flag.
    if asked != "human":
        return asked
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
    if not path.is_file():
        # A pipe, as of `<(zcat trace.gz)`, can be read once only.
        return path.exists() and not path.is_dir()
    if path.name.endswith((*SCENARIO_FILES, ".toml", ".tera")):
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


def _between_files(
    older: Path, newer: Path, here: Context, main: str | None, input_format: str | None
) -> TraceDiff:
    (before, of_before), (after, of_after) = (
        read_reported(str(path), input_format) for path in (older, newer)
    )
    left, right, notes = comparable(before, of_before, after, of_after)
    tolerances = Tolerances(read_rules(here.project))
    options = tolerances.options(here.settings.diff, None)
    found = compare(left, right, options=options)
    found = replace(found, notes=(*notes, *doubts(of_before, of_after), *found.notes))
    diff = TraceDiff.of_tables(
        found,
        before,
        after,
        names=(str(older), str(newer)),
        only_diffs=here.settings.diff.show_only_diffs,
        depth=here.settings.diff.max_display_depth,
        findings=tolerances.expired(tolerances.project),
    )
    if main is not None:
        table, of_table = read_reported(main, input_format)
        left, third, _ = comparable(before, of_before, table, of_table)
        there = MainTrace("file", main, trace_digest(third), third)
        with_three_way(diff, {diff.comparisons[0].id: three_way(left, there, found, options)})
    return diff


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

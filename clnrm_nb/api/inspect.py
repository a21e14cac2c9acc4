"""Looking at what is there: traces, graphs, stored runs, reports; nothing is run."""

from __future__ import annotations

import logging
import re
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.api.contexts import Context, context_of, refuse_unknown, variables_from
from clnrm_nb.errors import ClnrmError, UsageError, ValidationFailedError
from clnrm_nb.executor.recording import parse_recording
from clnrm_nb.patterns import compiled
from clnrm_nb.pipeline.load import Sources, load
from clnrm_nb.pipeline.reanalyse import rejudge
from clnrm_nb.pipeline.secrets import masker_of
from clnrm_nb.report.files import write_report
from clnrm_nb.report.graph import MissingEdge, rows_of_trees_with
from clnrm_nb.report.render import render_report
from clnrm_nb.report.results import RunResult, Trace
from clnrm_nb.report.spanviews import GraphView, SpanList, Text
from clnrm_nb.scenario.model import NamePattern
from clnrm_nb.spans.loaders import LoadReport
from clnrm_nb.spans.loaders import load as load_spans
from clnrm_nb.spans.loaders.sources import Stream, opened
from clnrm_nb.spans.table import SpanTable
from clnrm_nb.state import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clnrm_nb.report.render import Format

TraceSource = str | Path | bytes

_log = logging.getLogger(__name__)

SCENARIO_FILES = (".clnrm.toml", ".clnrm.toml.tera")

_RECORDING: Final = b'"clnrm-recording/'
_LOOK_BYTES: Final = 4_096
"""How far into a file a recording says that it is one: first of all, in those that are written here."""

__all__ = [
    "SCENARIO_FILES",
    "analyze",
    "graph",
    "load_trace",
    "read_reported",
    "read_table",
    "report",
    "spans",
]


def load_trace(
    source: TraceSource | Sequence[TraceSource], *, input_format: str | None = None, strict: bool = False
) -> Trace:
    """Read a trace file of any known format, recognised by its content.

    Parameters
    ----------
    source : path, bytes or ``"-"``, or a list of these
        ``"-"`` is standard input. Several are read as one: rotated files, or files of
        several services.
    input_format : str, optional
        Overrules recognition.
    strict : bool
        Take a source of which a part cannot be read for an error.

    Returns
    -------
    Trace
        Its ``loading`` is the report of what was found and what was skipped.

    Raises
    ------
    ClnrmError
        It cannot be read, or holds no span (with the reason).
    """
    several = list(source) if isinstance(source, (list, tuple)) else [source]
    name = ", ".join(str(each) for each in several if not isinstance(each, bytes)) or None
    table, loading = read_reported(source, input_format, strict=strict)
    return Trace([(name, table)], loading=loading)


def read_table(source: TraceSource | Sequence[TraceSource], input_format: str | None) -> SpanTable:
    """The spans of trace files or a recording (``-``: standard input); what was skipped is warned about."""
    return read_reported(source, input_format)[0]


def read_reported(
    source: TraceSource | Sequence[TraceSource], input_format: str | None, *, strict: bool = False
) -> tuple[SpanTable, LoadReport]:
    """As :func:`read_table`, with what there is to say about it."""
    several = [source] if isinstance(source, str | Path | bytes) else list(source)
    table, loading = SpanTable(), None
    with ExitStack() as files:
        streams = [files.enter_context(opened(each)) for each in several]
        recordings = [stream for stream in streams if input_format is None and _is_recording(stream)]
        for stream in recordings:
            table.extend(_recorded(stream))
        others = [stream for stream in streams if stream not in recordings]
        if others:
            read, loading = load_spans(others, input_format=input_format, strict=strict)
            table.extend(read)
    if loading is None:
        loading = LoadReport(", ".join(map(str, several)), "recording", entries=len(table), spans=len(table))
    for finding in loading.diagnostics:
        _log.warning("%s", finding)
    return table, loading


def _is_recording(stream: Stream) -> bool:
    return _RECORDING in stream.peek(_LOOK_BYTES)


def _recorded(stream: Stream) -> SpanTable:
    """All spans of a recording; what only looks like one is read as any other file."""
    data = stream.all()
    table = SpanTable()
    for test in parse_recording(data) or ():
        for spans_of_scenario in test.spans.values():
            table.extend(spans_of_scenario)
    return table if len(table) else load_spans(data, name=stream.name)[0]


def _table_of(source: str, here: Context, input_format: str | None) -> tuple[SpanTable, LoadReport | None]:
    """A trace file, or the spans of a test's last run (a scenario file stands for its test)."""
    # A pipe, as of `<(zcat trace.gz)`, is as good as a file.
    is_file = source == "-" or (Path(source).exists() and not Path(source).is_dir())
    if is_file and not source.endswith(SCENARIO_FILES):
        return read_reported(source, input_format)
    test_id, _, scenario = (here.project.relative(source) if is_file else source).partition("::")
    with State.open(here.project.state_dir) as state:
        stored = state.spans_of(test_id)
    if stored is None:
        raise ClnrmError(
            f"cannot read {source!r}: no such file, and no stored run of a test of this id",
            "CLN001",
            hint="`clnrm history` lists the tests that have run.",
        )
    table, _ = load_spans(stored)
    if scenario:
        rows = [row for row, name in enumerate(table.scenario) if name == scenario]
        table = table.select(rows)
    return table, None


def spans(
    source: str | Path,
    *,
    grep: str | None = None,
    show_attrs: bool = False,
    show_events: bool = False,
    input_format: str | None = None,
    context: Context | None = None,
    **options: Any,
) -> Trace:
    """The spans of a trace file, or of a test's last run.

    Parameters
    ----------
    source : str or path
        A trace file, ``-``, a test id or a scenario id.
    grep : regex, optional
        Only spans whose name, service, or an attribute as ``key=value``, matches.
    """
    here = context_of(context, options)
    refuse_unknown("spans", options)
    table, loading = _table_of(str(source), here, input_format)
    if grep is not None:
        table = table.select(_matching(table, grep))
    return SpanList([(str(source), table)], attributes=show_attrs, events=show_events, loading=loading)


def _matching(table: SpanTable, pattern: str) -> list[int]:
    try:
        regex = compiled(pattern)
    except re.error as error:
        raise UsageError(f"--grep {pattern!r} is not a regular expression: {error}") from None
    return [
        row
        for row in range(len(table))
        if regex.search(table.name[row])
        or regex.search(table.resource[row].service)
        or any(regex.search(f"{key}={value}") for key, value in table.attributes[row].items())
    ]


def graph(
    source: str | Path,
    *,
    view: str = "ascii",
    highlight_missing: str | Path | None = None,
    name_filter: str | None = None,
    input_format: str | None = None,
    context: Context | None = None,
    **options: Any,
) -> GraphView:
    """The tree of a trace.

    Parameters
    ----------
    view : {"ascii", "dot", "json", "mermaid"}
    highlight_missing : path, optional
        A scenario file: the ``must_include`` edges it demands and the trace lacks are drawn too.
    name_filter : glob, optional
        Only trees that hold a span of this name.
    """
    here = context_of(context, options)
    refuse_unknown("graph", options)
    table, _ = _table_of(str(source), here, input_format)
    if name_filter is not None:
        pattern = NamePattern.of(name_filter)
        rows = [row for row, name in enumerate(table.name) if pattern.matches(name)]
        table = table.select(rows_of_trees_with(table, rows))
    missing = _missing_edges(Path(highlight_missing), table, here) if highlight_missing else []
    return GraphView(Trace([(str(source), table)]), view, missing)


def _missing_edges(file: Path, table: SpanTable, here: Context) -> list[MissingEdge]:
    loaded = load(Sources([file]), variables_from({}), project=here.project, settings=here.settings)
    parents = table.parent_rows()
    present = {(table.name[p], table.name[row]) for row, p in enumerate(parents) if p is not None}
    missing: dict[MissingEdge, None] = {}
    for test in loaded.tests:
        if test.test is None:
            continue
        for block in (test.test.expect, *(s.expect for s in test.test.scenarios if s.expect)):
            for parent, child in (edge for graph_block in block.graph for edge in graph_block.must_include):
                if not any(parent.matches(a) and child.matches(b) for a, b in present):
                    missing[MissingEdge(str(parent), str(child))] = None
    return list(missing)


def analyze(
    file: str | Path,
    *,
    traces: Sequence[str | Path] | str | Path = (),
    input_format: str | None = None,
    context: Context | None = None,
    **options: Any,
) -> RunResult:
    """Judge spans by a scenario file's expectations, without running anything.

    Parameters
    ----------
    file : path
        The scenario file.
    traces : paths
        Trace files; all their spans together are judged. Default: the stored spans of the test's last run.

    Returns
    -------
    RunResult
        Commands are not part of the verdict: given spans come without them.
    """
    here = context_of(context, options)
    refuse_unknown("analyze", options)
    sources = Sources([Path(file)], no_template=bool(options.get("no_template")))
    variables = variables_from(options)
    loaded = load(sources, variables, project=here.project, settings=here.settings)
    if not loaded.tests:
        raise ValidationFailedError(f"{file} holds no test", "CLN004", diagnostics=loaded.diagnostics)
    files = [traces] if isinstance(traces, (str, Path)) else list(traces)
    given = [read_table(files, input_format)] if files else []
    masker = masker_of(loaded.tests, variables.environ)
    return rejudge(loaded, given, project=here.project, settings=here.settings, masker=masker, ci=here.ci)


def report(
    *,
    input: str | Path | None = None,  # noqa: A002  # The flag's name.
    output: str | Path | None = None,
    report_type: Format = "html",
    context: Context | None = None,
    **options: Any,
) -> Text:
    """A report of the last run, or of a JSON report.

    Parameters
    ----------
    input : path, optional
        A JSON report (``--report-json``, ``-f json``).
    output : path, optional
        Where to write it.
    report_type : {"html", "markdown", "json"}
    """
    here = context_of(context, options)
    result = _read_report(Path(input)) if input else _last_run(here)
    if output is not None:
        write_report(result, Path(output), report_type)
        return Text(f"{output}\n", command="report")
    return Text(render_report(result, report_type), command="report")


def _read_report(path: Path) -> RunResult:
    import orjson

    try:
        return RunResult.from_document(orjson.loads(path.read_bytes()))
    except OSError as error:
        raise ClnrmError(f"cannot read {path}: {error.strerror}", "CLN001") from None
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        hint = "`clnrm run --report-json FILE` writes one."
        raise UsageError(f"{path} is not a clnrm report: {error}", hint=hint) from None


def _last_run(here: Context) -> RunResult:
    with State.open(here.project.state_dir) as state:
        runs = state.runs(1)
        if not runs:
            raise UsageError(
                "no run is stored here", hint="`clnrm run` first, or give a report with -i FILE."
            )
        document = state.run(runs[0]["run"])
        if document is None:
            raise UsageError("the last run is damaged", hint="`clnrm run` records a new one.")
        stored = [
            (test["id"], load_spans(content)[0])
            for test in document["data"]["tests"]
            if (content := state.spans_of(test["id"], runs[0]["run"]))
        ]
    return RunResult.from_document(document, stored)

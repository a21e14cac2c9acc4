"""``coverage``: how much of what a manifest lists is reached by traces."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from clnrm_nb.api.contexts import Context, context_of, refuse_unknown, variables_from
from clnrm_nb.api.inspect import read_table
from clnrm_nb.coverage import measure, read_manifest
from clnrm_nb.errors import Diagnostic, UsageError, ValidationFailedError
from clnrm_nb.pipeline.load import template_request
from clnrm_nb.report.coverage import CoverageReport
from clnrm_nb.report.excerpt import Source
from clnrm_nb.spans.loaders import load
from clnrm_nb.spans.table import SpanTable
from clnrm_nb.state import State
from clnrm_nb.template import render
from clnrm_nb.validation import check

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clnrm_nb.scenario.parse import Parsed

__all__ = ["coverage"]


def coverage(
    manifest: str | Path,
    *,
    traces: Sequence[str | Path] | str | Path = (),
    input_format: str | None = None,
    context: Context | None = None,
    **options: Any,
) -> CoverageReport:
    """How much of a manifest traces reach, dimension by dimension.

    Parameters
    ----------
    manifest : path
        A file with ``[system]`` and ``[dimensions]``.
    traces : paths, optional
        Trace files, all of them together. Default: the stored spans of each test's last run.
    input_format : str, optional
        Form of the trace files, where it is not recognised.

    Returns
    -------
    CoverageReport
        ``exit_code`` 1 without any span (CLN607), else 0, whatever the share: a share is no verdict.

    Raises
    ------
    ValidationFailedError
        The manifest holds errors; all findings are in ``diagnostics``.
    ClnrmError
        A trace file cannot be read (CLN001) or holds no span (CLN607).
    """
    here = context_of(context, options)
    refuse_unknown("coverage", options)
    variables = variables_from(options)
    checked = check(render(template_request(Path(manifest), here.project, here.settings, variables)))
    if checked.kind != "coverage":
        _refuse(str(manifest), checked.diagnostics)
    parsed: Parsed | None = checked.parsed
    assert parsed is not None
    assert parsed.document is not None
    read = read_manifest(parsed.document, parsed)
    errors = [finding for finding in read.diagnostics if finding.severity == "error"]
    if errors:
        first = errors[0]
        raise ValidationFailedError(first.message, first.code, hint=first.hint, diagnostics=read.diagnostics)
    files = [traces] if isinstance(traces, (str, Path)) else list(traces)
    table, names = _given(files, input_format) if files else _stored(here)
    result = measure(read, table)
    findings = list(read.diagnostics)
    if not result.spans:
        hint = "Run the tests first, or give --traces FILE."
        findings.append(Diagnostic("CLN607", "there is no span to look at", hint=hint))
    return CoverageReport(
        result, findings, traces=names, sources={checked.rendered.file: Source(checked.rendered.source)}
    )


def _refuse(manifest: str, findings: Sequence[Diagnostic]) -> None:
    """Say why a file is no manifest: it cannot be read, or it is something else."""
    unreadable = [finding for finding in findings if finding.code < "CLN300" and finding.severity == "error"]
    if unreadable:
        first = unreadable[0]
        raise ValidationFailedError(first.message, first.code, hint=first.hint, diagnostics=unreadable)
    hint = "A manifest has the tables [system] and [dimensions]."
    raise UsageError(f"{manifest} is not a coverage manifest", hint=hint)


def _given(files: Sequence[str | Path], input_format: str | None) -> tuple[SpanTable, list[str]]:
    return read_table(files, input_format), [str(file) for file in files]


def _stored(here: Context) -> tuple[SpanTable, list[str]]:
    """The spans of each test's last run that were kept."""
    table, names = SpanTable(), []
    with State.open(here.project.state_dir) as state:
        for test_id in sorted(state.last_results()):
            content = state.spans_of(test_id)
            if content is not None:
                table.extend(load(content, allow_empty=True)[0])
                names.append(test_id)
    return table, names

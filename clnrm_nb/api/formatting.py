"""``fmt``: scenario files brought into one layout, with what they say before and after compared."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.api.contexts import Context, context_of, paths_of, refuse_unknown
from clnrm_nb.config.discovery import discover
from clnrm_nb.config.sourcefile import read_source, write_source
from clnrm_nb.errors import ClnrmError
from clnrm_nb.formatter import format_source
from clnrm_nb.pipeline.load import Variables, template_request
from clnrm_nb.report.edited import Edited, EditedFile
from clnrm_nb.scenario.parse import parse
from clnrm_nb.template import combinations
from clnrm_nb.template import render as render_template
from clnrm_nb.template.rendering import is_library, is_templated

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from clnrm_nb.config.sourcefile import SourceFile
    from clnrm_nb.errors import Diagnostic
    from clnrm_nb.report.edited import EditStatus
    from clnrm_nb.template import Rendered, TemplateRequest

__all__ = ["fmt"]

_COMPARED_COMBINATIONS: Final = 4
"""Matrix combinations whose data is compared; the formatter's own proof holds for all of them."""
_UNREADABLE: Final = frozenset({"CLN101", "CLN201", "CLN202", "CLN204"})
"""What keeps a file from being formatted: it is no template, or no TOML."""


def fmt(
    paths: str | Path | Sequence[str | Path] = ".",
    *,
    check: bool = False,
    diff: bool = False,
    context: Context | None = None,
    **options: Any,
) -> Edited:
    """Bring scenario files into one layout; comments, template statements and data stay.

    Parameters
    ----------
    paths : path or sequence of paths
        Files (template libraries too) or directories.
    check : bool
        Write nothing; say what would change.
    diff : bool
        Write nothing; show it.

    Returns
    -------
    Edited
        ``exit_code`` 2 where a file cannot be read, understood or written (it stays as it was), 1 where
        nothing was written and a file would change, else 0.
    """
    here = context_of(context, options)
    refuse_unknown("fmt", options)
    found = discover(paths_of(paths), here.project, here.settings.discovery.ignore)
    findings: list[Diagnostic] = [*here.settings.diagnostics, *found.diagnostics]
    files = [_format_file(path, here, findings, writes=not (check or diff)) for path in found.files]
    return Edited(files, command="fmt", findings=findings, with_diff=diff)


def _format_file(path: Path, here: Context, findings: list[Diagnostic], *, writes: bool) -> EditedFile:
    file = here.project.relative(path)
    try:
        source = read_source(path, file)
        mistakes, after, note = _formatted(source, here)
        if mistakes:
            findings += mistakes
            return EditedFile(file, "error")
        if writes:
            write_source(source, after)
    except ClnrmError as error:
        findings.append(error.diagnostic)
        return EditedFile(file, "error")
    status: EditStatus = "unchanged" if after == source.text else ("changed" if writes else "would-change")
    return EditedFile(file, status, source.text, after, notes=[note] if note else [])


def _formatted(source: SourceFile, here: Context) -> tuple[Sequence[Diagnostic], str, str]:
    """Why the file cannot be formatted, its new text, and a note on it."""
    variables = Variables(environ=dict(os.environ))
    request = template_request(source.path, here.project, here.settings, variables, text=source.text)
    is_in_library = is_library(source.file)
    before = _data(request, is_in_library=is_in_library)
    if isinstance(before, list):
        return before, source.text, ""
    formatted = format_source(
        source.text, templated=is_templated(request, source.text), library=is_in_library
    )
    if formatted.text == source.text:
        return (), source.text, formatted.note
    after = _data(replace(request, text=formatted.text), is_in_library=is_in_library)
    if before is not None and after != before:
        return (), source.text, "left as it is: formatting it would have changed its data"
    return (), formatted.text, formatted.note


def _data(request: TemplateRequest, *, is_in_library: bool) -> str | list[Diagnostic] | None:
    """What a file says, in comparable form.

    Returns
    -------
    str, list of Diagnostic, or None
        The data; the mistakes that keep it from having any; or nothing, where it depends on values that are
        not at hand (or are other ones each time).
    """
    said: list[str] = []
    for matrix in combinations(request)[0][:_COMPARED_COMBINATIONS]:
        rendered = render_template(replace(request, matrix=matrix))
        mistakes = _unreadable(rendered.diagnostics)
        if not mistakes and rendered.text is not None and not is_in_library:
            parsed = parse(rendered)
            mistakes = _unreadable(parsed.diagnostics)
            # As text: `nan` equals itself there, and 1 is not 1.0.
            said.append(repr(parsed.document))
        if mistakes:
            return mistakes
        if not _is_reproducible(rendered):
            return None
    return "\n".join(said)


def _unreadable(findings: Sequence[Diagnostic]) -> list[Diagnostic]:
    return [finding for finding in findings if finding.severity == "error" and finding.code in _UNREADABLE]


def _is_reproducible(rendered: Rendered) -> bool:
    return rendered.text is not None and not rendered.dependencies.nondeterministic

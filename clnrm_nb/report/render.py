"""One result in one format, as text. Every command and every ``--format`` goes through here."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal, Protocol, TextIO

import orjson

from clnrm_nb.errors import UsageError
from clnrm_nb.report.lines import to_ansi, to_plain
from clnrm_nb.report.results import RunResult
from clnrm_nb.report.signs import ASCII, UNICODE, in_ascii

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clnrm_nb.report.diffs import TraceDiff
    from clnrm_nb.report.edited import Edited
    from clnrm_nb.report.findings import Diagnostics
    from clnrm_nb.report.lines import Line
    from clnrm_nb.report.signs import Signs

__all__ = ["Format", "Reportable", "render_html", "render_json", "render_report", "wants_color"]

Format = Literal["human", "json", "junit", "tap", "github", "html", "markdown"]

_NARROWEST = 40


class Reportable(Protocol):
    """What every result object offers."""

    @property
    def raw(self) -> dict[str, Any]:
        """The JSON document."""

    def lines(self, *, signs: Signs = ..., width: int = ..., verbose: bool = ...) -> list[Line]:
        """The report for people."""

    def html(self) -> str:
        """The report as HTML without a frame."""


def wants_color(setting: str, stream: TextIO, environ: Mapping[str, str] | None = None) -> bool:
    """Whether to colour what goes to `stream`.

    Parameters
    ----------
    setting : {"auto", "always", "never"}
        ``output.color``. With ``auto``: on a terminal, unless ``NO_COLOR`` is set or ``TERM`` is ``dumb``.
    """
    environ = os.environ if environ is None else environ
    if setting != "auto":
        return setting == "always"
    if environ.get("NO_COLOR") or environ.get("TERM") == "dumb":
        return False
    return stream.isatty()


def render_report(
    result: Reportable,
    format: Format = "human",  # noqa: A002  # The flag's name.
    *,
    color: bool = False,
    emoji: bool = True,
    width: int = 100,
    verbose: bool = False,
) -> str:
    """A result as text.

    Parameters
    ----------
    result : Reportable
        Any result object.
    format : {"human", "json", "junit", "tap", "github", "html", "markdown"}
    color : bool
        Escape sequences for colours (``human``); see :func:`wants_color`.
    emoji : bool
        False: ASCII signs only.
    width : int
        Cells of a line.
    verbose : bool
        Passed details too.

    Raises
    ------
    UsageError
        The result has no such form.
    """
    if format == "json":
        return render_json(result.raw)
    if format == "html":
        return render_html(result)
    if format == "human":
        return _human(result, color=color, emoji=emoji, width=width, verbose=verbose)
    if isinstance(result, RunResult):
        return _of_run(result, format)
    return _of_others(result, format)


def _of_others(result: Reportable, format_name: str) -> str:
    # Here, not above: the report of a run does not pay for what draws diffs.
    from clnrm_nb.report.diffs import TraceDiff
    from clnrm_nb.report.edited import Edited
    from clnrm_nb.report.findings import Diagnostics

    if isinstance(result, TraceDiff):
        return _of_diff(result, format_name)
    formats = ("junit", "tap", "github") if isinstance(result, Diagnostics) else ("github",)
    if isinstance(result, Diagnostics | Edited) and format_name in formats:
        return _of_findings(result, format_name)
    raise UsageError(f"`{result.raw['command']}` has no format {format_name!r}")


def _human(result: Reportable, *, color: bool, emoji: bool, width: int, verbose: bool) -> str:
    signs = UNICODE if emoji else ASCII
    width = max(width, _NARROWEST)
    if not isinstance(result, RunResult) and (text := _verbatim(result, signs, width)) is not None:
        return text
    lines = result.lines(signs=signs, width=width, verbose=verbose)
    # Lines were wrapped where that is right; places and commands stay whole, terminals wrap them.
    text = to_ansi(lines) if color else to_plain(lines)
    return text if emoji else in_ascii(text)


def _verbatim(result: Reportable, signs: Signs, width: int) -> str | None:
    """What is to be printed as it is; ``None``: this is a report."""
    from clnrm_nb.report.rendered import Rendered
    from clnrm_nb.report.spanviews import GraphView, Text

    is_drawing = isinstance(result, GraphView) and result.view == "ascii"
    if isinstance(result, Text) and not is_drawing:
        # For a file or another program, which must get every character.
        return result.text
    if isinstance(result, Rendered):
        # Somebody's file: nothing of it is coloured.
        return to_plain(result.lines(signs=signs, width=width))
    return None


def _of_run(result: RunResult, format_name: str) -> str:
    if format_name == "junit":
        from clnrm_nb.report.junit import run_junit

        return run_junit(result)
    if format_name == "tap":
        from clnrm_nb.report.tap import run_tap

        return run_tap(result)
    if format_name == "github":
        from clnrm_nb.report.github import run_github

        return run_github(result)
    from clnrm_nb.report.markdown import run_markdown

    return run_markdown(result)


def _of_diff(result: TraceDiff, format_name: str) -> str:
    if format_name == "junit":
        from clnrm_nb.report.junit import diff_junit

        return diff_junit(result)
    if format_name == "tap":
        from clnrm_nb.report.tap import diff_tap

        return diff_tap(result)
    if format_name == "github":
        from clnrm_nb.report.github import diff_github

        return diff_github(result)
    from clnrm_nb.report.diffmarkdown import diff_markdown

    return diff_markdown(result)


def _of_findings(result: Diagnostics | Edited, format_name: str) -> str:
    from clnrm_nb.report.findings import Diagnostics

    if format_name == "junit" and isinstance(result, Diagnostics):
        from clnrm_nb.report.junit import diagnostics_junit

        return diagnostics_junit(result)
    if format_name == "tap" and isinstance(result, Diagnostics):
        from clnrm_nb.report.tap import diagnostics_tap

        return diagnostics_tap(result)
    from clnrm_nb.report.github import diagnostics_github

    return diagnostics_github(result)


def render_json(raw: Any) -> str:
    """A document as JSON, keys in their order, readable."""
    return orjson.dumps(raw, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def render_html(result: Reportable) -> str:
    """One self-contained file; of a run with far more of its trace than a notebook output holds."""
    from clnrm_nb.report.html import page
    from clnrm_nb.report.resultview import result_html

    title = f"clnrm {result.raw['command']}"
    if isinstance(result, RunResult):
        trace = result.spans.html(budget_bytes=5_000_000, rows=20_000) if len(result.spans) else ""
        return page(title, result_html(result, trace, scale=50))
    from clnrm_nb.report.diffs import TraceDiff

    if isinstance(result, TraceDiff):
        return page(title, result.html(budget_bytes=5_000_000, rows=20_000, with_unchanged=True))
    return page(title, result.html())

"""A template beside what it renders to, line for line.

Rendered lines keep their order, and each stands beside the source line it came from. Source lines that give
no text of their own (tags, comments) stand alone where they are passed; a line that a loop comes back to, or
that gives several lines, is named again by its number. So every line of both sides is there at least once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.codes import SEVERITIES
from clnrm_nb.report.html import Weighed, details, escape
from clnrm_nb.report.text import number_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from clnrm_nb.report.excerpt import Source

__all__ = ["aligned", "side_by_side_html"]

_LONGEST_LINE: Final = 400


def aligned(
    source_lines: int, places: Sequence[Mapping[str, Any]], file: str
) -> Iterator[tuple[int | None, int | None, bool]]:
    """Pairs of line numbers, source and rendered.

    Parameters
    ----------
    source_lines : int
        How many lines the source has.
    places : sequence of mappings
        ``{"line", "file", "source_line"}`` of every rendered line, in order.
    file : str
        The source; a line from elsewhere has no source line here.

    Yields
    ------
    tuple of (int or None, int or None, bool)
        Source line, rendered line, and whether the source line has been shown before.
    """
    passed = 0
    for place in places:
        source = place["source_line"] if place["file"] == file else None
        if source is None or source > source_lines:
            yield None, place["line"], False
            continue
        yield from ((number, None, False) for number in range(passed + 1, source))
        yield source, place["line"], source <= passed
        passed = max(passed, source)
    yield from ((number, None, False) for number in range(passed + 1, source_lines + 1))


def side_by_side_html(
    source: Source,
    text: Source,
    places: Sequence[Mapping[str, Any]],
    findings: Sequence[Mapping[str, Any]],
    file: str,
    *,
    budget_bytes: int,
) -> str:
    """Both sides as a table; lines with findings carry their code.

    Parameters
    ----------
    source : Source
        The template.
    text : Source
        What it renders to.
    places : sequence of mappings
        As of :func:`aligned`.
    findings : sequence of mappings
        Of this file, in their JSON form.
    file : str
        The template's name in findings.
    budget_bytes : int
        What the rows may weigh.
    """
    marks: dict[int, list[Mapping[str, Any]]] = {}
    for finding in findings:
        if finding["file"] == file and finding["line"]:
            marks.setdefault(finding["line"], []).append(finding)
    rendered = text.lines_only
    last = len(source.lines_only)
    pairs = list(aligned(last, places, file))
    rows = Weighed((_row(pair, source.lines, rendered, marks) for pair in pairs), len(pairs), budget_bytes)
    header = (
        f"<thead><tr><th scope=col>line</th><th scope=col>{escape(file)}</th>"
        "<th scope=col>line</th><th scope=col>rendered</th></tr></thead>"
    )
    title = f"{number_text(last, 'line')} of template, {number_text(len(rendered), 'line')} rendered"
    shown = f"<table class=sides>{header}<tbody>{''.join(rows)}</tbody></table>"
    return details(title, shown + rows.note("(all of it: .text)"), is_open=True)


def _row(
    pair: tuple[int | None, int | None, bool],
    source: Sequence[str],
    rendered: Sequence[str],
    marks: Mapping[int, Sequence[Mapping[str, Any]]],
) -> str:
    left, right, is_again = pair
    found = marks.get(left, ()) if left is not None and not is_again else ()
    one = "" if left is None or is_again else _code(source[left - 1], found)
    other = "" if right is None else _code(rendered[right - 1], ())
    return (
        f"<tr><td class=n>{left or ''}{' again' if is_again else ''}</td><td>{_cell(one)}</td>"
        f"<td class=n>{right or ''}</td><td>{_cell(other)}</td></tr>"
    )


def _cell(code: str) -> str:
    # A viewer that drops the style (an untrusted notebook) still keeps indentation.
    return f"<pre align=left dir=ltr>{code}</pre>" if code else ""


def _code(text: str, findings: Sequence[Mapping[str, Any]]) -> str:
    """A line of code; with findings, the place of the worst marked and all their codes after it."""
    if not findings:
        return escape(text, _LONGEST_LINE)
    finding = min(findings, key=lambda each: SEVERITIES.index(each["severity"]))
    start = min((finding["column"] or 1) - 1, len(text))
    is_same_line = finding.get("end_line") == finding["line"]
    end = max(min(finding["end_column"] - 1 if is_same_line else len(text), len(text)), start + 1)
    kind = {"warning": " class=odd", "info": " class=note"}.get(finding["severity"], "")
    mark = f"<mark{kind}>{escape(text[start:end], _LONGEST_LINE) or '&nbsp;'}</mark>"
    codes = dict.fromkeys(f"{each['severity']} {each['code']}" for each in findings)
    beside = f" <span class=q>{escape(', '.join(codes))}</span>"
    return f"{escape(text[:start], _LONGEST_LINE)}{mark}{escape(text[end:], _LONGEST_LINE)}{beside}"

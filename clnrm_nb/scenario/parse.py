"""Rendered text → TOML document, and where each of its keys stands in the file a person edits.

tomli is the authority on what TOML is; this module adds which of our codes a refusal is and, when asked,
places: :meth:`Parsed.locate` reads positions once for a file and maps them through the template's source map.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import tomli

from clnrm_nb.errors import Diagnostic, Fix, Location, Related
from clnrm_nb.scenario.positions import Positions, Span, read_positions
from clnrm_nb.scenario.recovery import Conflict, recover, split_statements
from clnrm_nb.scenario.repairs import Editor, Repair, Splice
from clnrm_nb.scenario.syntax import repair_of

if TYPE_CHECKING:
    from clnrm_nb.scenario.findings import Part
    from clnrm_nb.scenario.model import KeyPath

__all__ = ["Parsed", "RenderedText", "parse"]

_DUPLICATE = re.compile(r"Cannot (overwrite|declare|mutate|redefine)|Duplicate", re.IGNORECASE)
_VALUE = re.compile(r"""[^=\n"']*(?:"[^"\n]*"[^=\n"']*|'[^'\n]*'[^=\n"']*)*=[ \t]*""")
_LINE = re.compile(r"[^\n]*\n?")
_MINUTES = re.compile(r"(?:.*[Tt ])?[0-9]{2}:[0-9]{2}")
_INT64_MAX = 2**63 - 1
_INT64_MIN = -(2**63)


class _SourceMap(Protocol):
    def to_source(self, line: int, column: int) -> Location:
        """Where a place of the rendered text was written."""
        ...


class RenderedText(Protocol):
    """What this module needs to know about a rendered template."""

    @property
    def file(self) -> str:
        """The file's name in findings."""
        ...

    @property
    def source(self) -> str:
        """The text a person edits."""
        ...

    @property
    def text(self) -> str | None:
        """The rendered text; ``None`` where rendering failed."""
        ...

    @property
    def templated(self) -> bool:
        """Whether the rendered text may differ from the source."""
        ...

    @property
    def source_map(self) -> _SourceMap:
        """Rendered places to source places."""
        ...


@dataclass(slots=True)
class Parsed:
    """A document, and the way back from its keys to the file a person edits.

    Parameters
    ----------
    rendered : RenderedText
        What was parsed.
    document : dict or None
        The document as tomli gives it, without what is not TOML (`holes`); ``None`` where nothing can be
        read.
    diagnostics : list of Diagnostic
        CLN201 to CLN204.
    holes : list of Span
        What of the text is not in the document.
    """

    rendered: RenderedText
    document: dict[str, Any] | None = None
    diagnostics: list[Diagnostic] = field(default_factory=list)
    holes: list[Span] = field(default_factory=list)
    _text: str | None = None
    _positions: Positions | None = None
    _editor: Editor | None = None

    @property
    def positions(self) -> Positions:
        """The spans of the rendered text, read when first asked for."""
        if self._positions is None:
            text = _toml_text(self.rendered.text or "") if self._text is None else self._text
            self._positions = read_positions(text)
        return self._positions

    @property
    def rendered_text(self) -> str:
        """The whole text, unread parts included, as offsets count it."""
        return _toml_text(self.rendered.text or "")

    def fix(self, repair: Repair) -> Fix | None:
        """`repair` as edits of the source; ``None`` where it would touch what is not typed there."""
        if self._editor is None:
            self._editor = Editor(self.rendered, self.positions)
        return self._editor.fix(repair)

    def locate(self, path: KeyPath, part: Part = "value") -> Location:
        """Where `part` of `path` stands in the source.

        A part that is not there (the header of an inline table, a key nobody wrote) gives the nearest thing
        that is: the inline table, then the enclosing table, then line 1.
        """
        return self.place(self.positions.find(path, part))

    def put(self, finding: Diagnostic, path: KeyPath, part: Part = "value") -> Diagnostic:
        """`finding` at `part` of `path`."""
        return self.put_at(finding, self.positions.find(path, part))

    def put_at(self, finding: Diagnostic, span: Span) -> Diagnostic:
        """`finding` at a span of the rendered text, with both places where source and rendered differ."""
        place = self.place(span)
        rendered = self.positions.line_column(span[0])
        differs = self.rendered.templated and rendered != (place.line, place.column)
        return replace(finding.at(place), rendered=rendered if differs else None)

    def place(self, span: Span) -> Location:
        """A span of the rendered text as a place in the source."""
        line, column = self.positions.line_column(span[0])
        end_line, end_column = self.positions.line_column(span[1])
        if not self.rendered.templated:
            return Location(self.rendered.file, line, column, end_line, end_column)
        start = self.rendered.source_map.to_source(line, column)
        if start.end_line is not None:
            return start
        end = self.rendered.source_map.to_source(end_line, end_column)
        if end.file != start.file or (end.line, end.column) <= (start.line, start.column):
            return start
        return replace(start, end_line=end.line, end_column=end.column)


def parse(rendered: RenderedText, *, strict_toml: str = "1.1") -> Parsed:
    """Parse the text of `rendered`.

    Parameters
    ----------
    rendered : RenderedText
        A rendered template whose ``text`` is not ``None`` (``None`` gives an empty result).
    strict_toml : {"1.1", "1.0"}
        ``"1.0"`` reports what only TOML 1.1 knows (CLN203).

    Returns
    -------
    Parsed
        Of a text that is not TOML, everything but its broken statements (:mod:`clnrm_nb.scenario.recovery`).
    """
    parsed = Parsed(rendered)
    if rendered.text is None:
        return parsed
    text = _toml_text(rendered.text)
    try:
        parsed.document = tomli.loads(text)
    except (ValueError, RecursionError):
        _recover(parsed, text)
    else:
        parsed.diagnostics.extend(_numbers_out_of_range(parsed, parsed.document))
        if strict_toml == "1.0":
            editor = Editor(rendered, parsed.positions)
            by_start = {span[0]: span for span in parsed.positions.values.values()}
            parsed.diagnostics.extend(
                _at(
                    parsed,
                    "CLN203",
                    f"{what} needs TOML 1.1",
                    span,
                    fix=_older_fix(parsed, editor, span, what, by_start),
                )
                for span, what in parsed.positions.modern
            )
    return parsed


def _at(
    parsed: Parsed,
    code: str,
    message: str,
    span: Span,
    *,
    related: tuple[Related, ...] = (),
    fix: Fix | None = None,
) -> Diagnostic:
    return parsed.put_at(Diagnostic(code, message, related=related, fix=fix), span)


def _toml_text(text: str) -> str:
    """`text` without a byte order mark and with one character a line break, as tomli counts offsets."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n")


# ------------------------------------------------------------------------------------ what is not TOML


def _recover(parsed: Parsed, text: str) -> None:
    """Fill `parsed` with what can be read of a text that is not TOML, and with why the rest cannot."""
    recovered = recover(text)
    parsed.document = recovered.document
    parsed.holes = recovered.holes
    parsed._text = recovered.text  # noqa: SLF001  # Of this module's own class.
    as_written = Editor(parsed.rendered, Positions(text))
    for refusal in recovered.refusals:
        code = "CLN204" if refusal.is_number else "CLN201"
        message = refusal.message[:1].lower() + refusal.message[1:]
        place = _unfinished(text, refusal.statement) if refusal.is_unfinished else refusal.at
        repair = repair_of(text, refusal)
        fix = as_written.fix(repair) if repair is not None else None
        parsed.diagnostics.append(_at(parsed, code, message, (place, place), fix=fix))
    parsed.diagnostics.extend(_conflict(parsed, conflict) for conflict in recovered.conflicts)
    if parsed.document is not None:
        parsed.diagnostics.extend(_numbers_out_of_range(parsed, parsed.document))


def _unfinished(text: str, statement: Span) -> int:
    """Where the thing began that is never finished: the value, or what follows a header's last name."""
    start, end = statement
    if text[start] == "[":
        return end
    value = _VALUE.match(text, start, end)
    return value.end() if value is not None and value.end() < end else start


def _conflict(parsed: Parsed, conflict: Conflict) -> Diagnostic:
    """CLN202 at the second definition, with the first as related place."""
    message = conflict.message[:1].lower() + conflict.message[1:]
    if _DUPLICATE.match(conflict.message) is None:
        return _at(parsed, "CLN201", message, (conflict.at, conflict.at))
    positions = read_positions(conflict.text)
    before = [entry for entry in positions.statements if entry[0][0] <= conflict.at]
    if not before:
        return _at(parsed, "CLN202", message, (conflict.at, conflict.at))
    span, path = before[-1]
    if "inline" not in conflict.message:
        # The whole statement is the second definition, not what an inline table in it holds.
        begun = [one for one in split_statements(conflict.text) if one[0] <= conflict.at - 1][-1]
        span, path = next((entry for entry in before if entry[0][0] >= begun[0]), before[-1])
    first = _first_definition(positions, path, span[0])
    name = ".".join(str(part) for part in path if isinstance(part, str))
    if first is None:
        return _at(parsed, "CLN202", f"`{name}`: {message}", span)
    place = parsed.place(first)
    related = (Related(place.file, place.line, place.column, "first defined here"),)
    message = f"`{name}` is defined twice (first on line {place.line})"
    fix = Editor(parsed.rendered, positions).fix(_without_second(positions, span, first))
    return _at(parsed, "CLN202", message, span, related=related, fix=fix)


def _without_second(positions: Positions, span: Span, first: Span) -> Repair:
    """Take the second definition out; safe only where it says the same as the first, word by word."""
    lines = [
        _LINE.match(positions.text, positions.text.rfind("\n", 0, place[0]) + 1) for place in (first, span)
    ]
    same = lines[0] is not None and lines[1] is not None and lines[0][0].strip() == lines[1][0].strip()
    is_header = positions.text[span[0]] == "["
    if lines[1] is None or is_header or not same:
        return Repair("Keep the first definition only", ())
    return Repair("Keep the first definition only", (Splice(lines[1].span(), ""),))


def _first_definition(positions: Positions, path: KeyPath, before: int) -> Span | None:
    """The first definition of `path`, or of the value that `path` goes through, ahead of `before`."""
    for length in range(len(path), 0, -1):
        for known in (positions.headers, positions.keys):
            span = known.get(path[:length])
            if span is not None and span[0] < before:
                return span
    return None


# ------------------------------------------------------------------------------------ what is too new


def _older_fix(
    parsed: Parsed, editor: Editor, span: Span, what: str, by_start: dict[int, Span]
) -> Fix | None:
    """What only TOML 1.1 knows, in the words of TOML 1.0; `by_start` has the values by where they begin."""
    change = _older(parsed.positions.text, span, what, by_start)
    return editor.fix(Repair("Write it as TOML 1.0 does", (change,))) if change is not None else None


def _older(text: str, span: Span, what: str, by_start: dict[int, Span]) -> Splice | None:
    written = text[slice(*span)]
    if what.startswith("escape"):
        return Splice(span, r"\u001B" if written == r"\e" else r"\u00")
    if what.startswith("time"):
        end = _MINUTES.match(written)
        return Splice((span[0] + end.end(), span[0] + end.end()), ":00") if end else None
    if what.startswith("trailing"):
        return Splice(span, "")
    whole = by_start.get(span[0])
    if whole is None or "#" in text[slice(*whole)]:
        return None
    joined = re.sub(r"\s*\n\s*", " ", text[slice(*whole)])
    return Splice(whole, re.sub(r",\s*\}$", " }", joined))


def _numbers_out_of_range(parsed: Parsed, document: dict[str, Any]) -> list[Diagnostic]:
    """CLN204 for every number that needs more than 64 bits."""
    findings: list[Diagnostic] = []
    waiting: list[tuple[KeyPath, Any]] = [((), document)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, dict):
            waiting.extend(((*path, key), item) for key, item in value.items() if not isinstance(item, str))
        elif isinstance(value, list):
            waiting.extend(
                ((*path, key), item) for key, item in enumerate(value) if not isinstance(item, str)
            )
        elif isinstance(value, int):
            if not _INT64_MIN <= value <= _INT64_MAX:
                findings.append(_at(parsed, "CLN204", "integer out of range", parsed.positions.find(path)))
        elif isinstance(value, float) and math.isinf(value):
            span = parsed.positions.find(path)
            if "inf" not in parsed.positions.text[slice(*span)]:
                findings.append(_at(parsed, "CLN204", "float out of range", span))
    return findings

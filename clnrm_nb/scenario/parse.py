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

from clnrm_nb.errors import Diagnostic, Location, Related
from clnrm_nb.scenario.positions import Positions, Span, read_positions

if TYPE_CHECKING:
    from clnrm_nb.scenario.findings import Part
    from clnrm_nb.scenario.model import KeyPath

__all__ = ["Parsed", "RenderedText", "parse"]

_DUPLICATE = re.compile(r"Cannot (overwrite|declare|mutate|redefine)|Duplicate", re.IGNORECASE)
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
        The document as tomli gives it; ``None`` where the text is not TOML.
    diagnostics : list of Diagnostic
        CLN201 to CLN204.
    """

    rendered: RenderedText
    document: dict[str, Any] | None = None
    diagnostics: list[Diagnostic] = field(default_factory=list)
    _positions: Positions | None = None

    @property
    def positions(self) -> Positions:
        """The spans of the rendered text, read when first asked for."""
        if self._positions is None:
            self._positions = read_positions(_toml_text(self.rendered.text or ""))
        return self._positions

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
    """
    parsed = Parsed(rendered)
    if rendered.text is None:
        return parsed
    try:
        parsed.document = tomli.loads(_toml_text(rendered.text))
    except tomli.TOMLDecodeError as error:
        parsed.diagnostics.append(_refusal(parsed, error))
    except RecursionError:
        parsed.diagnostics.append(_at(parsed, "CLN201", "arrays or tables are nested too deeply", (0, 0)))
    except ValueError:
        # Python refuses to convert integers of more than 4300 digits before tomli can see their size.
        parsed.diagnostics.append(_at(parsed, "CLN204", "integer out of range", (0, 0)))
    else:
        parsed.diagnostics.extend(_numbers_out_of_range(parsed, parsed.document))
        if strict_toml == "1.0":
            parsed.diagnostics.extend(
                _at(parsed, "CLN203", f"{what} needs TOML 1.1", span)
                for span, what in parsed.positions.modern
            )
    return parsed


def _at(
    parsed: Parsed, code: str, message: str, span: Span, *, related: tuple[Related, ...] = ()
) -> Diagnostic:
    return parsed.put_at(Diagnostic(code, message, related=related), span)


def _toml_text(text: str) -> str:
    """`text` without a byte order mark and with one character a line break, as tomli counts offsets."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n")


def _refusal(parsed: Parsed, error: tomli.TOMLDecodeError) -> Diagnostic:
    message = error.msg[:1].lower() + error.msg[1:]
    if _DUPLICATE.match(error.msg):
        return _duplicate(parsed, error, message)
    offset = min(error.pos, len(error.doc))
    if offset == len(error.doc):
        # At the end of the text the useful place is where the unfinished thing began.
        offset = _last_open(parsed, offset)
    return _at(parsed, "CLN201", message, (offset, offset))


def _last_open(parsed: Parsed, offset: int) -> int:
    statements = [span[0] for span, _ in parsed.positions.statements if span[0] <= offset]
    return max(statements, default=offset)


def _duplicate(parsed: Parsed, error: tomli.TOMLDecodeError, fallback: str) -> Diagnostic:
    """CLN202 at the second definition, with the first as related place."""
    before = [entry for entry in parsed.positions.statements if entry[0][0] <= error.pos]
    if not before:
        return _at(parsed, "CLN202", fallback, (error.pos, error.pos))
    span, path = before[-1]
    first = _first_definition(parsed.positions, path, span[0])
    name = ".".join(str(part) for part in path if isinstance(part, str))
    if first is None:
        return _at(parsed, "CLN202", f"`{name}`: {fallback}", span)
    place = parsed.place(first)
    related = (Related(place.file, place.line, place.column, "first defined here"),)
    return _at(
        parsed, "CLN202", f"`{name}` is defined twice (first on line {place.line})", span, related=related
    )


def _first_definition(positions: Positions, path: KeyPath, before: int) -> Span | None:
    """The first definition of `path`, or of the value that `path` goes through, ahead of `before`."""
    for length in range(len(path), 0, -1):
        for known in (positions.headers, positions.keys):
            span = known.get(path[:length])
            if span is not None and span[0] < before:
                return span
    return None


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

"""Template markers as the formatter sees them: pieces of text whose output nobody knows, spaced alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from clnrm_nb.template.lexer import Scan, Segment

__all__ = ["CLOSING", "OPENING", "Marker", "is_extending", "markers_of", "spaced"]

OPENING: Final = frozenset({"if", "for", "block"})
"""Statements that open a part which may be left out, repeated or replaced."""
CLOSING: Final = frozenset({"endif", "endfor", "endblock"})
_WHOLE: Final = {"macro": "endmacro", "filter": "endfilter"}
"""Statements whose inside is no part of the file's own TOML: it is printed elsewhere, or changed first."""


class Marker(NamedTuple):
    """A marker, or a block of text from its first marker to its last that must stay whole.

    ``kind`` is what the text around it can expect: ``print`` (any text), ``tag`` (none), ``note`` (a template
    comment).
    """

    start: int
    end: int
    kind: Literal["print", "tag", "note"]
    keyword: str = ""


def markers_of(scan: Scan) -> list[Marker]:
    """All markers in order; raw sections, macros and filter sections are one each."""
    segments = _by_start(scan)
    found: list[Marker] = []
    whole: list[str] = []
    for start, end in scan.opaque:
        segment = segments.get(start)
        keyword = segment.keyword if segment else ""
        if whole:
            found[-1] = found[-1]._replace(end=end)
        else:
            found.append(Marker(start, end, _kind(scan.source, start, keyword, segment), keyword))
        if keyword in _WHOLE:
            whole.append(_WHOLE[keyword])
        elif whole and keyword == whole[-1]:
            whole.pop()
    return found


def _kind(source: str, start: int, keyword: str, segment: Segment | None) -> Literal["print", "tag", "note"]:
    if source.startswith("{#", start):
        return "note"
    # A raw section has no segment of its own, and prints.
    return "tag" if segment and segment.kind == "tag" and keyword not in ("filter", "include") else "print"


def _by_start(scan: Scan) -> dict[int, Segment]:
    return {segment.start: segment for segment in scan.segments if segment.kind != "text"}


def is_extending(scan: Scan) -> bool:
    """Whether the file fills the blocks of another: nobody here knows where they stand there."""
    return any(segment.keyword == "extends" for segment in scan.segments)


def spaced(scan: Scan) -> str:
    """The source with one space inside each end of every ``{{ … }}`` and ``{% … %}``.

    Strings and line breaks inside markers stay; so do comments and raw sections. What the markers mean does
    not depend on these spaces, so this holds inside TOML strings too.
    """
    return "".join(_spaced_pieces(scan.source, _by_start(scan).values()))


def _spaced_pieces(source: str, markers: Iterable[Segment]) -> Iterator[str]:
    position = 0
    for marker in markers:
        left = marker.start + 2 + marker.strips_left
        right = marker.end - 2 - marker.strips_right
        inside = source[left:right].strip(" \t")
        yield source[position:left]
        yield inside if inside.startswith(("\n", "\r")) else f" {inside}"
        if not inside.endswith("\n"):
            yield " "
        yield source[right : marker.end]
        position = marker.end
    yield source[position:]

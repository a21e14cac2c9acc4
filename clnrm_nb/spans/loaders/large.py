"""Large JSON documents without large trees: the spans of a document are parsed in batches.

A parsed span takes some ten times the memory of its row. So arrays of spans, or of whole blocks where these
are small, are first cut out of the text; what is left (resources and scopes) is parsed as a whole, then each
array batch by batch. Where an element ends is guessed by how the first one begins, and proved by brackets:
where all before a comma are paired, an element ends. Counting them one by one, which takes ten times
as long, is left for the end of an array and for elements that do not look alike.
A document that breaks off in the middle is taken apart like any other: what is open at its end is closed in
what is left of it, which is small.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import orjson

from clnrm_nb.spans.intake import MAX_NESTING
from clnrm_nb.spans.loaders import documents
from clnrm_nb.spans.loaders.jsontext import Fault, parse
from clnrm_nb.spans.loaders.lines import begins_with_a_line
from clnrm_nb.spans.loaders.torn import mended

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from clnrm_nb.spans.intake import Intake

__all__ = ["MIN_BYTES", "Document", "split"]

MIN_BYTES: Final = 8 * 1024 * 1024
"""Smaller documents are parsed as a whole."""

_BATCH_BYTES: Final = 1024 * 1024

MAX_SPAN_BYTES: Final = 64 * 1024 * 1024
"""Of one span: it is parsed as a whole, which takes a multiple of that."""

_SHORT_BYTES: Final = 64 * 1024
"""Of an array whose end is looked for before any guess, which would copy and scan a whole batch."""

_MAX_GUESSES: Final = 4
_MAX_GUESSED_BYTES: Final = 4 * 1024 * 1024
"""A guess is parsed as a whole."""

_BLOCK_KEYS: Final = ("resourceSpans", "resource_spans", "batches", "data")
_BLOCKS: Final = re.compile(rb'\s*\{\s*"(?:resourceSpans|resource_spans|batches|data)"\s*:\s*\[')
_SPANS: Final = re.compile(rb'"spans"\s*:\s*\[')
_STRING: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_BRACKET: Final = re.compile(rb'(?:[^"\[\]{}]++|' + _STRING + rb")*+(?:([\[\]{}])|.|\Z)", re.DOTALL)
"""All up to the next bracket; without one it cannot be JSON."""

_OPENING: Final = frozenset({b"[", b"{"})
_FIRST_KEY: Final = re.compile(rb"\s*\{\s*(" + _STRING + rb")\s*:", re.DOTALL)
_AFTER: Final = "content after document"
_COMMA: Final = re.compile(rb"\s*,")
_CONTENT: Final = re.compile(rb"\S")
_LAST: Final = re.compile(rb"\]\s*\Z")
_STAND_IN: Final = b'{"":%d}'
"""For the elements of an array, as an object, behind which a frame that breaks off may be cut."""

_NO_MARKS: Final = bytes(set(range(256)) - set(b'"[]{}'))
_QUOTED: Final = re.compile(rb'"[^"]*"')
_MAX_LEVELS: Final = 4 * MAX_NESTING

_Batches = list[tuple[int, int]]


class Document:
    """A document taken apart.

    Parameters
    ----------
    data : bytes
        All of it.
    frame : any
        Parsed, with a stand-in for the elements of each array of spans.
    arrays : list
        Start and end of each batch of elements, for each array by number.
    is_torn : bool
        It breaks off; the spans before that are there.
    """

    def __init__(self, data: bytes, frame: Any, arrays: list[_Batches], *, is_torn: bool = False) -> None:
        self._data = data
        self._frame = frame
        self._arrays = arrays
        self.is_torn = is_torn

    def read(
        self, intake: Intake, lost: Callable[[int, str], None], form: documents.Form | None = None
    ) -> set[documents.Form]:
        """Put all spans into the intake, read as `form` or recognised.

        `lost(offset, reason)` hears of batches that are no JSON.
        """
        forms: set[documents.Form] = set()
        if isinstance(self._frame, dict):
            for key in _BLOCK_KEYS:
                for blocks in self._batches(self._frame.get(key), lost):
                    forms |= documents.read({key: blocks}, intake, form=form, ours=True)
            found = None if forms else documents.form_of(self._frame, form)
            if found is not None:
                for listed, take in documents.blocks(self._frame, found, intake, ours=True):
                    for spans in self._batches(listed, lost):
                        take(spans)
                return {found}
        listed = self._frame.get("spans") if isinstance(self._frame, dict) else self._frame
        for items in self._batches(listed, lost):
            forms |= documents.read(items, intake, form=form, ours=True)
            intake.shared.trim()
        return forms

    def _batches(self, listed: Any, lost: Callable[[int, str], None]) -> Any:
        stand_in = listed[0] if isinstance(listed, list) and len(listed) == 1 else None
        if not (isinstance(stand_in, dict) and stand_in.keys() == {""}):
            return
        for start, end in self._arrays[stand_in[""]]:
            try:
                if end - start > MAX_SPAN_BYTES:
                    yield self._one_by_one(start, end, lost)
                else:
                    yield orjson.loads(b"[" + self._data[start:end] + b"]")
            except orjson.JSONDecodeError:
                yield self._one_by_one(start, end, lost)

    def _one_by_one(self, start: int, end: int, lost: Callable[[int, str], None]) -> list[Any]:
        """The elements of a batch that can be read; what cannot costs only itself."""
        values: list[Any] = []
        for first, last in _elements(self._data, start, end):
            if last - first > MAX_SPAN_BYTES:
                lost(first, f"a span of more than {MAX_SPAN_BYTES} bytes")
                continue
            text = self._data[first:last]
            value = parse(text)
            if self.is_torn and isinstance(value, Fault) and last == len(self._data):
                whole = mended(text)
                values += [] if whole is None else [parse(whole)]
            elif isinstance(value, Fault):
                lost(value.place(text, 0, first)[1], f"not valid JSON: {value.reason}")
            else:
                values.append(value)
        return values


def split(data: bytes) -> Document | None:
    """Take a document apart; ``None`` if it has no array of spans or is no JSON around them."""
    if data[:64].lstrip().startswith(b"["):
        return _split_list(data)
    return None if begins_with_a_line(data) else _split_object(data)


def _split_list(data: bytes) -> Document | None:
    start = data.index(b"[") + 1
    batches, end = _cut(data, start)
    is_torn = end is None and _add_torn(data, batches, start)
    # With more behind it, it is no document but the first of several.
    is_whole = end is not None and _LAST.match(data, end) is not None
    return Document(data, [{"": 0}], [batches], is_torn=is_torn) if batches and is_whole | is_torn else None


def _split_object(data: bytes) -> Document | None:
    arrays: list[_Batches] = []
    pieces: list[bytes] = []
    kept = position = 0
    while (opening := _opening(data, position)) is not None:
        batches, end = _cut(data, opening)
        if end is None and not _add_torn(data, batches, opening):
            return None
        position = len(data) if end is None else end
        if batches:
            pieces += (data[kept:opening], _STAND_IN % len(arrays))
            arrays.append(batches)
            kept = position
    if not arrays:
        return None
    frame, is_torn = _parsed(b"".join([*pieces, data[kept:]]))
    return Document(data, frame, arrays, is_torn=is_torn) if frame is not None else None


def _parsed(frame: bytes) -> tuple[Any, bool]:
    """The value of a frame, and whether it had to be closed for that."""
    value = parse(frame)
    if not isinstance(value, Fault):
        return value, False
    whole = mended(frame) if value.is_end else None
    value = None if whole is None else parse(whole)
    return (None, False) if isinstance(value, Fault) else (value, True)


def _add_torn(data: bytes, batches: _Batches, start: int) -> bool:
    """Add what is behind the batches of an array without an end, if it is because the document breaks off."""
    comma = _COMMA.match(data, batches[-1][1]) if batches else None
    first = start if comma is None else comma.end()
    if len(data) - first <= MAX_SPAN_BYTES:
        rest = parse(b"[" + data[first:])
        if not (isinstance(rest, Fault) and rest.is_end):
            return False
    batches.append((first, len(data)))
    return True


def _opening(data: bytes, position: int) -> int | None:
    """Where the content of the next array begins: all blocks if these are small, else spans of a block."""
    blocks = _BLOCKS.match(data) if not position else None
    if blocks is not None and _guessed(data, blocks.end(), _next_like(data, blocks.end())) is not None:
        return blocks.end()
    spans = _SPANS.search(data, position)
    return None if spans is None else spans.end()


def _cut(data: bytes, start: int) -> tuple[_Batches, int | None]:
    """Batches of the elements of an array whose content begins at `start`, and where its bracket closes."""
    end, following = _counted(data, start, start + _SHORT_BYTES) or (start, start)
    if following is None:
        return [(start, end)] if _CONTENT.search(data, start, end) else [], end
    batches: _Batches = []
    first, alike = start, _next_like(data, start)
    while True:
        found = _guessed(data, first, alike)
        if found is None:
            found = _counted(data, first)
            if found is None:
                return batches, None
        end, following = found
        if _CONTENT.search(data, first, end):
            batches.append((first, end))
        if following is None:
            return batches, end
        first = following


def _elements(data: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Begin and end of the elements of a batch, which are told apart by the commas between their brackets."""
    depth, first = 0, start
    for found in _BRACKET.finditer(data, start, end):
        if found[1] is None:
            break
        depth += 1 if found[1] in _OPENING else -1
        comma = None if depth else _COMMA.match(data, found.end(), end)
        if comma is not None:
            yield first, found.end()
            first = comma.end()
    if _CONTENT.search(data, first, end):
        yield first, end


def _next_like(data: bytes, start: int) -> re.Pattern[bytes] | None:
    """What stands between two elements of an array, if all begin as its first one does."""
    key = _FIRST_KEY.match(data, start)
    return key and re.compile(rb"\}(\s*,)(?=\s*\{\s*" + re.escape(key[1]) + rb"\s*:)")


def _guessed(data: bytes, first: int, alike: re.Pattern[bytes] | None) -> tuple[int, int | None] | None:
    """Where a batch ends and the next one begins, if a guess proves right."""
    if alike is None:
        return None
    last = first + _BATCH_BYTES + _MAX_GUESSED_BYTES
    for guess in islice(alike.finditer(data, first + _BATCH_BYTES, last), _MAX_GUESSES):
        end, following = guess.span(1)
        left = _unpaired(data[first:end])
        if not left:
            return end, following
        if left.startswith(b"]") and (closing := _closing(data, first, end)) is not None:
            return closing, None
    return None


def _unpaired(text: bytes) -> bytes:
    """The brackets of a text that begins outside of strings which have no partner in it.

    Quotes are left where one has none; brackets too where they are nested more deeply than any span.
    """
    if b"\\" in text:
        text = text.replace(rb"\\", b"").replace(rb"\"", b"")
    marks = _QUOTED.sub(b"", text.translate(None, _NO_MARKS).replace(b'""', b""))
    for _ in range(_MAX_LEVELS):
        paired = marks.replace(b"{}", b"").replace(b"[]", b"")
        if len(paired) == len(marks):
            break
        marks = paired
    return marks


def _closing(data: bytes, first: int, end: int) -> int | None:
    """Where the array closes whose elements begin at `first`, if the parser can say it."""
    text = b"[" + data[first:end]
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError as error:
        # The parser's position counts characters.
        closing = first + error.pos - 2
        if _AFTER in error.msg and text.isascii() and data[closing : closing + 1] == b"]":
            return closing
    return None


def _counted(data: bytes, first: int, last: int | None = None) -> tuple[int, int | None] | None:
    """The same by counting brackets; at the end of the array nothing follows.

    ``None`` if it has no end, or none before `last`.
    """
    depth = 0
    for found in _BRACKET.finditer(data, first, len(data) if last is None else last):
        if found[1] is None:
            return None
        at = found.end() - 1
        if found[1] in _OPENING:
            depth += 1
        else:
            depth -= 1
            if depth < 0:
                return at, None
            if not depth and at - first >= _BATCH_BYTES:
                comma = _COMMA.match(data, at + 1)
                if comma is not None:
                    return at + 1, comma.end()
    return None

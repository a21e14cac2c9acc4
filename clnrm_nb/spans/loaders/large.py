"""Large JSON documents without large trees: the spans of a document are parsed in batches.

A parsed span takes some ten times the memory of its row. So the arrays of spans are first cut out of the text
by their brackets; what is left (resources and scopes) is parsed as a whole, then each array batch by batch.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import orjson

from clnrm_nb.spans.loaders import documents

if TYPE_CHECKING:
    from collections.abc import Callable

    from clnrm_nb.spans.intake import Intake

__all__ = ["MIN_BYTES", "Document", "split"]

MIN_BYTES: Final = 8 * 1024 * 1024
"""Smaller documents are parsed as a whole."""

_BATCH_BYTES: Final = 1024 * 1024

_SPANS: Final = re.compile(rb'"spans"\s*:\s*\[')
_TOKEN: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{}]', re.DOTALL)
_COMMA: Final = re.compile(rb"\s*,")

_Batches = list[tuple[int, int]]


class Document:
    """A document taken apart.

    Parameters
    ----------
    data : bytes
        All of it.
    frame : any
        Parsed, with a number in place of the elements of each array of spans.
    arrays : list
        Start and end of each batch of elements, for each array by number.
    """

    def __init__(self, data: bytes, frame: Any, arrays: list[_Batches]) -> None:
        self._data = data
        self._frame = frame
        self._arrays = arrays

    def read(
        self, intake: Intake, lost: Callable[[int, str], None], form: documents.Form | None = None
    ) -> set[documents.Form]:
        """Put all spans into the intake, read as `form` or recognised.

        `lost(offset, reason)` hears of batches that are no JSON.
        """
        if isinstance(self._frame, dict):
            found = documents.form_of(self._frame, form)
            if found is not None:
                for listed, take in documents.blocks(self._frame, found, intake, ours=True):
                    for spans in self._batches(listed, lost):
                        take(spans)
                return {found}
        forms: set[documents.Form] = set()
        listed = self._frame.get("spans") if isinstance(self._frame, dict) else self._frame
        for items in self._batches(listed, lost):
            forms |= documents.read(items, intake, form=form, ours=True)
            intake.shared.trim()
        return forms

    def _batches(self, number: Any, lost: Callable[[int, str], None]) -> Any:
        if not (isinstance(number, list) and len(number) == 1 and type(number[0]) is int):
            return
        for start, end in self._arrays[number[0]]:
            try:
                yield orjson.loads(b"[" + self._data[start:end] + b"]")
            except orjson.JSONDecodeError as error:
                lost(start, f"not valid JSON: {error}")


def split(data: bytes) -> Document | None:
    """Take a document apart; ``None`` if it has no array of spans or is no JSON around them."""
    arrays: list[_Batches] = []
    pieces: list[bytes] = []
    kept = position = 0
    if data[:64].lstrip().startswith(b"["):
        start = data.index(b"[") + 1
        batches, _ = _cut(data, start)
        return Document(data, [0], [batches]) if batches else None
    while (opening := _SPANS.search(data, position)) is not None:
        batches, end = _cut(data, opening.end())
        if end is None:
            return None
        if batches:
            pieces += (data[kept : opening.end()], b"%d" % len(arrays))
            arrays.append(batches)
            kept = end
        position = end
    try:
        frame = orjson.loads(b"".join([*pieces, data[kept:]]))
    except orjson.JSONDecodeError:
        return None
    return Document(data, frame, arrays) if arrays else None


def _cut(data: bytes, start: int) -> tuple[_Batches, int | None]:
    """Batches of the elements of an array whose content begins at `start`, and where its bracket closes."""
    batches: _Batches = []
    depth = 0
    first = start
    for token in _TOKEN.finditer(data, start):
        byte = data[token.start()]
        if byte in b"[{":
            depth += 1
        elif byte in b"]}":
            depth -= 1
            if depth < 0:
                if data[first : token.start()].strip():
                    batches.append((first, token.start()))
                return batches, token.start()
            if not depth and token.end() - first >= _BATCH_BYTES:
                comma = _COMMA.match(data, token.end())
                if comma is not None:
                    batches.append((first, token.end()))
                    first = comma.end()
    return batches, None

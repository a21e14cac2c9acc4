"""What a span is evidence of: the texts it says.

One rule for all dimensions: a behaviour is reached when *one* span says all its words. What a span says is
its name (whole, and its parts between dots, colons, slashes and spaces), the same of one of its events, its
service, and the values of its attributes; upper and lower case, ``-``, ``_`` and spaces count alike. A word
is never looked for inside another word, and two spans never add up to one behaviour.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from clnrm_nb.spans.table import SpanTable

__all__ = ["Evidence", "endpoints_of", "normalised"]

_BETWEEN: Final = re.compile(r"[.:/\s]+")
_SAME: Final = re.compile(r"[-_\s]+")
_LONGEST: Final = 200


def normalised(text: str) -> str:
    """`text` as it is compared."""
    return _SAME.sub(" ", text).strip().casefold()


def endpoints_of(table: SpanTable, row: int) -> Iterator[str]:
    """How a span may be called as an endpoint: its name, method and route, the called method, the command."""
    attributes = table.attributes[row]
    yield table.name[row]
    method = attributes.get("http.request.method", attributes.get("http.method"))
    for key in ("http.route", "url.path", "http.target"):
        if key in attributes:
            yield f"{method} {attributes[key]}" if method else str(attributes[key])
    if "rpc.method" in attributes:
        yield f"{attributes.get('rpc.service', '')}/{attributes['rpc.method']}".lstrip("/")
    if "process.command_line" in attributes:
        yield str(attributes["process.command_line"])
    if isinstance(arguments := attributes.get("process.command_args"), list | tuple):
        yield " ".join(map(str, arguments))


class Evidence:
    """The words of the spans of a trace, ready to be asked for.

    Parameters
    ----------
    table : SpanTable
    rows : iterable of int
        The spans that count.
    """

    def __init__(self, table: SpanTable, rows: Iterable[int]) -> None:
        # A statement is a span by itself, or a span with one of its events.
        self._said: dict[str, set[int]] = {}
        self._row: list[int] = []
        for row in rows:
            own = set(_words(table.name[row])) | {normalised(table.resource[row].service)}
            own |= set(_values(table.attributes[row].values()))
            self._state(row, own)
            for event in table.events[row]:
                self._state(row, own | set(_words(event.name)) | set(_values(event.attributes.values())))

    def _state(self, row: int, words: Iterable[str]) -> None:
        number = len(self._row)
        self._row.append(row)
        for word in words:
            self._said.setdefault(word, set()).add(number)

    def rows_saying(self, terms: Iterable[str]) -> list[int]:
        """Spans that say all `terms`, in row order."""
        found: set[int] | None = None
        for term in terms:
            numbers = self._said.get(normalised(term), set())
            found = set(numbers) if found is None else found & numbers
        return sorted({self._row[number] for number in found or ()})


def _words(name: str) -> Iterator[str]:
    yield normalised(name)
    yield from (normalised(part) for part in _BETWEEN.split(name) if part)


def _values(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        for each in value if isinstance(value, list | tuple) else (value,):
            if isinstance(each, str) and len(each) <= _LONGEST:
                yield normalised(each)

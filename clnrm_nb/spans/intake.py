"""Where decoders put what they read: columns to fill, equal things shared, refused things counted.

Every decoder (OTLP protobuf, OTLP JSON, flat spans, console output) writes rows into the table of an
:class:`Intake` and reports what it could not take. A :class:`Shared` store outlives single intakes, so that
equal resources, scopes, keys and short values of a whole run are one object each: that, and no object a
span, is what keeps 100,000 spans cheap.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.spans.model import STATUS_CODES, Resource, Scope
from clnrm_nb.spans.table import SpanTable

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MAX_BLOCKS", "MAX_NESTING", "SHARED_LENGTH", "SHARED_LIMIT", "Intake", "Shared", "status_of"]

MAX_NESTING: Final = 64
"""Levels of arrays and tables in one attribute value; protobuf's own limit of 100 messages allows 49."""

MAX_BLOCKS: Final = 20_000
"""Resources and scopes in one request; batches of collectors have up to 8192 spans."""

SHARED_LIMIT: Final = 50_000
"""Distinct short values remembered before the store starts over: some 6 MB."""

_SHARED_BYTES: Final = 32 * 1024 * 1024
"""Of documents read before the store starts over: it may hold names and resources of any length."""

SHARED_LENGTH: Final = 64
"""Longer strings are rarely repeated and cost a hash each."""

_MAX_PLACES: Final = 20
"""Of refused records."""

_STATUS_WORDS: Final = {word: number for number, word in enumerate(STATUS_CODES)} | {
    f"status_code_{word}": number for number, word in enumerate(STATUS_CODES)
}


def status_of(attributes: Mapping[str, Any]) -> int:
    """Status of a span that carries none: ``otel.status_code``, else ``status`` if it is a word for one."""
    if "status" not in attributes and "otel.status_code" not in attributes:
        return 0
    for key in ("otel.status_code", "status"):
        value = attributes.get(key)
        if isinstance(value, str) and (code := _STATUS_WORDS.get(value.lower())) is not None:
            return code
    return 0


class Shared:
    """One object for equal content, across requests and documents."""

    __slots__ = ("_n_bytes", "_resources", "_scopes", "pairs", "values")

    def __init__(self) -> None:
        self._n_bytes = 0
        self.values: dict[str, str] = {}
        self.pairs: dict[bytes, tuple[str, Any]] = {}
        """Attributes by their protobuf messages."""
        self._resources: dict[str, Resource] = {}
        self._scopes: dict[tuple[str, str, str], Scope] = {}

    def note(self, n_bytes: int) -> None:
        """Count the bytes of a document that is about to be read."""
        self._n_bytes += n_bytes

    def trim(self) -> None:
        """Start over when full; called between documents."""
        is_full = self._n_bytes > _SHARED_BYTES
        for store in (self.values, self.pairs, self._resources, self._scopes):
            if is_full or len(store) > SHARED_LIMIT:
                store.clear()
        if is_full:
            self._n_bytes = 0

    def resource(self, attributes: dict[str, Any]) -> Resource:
        """The one resource of this content; the order of attributes has no meaning."""
        # repr tells 1 from True and 1.0, which compare equal as dictionary keys.
        key = repr(sorted(attributes.items(), key=_first))
        known = self._resources.get(key)
        if known is None:
            known = self._resources[key] = Resource(attributes)
        return known

    def scope(self, name: str, version: str, schema_url: str = "") -> Scope:
        """The one scope of this name, version and schema."""
        key = (name, version, schema_url)
        known = self._scopes.get(key)
        if known is None:
            known = self._scopes[key] = Scope(*key)
        return known


def _first(item: tuple[str, Any]) -> str:
    return item[0]


@dataclass(slots=True)
class Intake:
    """What one request, document or file gave.

    Parameters
    ----------
    shared : Shared
        Equal content is taken from here.
    table : SpanTable
        Rows in the order they were read.
    refused : Counter
        Span-like records that were not taken, by reason.
    dropped : int
        Sum of the dropped counters (attributes, events, links) the sources themselves report.
    other_signals : Counter
        Metrics and log documents met on the way, by name.
    repeated_keys : int
        Attributes given twice in one list (the last one counts).
    restored_ids : int
        Ids that had once been decoded wrongly (hex taken for base64) and were set right.
    refused_at : list of (str, int)
        Reason and number, counted from 1 in the order of reading, of the first records refused.
    pieces : dict of int to bool
        Rows that may be pieces of one span, and whether they share its id with its caller (Zipkin);
        empty once :func:`clnrm_nb.spans.loaders.pieces.settle` has made spans of them.
    joined, told_apart : int
        Pieces that were joined, and pairs of spans that shared an id.
    """

    shared: Shared = field(default_factory=Shared)
    table: SpanTable = field(default_factory=SpanTable)
    refused: Counter[str] = field(default_factory=Counter)
    dropped: int = 0
    other_signals: Counter[str] = field(default_factory=Counter)
    repeated_keys: int = 0
    restored_ids: int = 0
    refused_at: list[tuple[str, int]] = field(default_factory=list)
    pieces: dict[int, bool] = field(default_factory=dict)
    joined: int = 0
    told_apart: int = 0

    def absorb(self, other: Intake) -> None:
        """Add what another one of the same store has."""
        before = len(self.table) + self.n_refused
        self.refused_at += [(reason, before + number) for reason, number in other.refused_at]
        self.table.extend(other.table)
        self.refused += other.refused
        self.dropped += other.dropped
        self.repeated_keys += other.repeated_keys

    def refuse(self, reason: str, *, n_before: int = 0) -> None:
        """Count a record that is not taken; `n_before` are read that are no rows yet."""
        self.refused[reason] += 1
        if len(self.refused_at) < _MAX_PLACES:
            self.refused_at.append((reason, len(self.table.span_id) + n_before + self.refused.total()))

    @property
    def n_refused(self) -> int:
        """All refused records."""
        return self.refused.total()

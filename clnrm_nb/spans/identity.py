"""A span counts once: repeats, both ways of arrival, and which parents are still missing.

Identity is (trace, span). An equal repeat is dropped; of two versions the later end wins, then the greater
canonical bytes, so that the order of arrival never matters. A printed span says less than an exported one
(no scope, coarser times): where both come, the exported one stays, and that is no conflict.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clnrm_nb.spans.content import row_bytes
from clnrm_nb.spans.model import KINDS

if TYPE_CHECKING:
    from clnrm_nb.spans.table import SpanTable

__all__ = ["Identities"]


class Identities:
    """Who is who in one growing table.

    Parameters
    ----------
    table : SpanTable
        Empty; all rows must come in through :meth:`add`.
    """

    __slots__ = ("_injected", "_missing", "_printed", "_rows", "_table", "_twins", "conflicts", "n_repeats")

    def __init__(self, table: SpanTable) -> None:
        self._table = table
        # By span id alone, which is all but unique and costs no key of its own; the rest goes to _twins.
        self._rows: dict[str, int] = {}
        self._twins: dict[tuple[str, str], int] = {}
        self._injected: set[str] = set()
        self._missing: set[str] = set()
        self._printed: set[int] = set()
        self.conflicts: list[tuple[str, str]] = []
        """What is kept and what is given up of each repeat with other content; differs if the labels do."""
        self.n_repeats = 0
        """Repeats with equal content."""

    def inject(self, span_id: str) -> None:
        """A parent that counts as known although no span of that id may ever come."""
        self._injected.add(span_id)
        self._missing.discard(span_id)

    @property
    def has_unresolved(self) -> bool:
        """Whether the parent of some span is not known yet."""
        return bool(self._missing)

    def count_orphans(self) -> int:
        """Spans whose parent never came."""
        missing = self._missing
        return sum(parent in missing for parent in self._table.parent_span_id) if missing else 0

    def add(self, spans: SpanTable, *, printed: bool = False) -> list[int | None]:
        """Put spans into the table, each once.

        Parameters
        ----------
        spans : SpanTable
            Owners decided.
        printed : bool
            They were printed, not exported.

        Returns
        -------
        list of (int or None)
            The row each span was given, ``None`` for those that were there already.
        """
        size = len(self._table)
        rows: list[int | None] = []
        new: list[int] = []
        # Repeats within the batch itself are settled after its first ones have become rows.
        later: list[tuple[int, int]] = []
        for index, span_id in enumerate(spans.span_id):
            row = size + len(new)
            # Rows of this very batch are not in the table yet; their trace ids are looked up in it.
            known = self._rows.setdefault(span_id, row)
            if known != row:
                trace_id = spans.trace_id[index]
                held = self._table.trace_id[known] if known < size else spans.trace_id[new[known - size]]
                if held != trace_id:
                    known = self._twins.setdefault((trace_id, span_id), row)
            if known == row:
                new.append(index)
                rows.append(row)
            else:
                later.append((known, index))
                rows.append(None)
        self._table.extend(spans if len(new) == len(spans) else spans.select(new))
        if printed:
            self._printed.update(range(size, size + len(new)))
        for row, index in later:
            self._settle(row, spans, index, printed=printed)
        self._note_parents(spans)
        return rows

    def _note_parents(self, spans: SpanTable) -> None:
        missing, rows, injected = self._missing, self._rows, self._injected
        if missing:
            missing.difference_update(spans.span_id)
        for parent in spans.parent_span_id:
            if parent is not None and parent not in rows and parent not in injected:
                missing.add(parent)

    def _settle(self, row: int, spans: SpanTable, index: int, *, printed: bool) -> None:
        """Decide between a row and another version of the same span."""
        table = self._table
        if printed != (row in self._printed):
            if not printed:
                table.replace(row, spans, index)
                self._printed.discard(row)
            return
        mine, theirs = row_bytes(table, row), row_bytes(spans, index)
        if mine == theirs:
            self.n_repeats += 1
            return
        ends = (table.end_ns[row] or 0, mine), (spans.end_ns[index] or 0, theirs)
        names = _names(table, row, spans, index)
        if ends[1] > ends[0]:
            table.replace(row, spans, index)
            names = names[::-1]
        self.conflicts.append(names)


def _names(table: SpanTable, row: int, spans: SpanTable, index: int) -> tuple[str, str]:
    """The names of two versions of a span; the whole labels where only these tell two spans apart."""
    mine, theirs = _label(table, row), _label(spans, index)
    if mine == theirs or mine[0] != theirs[0]:
        return mine[0], theirs[0]
    return " ".join(filter(None, mine)), " ".join(filter(None, theirs))


def _label(table: SpanTable, row: int) -> tuple[str, str, str, str]:
    return (
        table.name[row],
        table.resource[row].service,
        table.scope[row].name,
        KINDS[table.kind[row]],
    )

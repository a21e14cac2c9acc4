"""Ids in baseline files are names: made from the position of a span once, and kept as long as it lives.

A new version is matched with the one before, and every span that is still there keeps its id, so that in
version control one changed attribute is one changed line. A wrong match costs a noisier comparison of two
files and nothing else: no digest depends on names. (What *changed* is decided in :mod:`clnrm_nb.diff`.)
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.spans.content import canonical_json
from clnrm_nb.spans.model import KINDS
from clnrm_nb.spans.topology import children_of, parents_first, tree_parents
from clnrm_nb.spans.volatile import keep

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from clnrm_nb.spans.table import SpanTable

__all__ = ["give_names", "label_of"]

_MAX_CLOSEST: Final = 32
"""Siblings of one label up to which all pairs are weighed; larger groups pair in order."""


def label_of(table: SpanTable, row: int) -> tuple[str, str, str, str]:
    """What a span is called: name, kind, scope, service."""
    return table.name[row], KINDS[table.kind[row]], table.scope[row].name, table.resource[row].service


def give_names(table: SpanTable, before: SpanTable | None = None) -> None:
    """Set all ids of a table.

    Parameters
    ----------
    table : SpanTable
        Of a canonical form (:func:`~clnrm_nb.baseline.forms.table_of`); changed in place.
    before : SpanTable, optional
        The version whose names are kept, as read from its file.
    """
    interned: dict[Hashable, int] = {}
    new = _Side(table, interned)
    old = _Side(before, interned) if before is not None else None
    kept = _match(new, old) if old is not None else {}
    names = _span_names(new, {row: before.span_id[kept[row]] for row in kept} if before is not None else {})
    traces = _trace_names(new, names, {row: before.trace_id[kept[row]] for row in kept} if before else {})
    for row, parent in enumerate(new.parents):
        table.span_id[row] = names[row]
        table.trace_id[row] = traces[row]
        table.parent_span_id[row] = None if parent is None else names[parent]


class _Side:
    """A forest of spans with the numbers by which two sides are matched."""

    def __init__(self, table: SpanTable, interned: dict[Hashable, int]) -> None:
        self.table = table
        self.parents, _ = tree_parents(table)
        self.children = children_of(self.parents)
        self.roots = [row for row, parent in enumerate(self.parents) if parent is None]
        self.order = parents_first(self.parents)
        self.rest = [_number(interned, ("content", _content(table, row))) for row in range(len(table))]
        self.content = [
            _number(interned, ("content", rest, label_of(table, row))) for row, rest in enumerate(self.rest)
        ]
        self.full = [0] * len(table)
        for row in reversed(self.order):
            below = sorted(self.full[child] for child in self.children[row])
            self.full[row] = _number(interned, ("full", self.content[row], *below))

    def below(self, row: int) -> tuple[int, ...]:
        return tuple(sorted(self.full[child] for child in self.children[row]))


def _number(interned: dict[Hashable, int], key: Hashable) -> int:
    return interned.setdefault(key, len(interned))


def _content(table: SpanTable, row: int) -> str:
    """What a span says beside its label; links as the positions they point at."""
    return canonical_json(
        [
            table.attributes[row],
            table.status_code[row],
            table.status_message[row],
            [[event.name, event.attributes] for event in table.events[row]],
            [[link.span_id, link.attributes] for link in table.links[row]],
            keep("resource", table.resource[row].attributes),
        ]
    )


# ----------------------------------------------------------------------------------------------- matching


def _match(new: _Side, old: _Side) -> dict[int, int]:
    pairs = _Pairs(new, old)
    pairs.siblings(new.roots, old.roots)
    for row in new.order:
        if row not in pairs.old_of:
            pairs.moved(row)
    return pairs.old_of


class _Pairs:
    """Rows of the new side with their rows of the old one, from the top down, then subtrees that moved."""

    def __init__(self, new: _Side, old: _Side) -> None:
        self.new = new
        self.old = old
        self.old_of: dict[int, int] = {}
        self._taken: set[int] = set()
        self._by_full: dict[int, list[int]] = defaultdict(list)
        for row in reversed(old.order):
            self._by_full[old.full[row]].append(row)

    def siblings(self, new_rows: Sequence[int], old_rows: Sequence[int]) -> None:
        """Pair two lists of siblings and everything below the pairs."""
        todo = [(list(new_rows), list(old_rows))]
        while todo:
            left_new, left_old = todo.pop()
            for new_row, old_row in self._pair(left_new, left_old):
                self.old_of[new_row] = old_row
                self._taken.add(old_row)
                todo.append((self.new.children[new_row], self.old.children[old_row]))

    def moved(self, row: int) -> None:
        """Find a whole subtree elsewhere."""
        candidates = self._by_full.get(self.new.full[row], [])
        while candidates:
            found = candidates.pop()
            if found not in self._taken:
                self.siblings([row], [found])
                return

    def _pair(self, new_rows: list[int], old_rows: list[int]) -> list[tuple[int, int]]:
        """Pairs among siblings: equal subtrees first, then ever less alike; a rename last."""
        left_new = [row for row in new_rows if row not in self.old_of]
        left_old = [row for row in old_rows if row not in self._taken]
        pairs: list[tuple[int, int]] = []
        keys: tuple[Callable[[_Side, int], Any], ...] = (
            lambda side, row: side.full[row],
            lambda side, row: side.content[row],
            lambda side, row: (label_of(side.table, row), side.below(row)) if side.children[row] else None,
            lambda side, row: label_of(side.table, row),
            lambda side, row: side.below(row) or None,
            lambda side, row: side.rest[row],
        )
        for key in keys:
            if not left_new or not left_old:
                break
            pairs += self._by_key(left_new, left_old, key)
        return pairs

    def _by_key(
        self, left_new: list[int], left_old: list[int], key: Callable[[_Side, int], Any]
    ) -> list[tuple[int, int]]:
        groups: dict[Any, tuple[list[int], list[int]]] = {}
        for index, (side, rows) in enumerate(((self.new, left_new), (self.old, left_old))):
            for row in rows:
                if (value := key(side, row)) is not None:
                    groups.setdefault(value, ([], []))[index].append(row)
        pairs = [pair for mine, theirs in groups.values() for pair in self._closest(mine, theirs)]
        paired = {new_row for new_row, _ in pairs}, {old_row for _, old_row in pairs}
        left_new[:] = [row for row in left_new if row not in paired[0]]
        left_old[:] = [row for row in left_old if row not in paired[1]]
        return pairs

    def _closest(self, mine: list[int], theirs: list[int]) -> list[tuple[int, int]]:
        if len(mine) * len(theirs) <= 1 or max(len(mine), len(theirs)) > _MAX_CLOSEST:
            return list(zip(mine, theirs, strict=False))
        if len({self.new.full[row] for row in mine} | {self.old.full[row] for row in theirs}) == 1:
            return list(zip(mine, theirs, strict=False))
        weighed = sorted(
            (-self._likeness(new_row, old_row), i, j, new_row, old_row)
            for i, new_row in enumerate(mine)
            for j, old_row in enumerate(theirs)
        )
        pairs: dict[int, int] = {}
        taken: set[int] = set()
        for _, _, _, new_row, old_row in weighed:
            if new_row not in pairs and old_row not in taken:
                pairs[new_row] = old_row
                taken.add(old_row)
        return list(pairs.items())

    def _likeness(self, new_row: int, old_row: int) -> int:
        mine, theirs = self.new.table.attributes[new_row], self.old.table.attributes[old_row]
        same = sum(key in theirs and canonical_json(theirs[key]) == canonical_json(mine[key]) for key in mine)
        below = set(self.new.below(new_row)) & set(self.old.below(old_row))
        return 2 * same + 3 * len(below) + (self.new.rest[new_row] == self.old.rest[old_row])


# ----------------------------------------------------------------------------------------------- new names


def _span_names(side: _Side, kept: dict[int, str]) -> list[str]:
    names = [""] * len(side.parents)
    used: set[str] = set()
    for row in side.order:
        own = kept.get(row)
        if own is not None and own not in used:
            names[row] = own
            used.add(own)
    ordinals: dict[tuple[str, ...], int] = {}
    for row in side.order:
        if names[row]:
            continue
        parent = side.parents[row]
        position = ("" if parent is None else names[parent], *label_of(side.table, row))
        # Counted on from the last sibling of that name: thousands of them are not unheard of.
        ordinal = ordinals.get(position, 0)
        while (name := _digits([*position, ordinal], 16)) in used:
            ordinal += 1
        ordinals[position] = ordinal + 1
        names[row] = name
        used.add(name)
    return names


def _trace_names(side: _Side, names: Sequence[str], kept: dict[int, str]) -> list[str]:
    """One id a tree: that of its first span that had one which no other tree has taken."""
    wanted: dict[int, list[str]] = {}
    root_of = list(range(len(side.parents)))
    for row in side.order:
        parent = side.parents[row]
        root_of[row] = row if parent is None else root_of[parent]
        if row in kept:
            wanted.setdefault(root_of[row], []).append(kept[row])
    chosen: dict[int, str] = {}
    used: set[str] = set()
    for root in side.roots:
        free = (name for name in wanted.get(root, ()) if name not in used)
        chosen[root] = next(free, "") or _digits(["trace", names[root]], 32)
        used.add(chosen[root])
    return [chosen[root_of[row]] for row in range(len(names))]


def _digits(parts: Sequence[object], count: int) -> str:
    return hashlib.sha256(canonical_json(list(parts)).encode()).hexdigest()[:count]

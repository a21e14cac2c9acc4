"""Apply edits to a canonical form: how a baseline is patched, and how every diff proves itself.

All chosen edits are applied together, whatever order they come in: contents first, then what is created, then
parents, then what goes. Links to spans that were renamed or moved are written anew. A proof looks only at
what edits touch and at what stands above it: all other subtrees keep their numbers.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from clnrm_nb.diff.document import document_of, from_canonical, part_text, parts_of
from clnrm_nb.diff.interner import Interner
from clnrm_nb.diff.links import followed
from clnrm_nb.diff.model import Patch
from clnrm_nb.diff.side import build
from clnrm_nb.errors import InternalError, UsageError
from clnrm_nb.spans.content import canonical_json
from clnrm_nb.spans.topology import children_of, parents_first

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from clnrm_nb.diff.model import Edit
    from clnrm_nb.diff.side import Side

__all__ = ["apply", "certify", "patched"]

_LABEL: Final = frozenset({"kind", "name", "resource", "scope"})
_TOP: Final = -1
"""The parent of roots."""


def apply(edits: Iterable[Edit], canonical: Mapping[str, Any]) -> dict[str, Any]:
    """A canonical form with some of the edits of a diff applied to it.

    Parameters
    ----------
    edits : iterable of Edit
        Of a diff whose baseline this is, with all they require (:meth:`~clnrm_nb.diff.model.Diff.closure`).
    canonical : mapping
        The baseline in canonical form; not changed.

    Returns
    -------
    dict
        A canonical form again.

    Raises
    ------
    UsageError
        An edit needs another one that was not chosen.
    """
    return document_of(patched(from_canonical(canonical, Interner()), tuple(edits)))


def certify(baseline: Side, current: Side, edits: Sequence[Edit]) -> None:
    """Prove a diff: the edits, applied to the baseline, give the current side.

    Raises
    ------
    InternalError
        CLN901; a bug, never a verdict.
    """
    is_proved = baseline.roots == current.roots if not edits else _proves(baseline, current, edits)
    if not is_proved:
        result = patched(baseline, edits)
        message = (
            f"the diff does not prove itself: applying its {len(edits)} edits to {baseline.digest} gives "
            f"{result.digest}, not {current.digest}"
        )
        raise InternalError(message, hint="This is a bug of clnrm_nb; please report it with both traces.")


def patched(side: Side, edits: Sequence[Edit]) -> Side:
    """A side with edits applied, in the same interner; may raise as :func:`apply`."""
    forest = _Patching(side, edits).forest()
    n = len(forest.owns)
    try:
        return build(side.interner, forest.parents, forest.owns, range(n), [None] * n)
    except IndexError:
        raise UsageError(
            "the chosen edits would put a span below itself; choose those they belong with too"
        ) from None


def _proves(baseline: Side, current: Side, edits: Sequence[Edit]) -> bool:
    """Whether the patched forest is the current one; only touched subtrees get their numbers anew."""
    forest = _Patching(baseline, edits).forest()
    interner, parents = baseline.interner, forest.parents
    below = children_of(parents)
    roots = [spot for spot, parent in enumerate(parents) if parent is None]
    downwards = roots[:]
    for spot in downwards:  # Grows while it is walked.
        downwards.extend(below[spot])
    if len(downwards) != len(parents):
        return False
    above: set[int] = set()
    for touched in forest.touched:
        step: int | None = touched
        while step is not None and step not in above:
            above.add(step)
            step = parents[step]
    fulls = forest.fulls
    for spot in reversed(downwards):
        if spot in above:
            mine = interner.sorted([fulls[child] for child in below[spot]])
            fulls[spot] = interner.full(forest.owns[spot], mine)
    return sorted(fulls[root] for root in roots) == sorted(current.roots)


class _Forest(NamedTuple):
    """Spans in no order: parents, contents, and what is known of their subtrees.

    ``fulls`` holds for spans that are neither in ``touched`` nor above one of them.
    """

    parents: list[int | None]
    owns: list[int]
    fulls: list[int]
    touched: set[int]


class _Patching:
    """Spans by handle: numbers of the side, then those of the grafts."""

    def __init__(self, side: Side, edits: Sequence[Edit]) -> None:
        self._side = side
        self._edits = [edit for edit in edits if edit.patch != Patch()]
        self._stood = [parent if parent != side.n else _TOP for parent in side.parent[:-1]]
        self._parent = self._stood[:]
        self._own = side.own[:-1]
        self._grafted: dict[int, int] = {}

    def forest(self) -> _Forest:
        """What the edits make of the side."""
        new_links: list[tuple[int, str]] = []
        for edit in self._edits:
            self._set_contents(edit.patch)
            new_links.extend(
                (node, text)
                for where, text in edit.patch.put
                if where == "links"
                for node in edit.patch.nodes
            )
        self._graft()
        self._set_parents()
        gone = self._remove()
        handles = [handle for handle in range(len(self._own)) if handle not in gone]
        place: dict[int, int | None] = {handle: number for number, handle in enumerate(handles)}
        place[_TOP] = None
        parents = self._placed(place, handles)
        if self._side.linked and self._moves_targets():
            self._relink(handles, parents)
        for handle, text in new_links:
            self._change(handle, "links", _Put(text))
        return _Forest(
            parents,
            [self._own[handle] for handle in handles],
            [self._side.full[handle] if handle < self._side.n else -1 for handle in handles],
            {number for number in map(place.get, self._touched()) if number is not None},
        )

    def _touched(self) -> set[int]:
        """Handles whose content or children are no longer what they were."""
        n = self._side.n
        found = set(range(n, len(self._own)))
        found.update(handle for handle in range(n) if self._own[handle] != self._side.own[handle])
        for handle, parent in enumerate(self._parent):
            if handle >= n or parent != self._stood[handle]:
                found.add(parent)
                found.add(self._stood[handle] if handle < n else parent)
        found.update(self._stood[node] for edit in self._edits for node in edit.patch.removed)
        return found

    def _moves_targets(self) -> bool:
        """Whether any edit changes labels or the tree."""
        return any(
            edit.patch.grafts
            or edit.patch.parents
            or edit.patch.removed
            or any(place[0] in _LABEL for place, _ in edit.patch.sets)
            for edit in self._edits
        )

    def _placed(self, place: Mapping[int, int | None], handles: Sequence[int]) -> list[int | None]:
        try:
            return [place[self._parent[handle]] for handle in handles]
        except KeyError:
            raise UsageError(
                "a chosen edit deletes the parent of a span that another edit moves away",
                hint="Choose the edits it requires with it.",
            ) from None

    def _change(self, handle: int, name: str, change: _Change) -> None:
        """Put what `change` makes of one part of a span's content in its place."""
        interner = self._side.interner
        parts = interner.parts[self._own[handle]]
        text = part_text(name, change(json.loads(getattr(parts, name))))
        self._own[handle] = interner.own(parts._replace(**{name: text}))

    def _set_contents(self, patch: Patch) -> None:
        changes: list[tuple[str, _Change]] = [
            (place[0], _Set(place[1:], value)) for place, value in patch.sets
        ]
        if patch.rekey:
            changes.append(("attributes", _Rekeyed(*patch.rekey)))
        changes.extend((where, _Taken(text)) for where, text in patch.take)
        changes.extend((where, _Put(text)) for where, text in patch.put if where != "links")
        # The same changes of the same text give the same text, which for a resource is most of the work.
        made: dict[tuple[int, str], str] = {}
        interner = self._side.interner
        for node in patch.nodes:
            parts = interner.parts[self._own[node]]
            for number, (name, change) in enumerate(changes):
                text = getattr(parts, name)
                if (number, text) not in made:
                    made[number, text] = part_text(name, change(json.loads(text)))
                parts = parts._replace(**{name: made[number, text]})
            self._own[node] = interner.own(parts)

    def _graft(self) -> None:
        grafts = [graft for edit in self._edits for graft in edit.patch.grafts]
        for graft in grafts:
            self._grafted[graft.number] = len(self._own)
            self._own.append(self._side.interner.own(parts_of(graft.content)))
            self._parent.append(_TOP)
        for graft in grafts:
            self._parent[self._grafted[graft.number]] = self._handle(graft.parent)

    def _handle(self, name: tuple[str, int] | None) -> int:
        if name is None:
            return _TOP
        side, number = name
        if side == "baseline":
            return number
        if number not in self._grafted:
            raise UsageError(
                "a chosen edit puts a span below one that another edit creates",
                hint="Choose the edits it requires with it.",
            )
        return self._grafted[number]

    def _set_parents(self) -> None:
        # Of spans that came between, one inside the other, the inner one is the parent.
        wraps = sorted(
            (edit for edit in self._edits if edit.patch.parents and edit.patch.grafts),
            key=lambda edit: edit.patch.grafts[0].number,
        )
        moves = [edit for edit in self._edits if edit.patch.parents and not edit.patch.grafts]
        for edit in (*wraps, *moves):
            for node, parent in edit.patch.parents:
                self._parent[node] = self._handle(parent)

    def _remove(self) -> set[int]:
        lifted = {node for edit in self._edits if edit.patch.lifted for node in edit.patch.removed}
        if lifted:
            for handle, parent in enumerate(self._parent):
                above = parent
                while above in lifted:
                    above = self._parent[above]
                self._parent[handle] = above
        return lifted.union(*(edit.patch.removed for edit in self._edits))

    def _relink(self, handles: Sequence[int], parents: Sequence[int | None]) -> None:
        side = self._side
        labels = [side.interner.label(self._own[handle]) for handle in handles]
        above = [len(parents) if parent is None else parent for parent in parents]
        before, after = side.positions, side.interner.positions.of(above, labels, parents_first(parents))
        stayed = [
            (before[handle], position)
            for handle, position in zip(handles, after, strict=True)
            if handle < side.n
        ]
        translation = followed(stayed, before, after, side.interner.positions)
        if not translation:
            return
        staying = set(handles)
        for handle in side.linked:
            if handle in staying:
                self._change(handle, "links", lambda links: [translation.of(link) for link in links])


_Change = Callable[[Any], Any]
"""What an edit makes of one part of a span's content."""


@dataclass(frozen=True, slots=True)
class _Set:
    """Put a value at a place inside a part, or take it away."""

    place: tuple[str, ...]
    value: Any

    def __call__(self, content: Any) -> Any:
        if not self.place:
            return self.value
        holder = content
        for key in self.place[:-1]:
            holder = holder[key]
        if self.value is Patch.GONE:
            holder.pop(self.place[-1], None)
        else:
            holder[self.place[-1]] = self.value
        return content


@dataclass(frozen=True, slots=True)
class _Rekeyed:
    """Give an attribute another key."""

    old: str
    new: str

    def __call__(self, content: dict[str, Any]) -> dict[str, Any]:
        if self.old in content:
            content[self.new] = content.pop(self.old)
        return content


@dataclass(frozen=True, slots=True)
class _Taken:
    """Take out the first item that reads so."""

    text: str

    def __call__(self, items: list[Any]) -> list[Any]:
        texts = [canonical_json(item) for item in items]
        if self.text not in texts:
            return items
        place = texts.index(self.text)
        return items[:place] + items[place + 1 :]


@dataclass(frozen=True, slots=True)
class _Put:
    """Add an item."""

    text: str

    def __call__(self, items: list[Any]) -> list[Any]:
        return [*items, json.loads(self.text)]

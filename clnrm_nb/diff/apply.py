"""Apply edits to a canonical form: how a baseline is patched, and how every diff proves itself.

All chosen edits are applied together, whatever order they come in: contents first, then what is created, then
parents, then what goes. Links to spans that were renamed or moved are written anew.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.diff.interner import Interner, Parts
from clnrm_nb.diff.links import followed, has_links, position_labels, positions_of
from clnrm_nb.diff.model import Patch
from clnrm_nb.diff.side import build, content_of, document_of, from_canonical, parts_of, position_texts
from clnrm_nb.errors import InternalError, UsageError
from clnrm_nb.spans.content import canonical_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from clnrm_nb.diff.model import Edit
    from clnrm_nb.diff.side import Side

__all__ = ["apply", "certify", "patched"]


_LABEL: Final = frozenset({"kind", "name", "resource", "scope"})


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
    result = patched(baseline, edits) if edits else baseline
    if _roots(result) != _roots(current):
        message = (
            f"the diff does not prove itself: applying its {len(edits)} edits to {baseline.digest} gives "
            f"{result.digest}, not {current.digest}"
        )
        raise InternalError(message, hint="This is a bug of clnrm_nb; please report it with both traces.")


def _roots(side: Side) -> list[int]:
    return [side.full[root] for root in side.children[side.n]]


def patched(side: Side, edits: Sequence[Edit]) -> Side:
    """A side with edits applied, in the same interner; may raise as :func:`apply`."""
    return _Patching(side, [edit for edit in edits if edit.patch != Patch()]).result()


class _Patching:
    """Spans by handle: numbers of the side, then those of the grafts."""

    def __init__(self, side: Side, edits: Sequence[Edit]) -> None:
        self._side = side
        self._edits = edits
        self._parent: list[int] = [parent if parent != side.n else -1 for parent in side.parent[:-1]]
        self._parts: list[Parts] = [side.parts(number) for number in range(side.n)]
        self._grafted: dict[int, int] = {}
        self._new_links: list[tuple[int, str]] = []

    def result(self) -> Side:
        for edit in self._edits:
            self._set_contents(edit.patch)
        before = positions_of(self._side) if self._moves_targets() and has_links(self._side) else None
        self._graft()
        self._set_parents()
        gone = self._remove()
        handles = [handle for handle in range(len(self._parts)) if handle not in gone]
        place = {handle: number for number, handle in enumerate(handles)}
        parents = [self._placed(place, self._parent[handle]) for handle in handles]
        if before is not None:
            self._relink(before, handles, parents)
        for handle, link in self._new_links:
            self._change(handle, links=[*json.loads(self._parts[handle].links), json.loads(link)])
        owns = [self._side.interner.own(self._parts[handle]) for handle in handles]
        ages = [(False, handle, 0, "") for handle in handles]
        try:
            return build(self._side.interner, parents, owns, ages, [None] * len(handles))
        except IndexError:
            raise UsageError(
                "the chosen edits would put a span below itself; choose those they belong with too"
            ) from None

    def _moves_targets(self) -> bool:
        """Whether any edit changes labels or the tree."""
        return any(
            edit.patch.grafts
            or edit.patch.parents
            or edit.patch.removed
            or any(place[0] in _LABEL for place, _ in edit.patch.sets)
            for edit in self._edits
        )

    def _placed(self, place: Mapping[int, int], handle: int) -> int | None:
        if handle == -1:
            return None
        if handle not in place:
            raise UsageError(
                "a chosen edit deletes the parent of a span that another edit moves away",
                hint="Choose the edits it requires with it.",
            )
        return place[handle]

    def _change(self, handle: int, **content: Any) -> None:
        found = content_of(self._parts[handle])
        found.update(content)
        self._parts[handle] = parts_of(found)

    def _set_contents(self, patch: Patch) -> None:
        for node in patch.nodes:
            content = content_of(self._parts[node])
            for place, value in patch.sets:
                holder = content
                for key in place[:-1]:
                    holder = holder[key]
                if value is Patch.GONE:
                    holder.pop(place[-1], None)
                else:
                    holder[place[-1]] = value
            if patch.rekey and patch.rekey[0] in content["attributes"]:
                content["attributes"][patch.rekey[1]] = content["attributes"].pop(patch.rekey[0])
            for where, text in patch.take:
                content[where] = _without(content[where], text)
            for where, text in patch.put:
                if where == "links":
                    self._new_links.append((node, text))
                else:
                    content[where].append(json.loads(text))
            self._parts[node] = parts_of(content)

    def _graft(self) -> None:
        grafts = [graft for edit in self._edits for graft in edit.patch.grafts]
        for graft in grafts:
            self._grafted[graft.number] = len(self._parts)
            self._parts.append(parts_of(graft.content))
            self._parent.append(-1)
        for graft in grafts:
            self._parent[self._grafted[graft.number]] = self._handle(graft.parent)

    def _handle(self, name: tuple[str, int] | None) -> int:
        if name is None:
            return -1
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
        for handle, parent in enumerate(self._parent):
            above = parent
            while above in lifted:
                above = self._parent[above]
            if above != parent:
                self._parent[handle] = above
        return lifted.union(*(edit.patch.removed for edit in self._edits))

    def _relink(self, before: Sequence[str], handles: Sequence[int], parents: Sequence[int | None]) -> None:
        after = position_texts(
            position_labels((self._parts[handle] for handle in handles), self._side.interner), parents
        )
        stayed = [
            (before[handle], text)
            for handle, text in zip(handles, after, strict=True)
            if handle < len(before)
        ]
        translation = followed(stayed, before, after)
        if not translation.targets:
            return
        for handle in handles:
            if handle < len(before) and self._parts[handle].links != "[]":
                links = json.loads(self._parts[handle].links)
                self._change(handle, links=[translation.of(link) for link in links])


def _without(items: list[Any], text: str) -> list[Any]:
    """A list without the first of its items that reads `text`."""
    texts = [canonical_json(item) for item in items]
    if text not in texts:
        return items
    place = texts.index(text)
    return items[:place] + items[place + 1 :]

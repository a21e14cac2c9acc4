"""Edits of structure: what came, went, moved, came between, or is repeated."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.diff.document import content_of
from clnrm_nb.diff.drafts import Draft, because
from clnrm_nb.diff.model import COSTS, Graft, Patch

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from clnrm_nb.diff.drafts import Pairing
    from clnrm_nb.diff.side import Side
    from clnrm_nb.diff.structure import Repeat, Structure, Subtree

__all__ = ["structural"]

_UNPAIRED: Final = "no span of the other side is like it for less than its cost"


def structural(baseline: Side, current: Side, pairing: Pairing, structure: Structure) -> list[Draft]:
    """One draft an item of the structure, with what each requires of the others."""
    return _Structural(baseline, current, pairing).drafts(structure)


class _Structural:
    def __init__(self, baseline: Side, current: Side, pairing: Pairing) -> None:
        self._a, self._b, self._pairing = baseline, current, pairing
        self._grafted: dict[int, Draft] = {}
        self._relocated: dict[int, Draft] = {}
        self._waiting: list[tuple[Draft, int]] = []

    def drafts(self, structure: Structure) -> list[Draft]:
        found = [
            *(self._wrap(spot, structure) for spot in structure.wraps),
            *(self._unwrap(spot) for spot in structure.unwraps),
            *map(self._insert, structure.inserts),
            *map(self._move, structure.moves),
            *map(self._delete, structure.deletes),
            *map(self._count, structure.repeats),
        ]
        places = {id(draft): place for place, draft in enumerate(found)}
        for draft, spot in self._waiting:
            needed = self._grafted.get(spot)
            if needed is not None and needed is not draft:
                draft.requires.add(places[id(needed)])
        for draft in found:
            if draft.op == "delete":
                # What moves out of a deleted subtree moves before it goes.
                for spot in draft.spans:
                    for child in self._a.children[spot]:
                        if child in self._relocated:
                            draft.requires.add(places[id(self._relocated[child])])
        return found

    def _insert(self, subtree: Subtree) -> Draft:
        draft = Draft(
            op="insert",
            at=None,
            at_b=subtree.root,
            cost=COSTS["insert"] + 2 * len(subtree.nodes),
            new=_summary(self._b, subtree.root, subtree.nodes),
            spans_b=subtree.nodes,
            rule="unpaired",
            reason=_UNPAIRED,
        )
        draft.patch = Patch(grafts=self._grafts(draft, subtree.nodes))
        return draft

    def _delete(self, subtree: Subtree) -> Draft:
        return Draft(
            op="delete",
            at=subtree.root,
            at_b=None,
            cost=COSTS["delete"] + 2 * len(subtree.nodes),
            old=_summary(self._a, subtree.root, subtree.nodes),
            spans=subtree.nodes,
            rule="unpaired",
            reason=_UNPAIRED,
            patch=Patch(removed=subtree.nodes),
        )

    def _wrap(self, spot: int, structure: Structure) -> Draft:
        draft = Draft(
            op="wrap",
            at=None,
            at_b=spot,
            cost=COSTS["wrap"],
            new=_summary(self._b, spot, (spot,)),
            spans_b=(spot,),
            rule="between",
        )
        inside = self._b.subtree(spot)
        held = [i for i, j in structure.held if j in inside and self._holds(spot, j)]
        stayed = (
            f"{len(held)} spans that stayed what they were" if len(held) != 1 else "one that stayed as it was"
        )
        draft.reason = f"it came between its parent and {stayed}"
        parents = tuple((i, ("current", spot)) for i in held)
        draft.patch = Patch(grafts=self._grafts(draft, (spot,)), parents=parents)
        return draft

    def _holds(self, spot: int, j: int) -> bool:
        """Whether only spans that came between stand between two spans of the current side."""
        j = self._b.parent[j]
        while j != spot and self._pairing.back[j] < 0:
            j = self._b.parent[j]
        return j == spot

    def _unwrap(self, spot: int) -> Draft:
        return Draft(
            op="unwrap",
            at=spot,
            at_b=None,
            cost=COSTS["unwrap"],
            old=_summary(self._a, spot, (spot,)),
            spans=(spot,),
            rule="between",
            reason="it went, and what it held stayed what it was under its parent",
            patch=Patch(removed=(spot,), lifted=True),
        )

    def _move(self, pair: tuple[int, int]) -> Draft:
        i, j = pair
        above = self._b.parent[j]
        rule = self._pairing.rule[i]
        draft = Draft(
            op="move",
            at=i,
            at_b=j,
            cost=COSTS["move"],
            old=self._a.path(self._a.parent[i]),
            new=self._b.path(above),
            spans=(i,),
            spans_b=(j,),
            rule=rule,
            reason=because(rule),
        )
        draft.patch = Patch(parents=((i, self._handle(draft, above)),))
        self._relocated[i] = draft
        return draft

    def _count(self, repeat: Repeat) -> Draft:
        more = repeat.m > repeat.n
        side = self._b if more else self._a
        nodes = tuple(spot for root in repeat.roots for spot in side.subtree(root))
        full = repeat.roots[0]
        mate = self._sibling(repeat, side.full[full], more=more)
        draft = Draft(
            op="count",
            at=mate if more else full,
            at_b=full if more else mate,
            cost=COSTS["count"] + abs(repeat.m - repeat.n),
            old=repeat.n,
            new=repeat.m,
            spans=() if more else nodes,
            spans_b=nodes if more else (),
            rule="identical siblings",
            reason=f"{repeat.n} identical {'sibling' if repeat.n == 1 else 'siblings'} became {repeat.m}",
        )
        draft.patch = Patch(grafts=self._grafts(draft, nodes)) if more else Patch(removed=nodes)
        return draft

    def _sibling(self, repeat: Repeat, full: int, *, more: bool) -> int:
        """A copy on the other side, for its path; under an alias they differ and any child serves."""
        other, above = (self._a, repeat.parent) if more else (self._b, repeat.parent_b)
        children = other.children[above]
        return next((child for child in children if other.full[child] == full), children[0])

    def _grafts(self, draft: Draft, nodes: Iterable[int]) -> tuple[Graft, ...]:
        grafts = []
        for spot in nodes:
            self._grafted[spot] = draft
            parent = self._handle(draft, self._b.parent[spot])
            grafts.append(Graft(spot, parent, content_of(self._b.parts(spot))))
        return tuple(grafts)

    def _handle(self, draft: Draft, spot: int) -> tuple[str, int] | None:
        if spot == self._b.n:
            return None
        mate = self._pairing.back[spot]
        if mate >= 0:
            return ("baseline", mate)
        self._waiting.append((draft, spot))
        return ("current", spot)


def _summary(side: Side, root: int, nodes: Sequence[int]) -> dict[str, Any]:
    parts = side.parts(root)
    return {
        "name": json.loads(parts.name),
        "service": side.service(root),
        "kind": json.loads(parts.kind),
        "spans": len(nodes),
        "digest": side.digest_of(root, nodes),
    }

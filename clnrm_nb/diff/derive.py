"""From a matching to typed edits: structure first, then what paired spans say, then what whole traces share.

One item a cause of change, not one a span below it: a renamed service is one edit over all its spans, a moved
subtree of any size is one, a retry more is one. Every edit gets the patch that applies it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.diff.links import has_links, translation
from clnrm_nb.diff.model import COSTS, Graft, Patch
from clnrm_nb.diff.side import content_of
from clnrm_nb.diff.structure import structure_of
from clnrm_nb.spans.content import canonical_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from clnrm_nb.diff.aliases import Aliases
    from clnrm_nb.diff.interner import Parts
    from clnrm_nb.diff.links import Translation
    from clnrm_nb.diff.matching import Why
    from clnrm_nb.diff.side import Side
    from clnrm_nb.diff.structure import Repeat, Structure, Subtree
    from clnrm_nb.diff.trees import Tree

__all__ = ["Draft", "Pairing", "derive"]

_Pair = tuple[int, int]

_UNPAIRED: Final = "no span of the other side is like it for less than its cost"


@dataclass(frozen=True, slots=True)
class Pairing:
    """Who is who: partners of the spans of both sides (-1: nobody), and why, by number in the baseline."""

    forth: Sequence[int]
    back: Sequence[int]
    why: dict[int, Why]


@dataclass(slots=True)
class Draft:
    """An edit before it has ids."""

    op: str
    at: int | None
    """Number in the baseline its path is taken from; ``None``: nowhere there."""
    at_b: int | None
    cost: int
    key: str | None = None
    old: Any = None
    new: Any = None
    spans: tuple[int, ...] = ()
    spans_b: tuple[int, ...] = ()
    rule: str = ""
    reason: str = ""
    whole: str | None = None
    """For edits of a whole trace: what stands in place of the paths."""
    requires: set[int] = field(default_factory=set)
    patch: Patch = field(default_factory=Patch)
    counted: bool = True


def derive(
    baseline: Side, current: Side, pairing: Pairing, trees: tuple[Tree, Tree], aliases: Aliases
) -> list[Draft]:
    """The script of a matching."""
    structure = structure_of(pairing.forth, pairing.back, *trees)
    drafts = _Structural(baseline, current, pairing).drafts(structure)
    drafts.extend(_Contents(baseline, current, pairing, aliases).drafts())
    return drafts


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
        draft.reason = f"it came between its parent and {len(held)} spans that stayed what they were"
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
        why = self._pairing.why[i]
        draft = Draft(
            op="move",
            at=i,
            at_b=j,
            cost=COSTS["move"],
            old=self._a.path(self._a.parent[i]),
            new=self._b.path(above),
            spans=(i,),
            spans_b=(j,),
            rule=why.rule,
            reason=_because(why),
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
            reason=f"{repeat.n} identical siblings became {repeat.m}",
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


class _Contents:
    """Edits of what paired spans say."""

    def __init__(self, baseline: Side, current: Side, pairing: Pairing, aliases: Aliases) -> None:
        self._a, self._b, self._pairing, self._aliases = baseline, current, pairing, aliases
        self._found: list[Draft] = []
        self._scopes: dict[tuple[str, str], list[tuple[int, int]]] = {}
        self._resources: dict[tuple[str, str], list[tuple[int, int]]] = {}
        self._keys: dict[tuple[str, str], list[tuple[int, int]]] = {}
        self._links: Translation | None = None
        if has_links(baseline) and baseline.full != current.full:
            self._links = translation(baseline, current, pairing.forth)

    def drafts(self) -> list[Draft]:
        for i in range(self._a.n):
            j = self._pairing.forth[i]
            if j < 0:
                continue
            old, new = self._a.parts(i), self._b.parts(j)
            if old != new:
                self._pair(i, j, old, new)
            # Equal texts may yet mean different spans, if what they name has moved.
            if old.links != new.links or (old.links != "[]" and self._links and self._links.targets):
                self._link_edits(i, j, json.loads(old.links), json.loads(new.links))
        self._shared_resources()
        self._shared_scopes()
        for (old_key, new_key), pairs in self._keys.items():
            self._found.append(
                self._shared(
                    "attr~",
                    pairs,
                    "",
                    key=f"{old_key} → {new_key}",
                    old={"key": old_key},
                    new={"key": new_key},
                    reason="the new key stands wherever the old one stood, with the same values",
                    patch=Patch(nodes=_first(pairs), rekey=(old_key, new_key)),
                )
            )
        return self._found

    def _pair(self, i: int, j: int, old: Parts, new: Parts) -> None:
        if old.name != new.name:
            self._add("rename", (i, j), ("name",), old=json.loads(old.name), new=json.loads(new.name))
        if old.kind != new.kind:
            self._add("kind", (i, j), ("kind",), old=json.loads(old.kind), new=json.loads(new.kind))
        if old.status != new.status:
            before, after = json.loads(old.status), json.loads(new.status)
            self._add("status", (i, j), ("status",), old=before, new=after)
            if before["code"] == after["code"]:
                self._found[-1].cost = COSTS["message"]
        if old.scope != new.scope:
            self._scopes.setdefault((old.scope, new.scope), []).append((i, j))
        if old.resource != new.resource:
            self._resources.setdefault((old.resource, new.resource), []).append((i, j))
        if old.attributes != new.attributes:
            self._attributes(i, j, json.loads(old.attributes), json.loads(new.attributes))
        if old.events != new.events:
            self._events(i, j, json.loads(old.events), json.loads(new.events))

    def _attributes(self, i: int, j: int, old: dict[str, Any], new: dict[str, Any]) -> None:
        for new_key, old_key in self._aliases.keys.items():
            if old_key in old and new_key in new and _equal(old[old_key], new[new_key]):
                self._keys.setdefault((old_key, new_key), []).append((i, j))
                old = {key: value for key, value in old.items() if key != old_key}
                new = {key: value for key, value in new.items() if key != new_key}
        for key in sorted(old.keys() | new.keys()):
            if key not in new:
                self._add("attr-", (i, j), ("attributes", key), old=old[key], new=Patch.GONE)
            elif key not in old:
                self._add("attr+", (i, j), ("attributes", key), old=None, new=new[key])
            elif not _equal(old[key], new[key]):
                self._add("attr~", (i, j), ("attributes", key), old=old[key], new=new[key])

    def _add(self, op: str, pair: _Pair, place: tuple[str, ...], *, old: Any, new: Any) -> None:
        i, j = pair
        why = self._pairing.why[i]
        self._found.append(
            Draft(
                op=op,
                at=i,
                at_b=j,
                cost=COSTS[op],
                key=place[1] if len(place) > 1 else None,
                old=old,
                new=None if new is Patch.GONE else new,
                spans=(i,),
                spans_b=(j,),
                rule=why.rule,
                reason=_because(why),
                patch=Patch(nodes=(i,), sets=((place, new),)),
            )
        )

    def _events(self, i: int, j: int, old: list[Any], new: list[Any]) -> None:
        gone, came = _without_common(old, new)
        by_name: dict[str, list[Any]] = {}
        for event in came:
            by_name.setdefault(event["name"], []).append(event)
        for event in gone:
            later = by_name.get(event["name"])
            if later:
                other = later.pop(0)
                self._item("event~", "events", (i, j), old=event, new=other)
            else:
                self._item("event-", "events", (i, j), old=event, new=None)
        for events in by_name.values():
            for event in events:
                self._item("event+", "events", (i, j), old=None, new=event)

    def _link_edits(self, i: int, j: int, old: list[Any], new: list[Any]) -> None:
        gone, came = _without_common(old, new, self._links)
        for link in gone:
            self._item("link-", "links", (i, j), old=link, new=None)
        for link in came:
            self._item("link+", "links", (i, j), old=None, new=link)

    def _item(self, op: str, place: str, pair: _Pair, *, old: Any, new: Any) -> None:
        i, j = pair
        why = self._pairing.why[i]
        item = old or new
        self._found.append(
            Draft(
                op=op,
                at=i,
                at_b=j,
                cost=COSTS[op],
                key=item["name"] if place == "events" else item["target"],
                old=old and old["attributes"],
                new=new and new["attributes"],
                spans=(i,),
                spans_b=(j,),
                rule=why.rule,
                reason=_because(why),
                patch=Patch(
                    nodes=(i,),
                    take=((place, canonical_json(old)),) if old else (),
                    put=((place, canonical_json(new)),) if new else (),
                ),
            )
        )

    def _shared_scopes(self) -> None:
        for (old, new), pairs in self._scopes.items():
            before, after = json.loads(old), json.loads(new)
            patch = (("scope",), after)
            reason = "all spans of this scope have the new one"
            for group in self._grouped("scope", old, new, pairs):
                self._found.append(
                    self._shared(
                        "scope",
                        group,
                        "",
                        old=before,
                        new=after,
                        reason=reason,
                        patch=Patch(nodes=_first(group), sets=(patch,)),
                    )
                )

    def _shared_resources(self) -> None:
        known = {self._a.parts(i).resource for i in range(self._a.n)} if self._resources else set()
        still = {self._b.parts(j).resource for j in range(self._b.n)} if self._resources else set()
        for (old, new), pairs in self._resources.items():
            before, after = json.loads(old), json.loads(new)
            if (new in known or old in still) and before.get("service.name") != after.get("service.name"):
                self._hops((old, new), pairs, before, after)
                continue
            service = str(before.get("service.name", "unknown_service"))
            for key in sorted(before.keys() | after.keys()):
                if key in before and key in after and _equal(before[key], after[key]):
                    continue
                op = "resource-" if key not in after else "resource+" if key not in before else "resource~"
                value = after.get(key, Patch.GONE)
                self._found.append(
                    self._shared(
                        "service" if key == "service.name" else op,
                        pairs,
                        service,
                        key=key,
                        old=before.get(key),
                        new=after.get(key),
                        reason="one resource, compared once for all its spans",
                        patch=Patch(nodes=_first(pairs), sets=((("resource", key), value),)),
                    )
                )

    def _hops(self, texts: tuple[str, str], pairs: list[_Pair], before: Any, after: Any) -> None:
        """Spans that now belong to another service that was there before."""
        for group in self._grouped("resource", *texts, pairs):
            self._found.append(
                self._shared(
                    "service",
                    group,
                    str(before.get("service.name", "unknown_service")),
                    key="service.name",
                    old=before.get("service.name"),
                    new=after.get("service.name"),
                    reason="the span is another service's now",
                    patch=Patch(nodes=_first(group), sets=((("resource",), after),)),
                )
            )

    def _grouped(self, part: str, old: str, new: str, pairs: list[_Pair]) -> list[list[_Pair]]:
        """One group if all spans that said the one thing now say the other, and no others do."""
        for i, j in self._mates():
            before, after = getattr(self._a.parts(i), part), getattr(self._b.parts(j), part)
            if (before == old) != (after == new):
                return [[pair] for pair in pairs]
        return [pairs]

    def _mates(self) -> Iterable[tuple[int, int]]:
        return ((i, j) for i, j in enumerate(self._pairing.forth[:-1]) if j >= 0)

    def _shared(
        self,
        op: str,
        pairs: list[tuple[int, int]],
        whole: str,
        *,
        old: Any,
        new: Any,
        reason: str,
        patch: Patch,
        key: str | None = None,
    ) -> Draft:
        i, j = pairs[0]
        alone = len(pairs) == 1
        return Draft(
            op=op,
            at=i,
            at_b=j,
            cost=COSTS[op],
            key=key,
            old=old,
            new=new,
            spans=_first(pairs),
            spans_b=tuple(j for _, j in pairs),
            rule=self._pairing.why[i].rule if alone else "shared",
            reason=_because(self._pairing.why[i]) if alone else reason,
            whole=None if alone else whole,
            patch=patch,
        )


def _first(pairs: Iterable[tuple[int, int]]) -> tuple[int, ...]:
    return tuple(i for i, _ in pairs)


def _equal(one: Any, other: Any) -> bool:
    return canonical_json(one) == canonical_json(other)


def _without_common(
    old: list[Any], new: list[Any], translate: Translation | None = None
) -> tuple[list[Any], list[Any]]:
    """Items of one list that the other has not; old ones are compared as they read after the edits."""
    came: dict[str, list[Any]] = {}
    for item in new:
        came.setdefault(canonical_json(item), []).append(item)
    gone = []
    for item in old:
        twins = came.get(canonical_json(translate.of(item) if translate else item))
        if twins:
            twins.pop()
        else:
            gone.append(item)
    return gone, [item for items in came.values() for item in items]


def _because(why: Why) -> str:
    if why.rule in {"equal", "anchor", "moved", "content"}:
        return f"paired as {why.rule}"
    others = f", next best {why.runner_up / 1000:.2f}" if why.runner_up >= 0 else ", no other candidate"
    return f"paired by {why.rule}, score {why.score / 1000:.2f}{others}"


def _summary(side: Side, root: int, nodes: Sequence[int]) -> dict[str, Any]:
    parts = side.parts(root)
    return {
        "name": json.loads(parts.name),
        "service": side.service(root),
        "kind": json.loads(parts.kind),
        "spans": len(nodes),
        "digest": side.digest_of(root, nodes),
    }

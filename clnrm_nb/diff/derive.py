"""From a matching to typed edits: structure first, then what paired spans say, then what whole traces share.

One item a cause of change, not one a span below it: a renamed service is one edit over all its spans, a moved
subtree of any size is one, a retry more is one. Every edit gets the patch that applies it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from clnrm_nb.diff.drafts import Draft, because
from clnrm_nb.diff.links import translation
from clnrm_nb.diff.model import COSTS, Patch
from clnrm_nb.diff.shared import Shared
from clnrm_nb.diff.structural import structural
from clnrm_nb.spans.content import canonical_json

if TYPE_CHECKING:
    from clnrm_nb.diff.aliases import Aliases
    from clnrm_nb.diff.drafts import Pairing
    from clnrm_nb.diff.interner import Parts
    from clnrm_nb.diff.links import Translation
    from clnrm_nb.diff.shared import Pair
    from clnrm_nb.diff.side import Side
    from clnrm_nb.diff.structure import Structure
    from clnrm_nb.diff.trees import Tree

__all__ = ["derive"]


def derive(
    baseline: Side,
    current: Side,
    pairing: Pairing,
    trees: tuple[Tree, Tree],
    *,
    structure: Structure,
    aliases: Aliases,
) -> list[Draft]:
    """The script of a matching, whose structure was read off it."""
    drafts = structural(baseline, current, pairing, structure)
    moved = None
    if baseline.linked and (structure.n_items or aliases or _has_new_labels(pairing, *trees)):
        moved = translation(baseline, current, pairing.forth)
    drafts.extend(_Contents(baseline, current, pairing, aliases, moved).drafts())
    return drafts


def _has_new_labels(pairing: Pairing, a: Tree, b: Tree) -> bool:
    return any(j >= 0 and a.label[i] != b.label[j] for i, j in enumerate(pairing.forth))


class _Contents:
    """Edits of what paired spans say."""

    def __init__(
        self, baseline: Side, current: Side, pairing: Pairing, aliases: Aliases, moved: Translation | None
    ) -> None:
        self._a, self._b, self._pairing, self._aliases = baseline, current, pairing, aliases
        self._links = moved
        self._found: list[Draft] = []
        self._shared = Shared(baseline, current, pairing)

    def drafts(self) -> list[Draft]:
        a, b = self._a, self._b
        # Equal texts may yet mean different spans, if what they name has moved.
        retargeted = set(a.linked) if self._links else set()
        for i, j in enumerate(self._pairing.forth[:-1]):
            if j < 0 or (a.own[i] == b.own[j] and i not in retargeted):
                continue
            old, new = a.parts(i), b.parts(j)
            self._pair((i, j), old, new)
            if old.links != new.links or i in retargeted:
                self._link_edits((i, j), json.loads(old.links), json.loads(new.links))
        return [*self._found, *self._shared.drafts()]

    def _pair(self, pair: Pair, old: Parts, new: Parts) -> None:
        for op in ("name", "kind"):
            before, after = getattr(old, op), getattr(new, op)
            if before != after:
                word = "rename" if op == "name" else op
                self._add(word, pair, (op,), old=json.loads(before), new=json.loads(after))
        if old.status != new.status:
            before, after = json.loads(old.status), json.loads(new.status)
            self._add("status", pair, ("status",), old=before, new=after)
            if before["code"] == after["code"]:
                self._found[-1].cost = COSTS["message"]
        if old.scope != new.scope:
            self._shared.scopes.setdefault((old.scope, new.scope), []).append(pair)
        if old.resource != new.resource:
            self._shared.resources.setdefault((old.resource, new.resource), []).append(pair)
        if old.attributes != new.attributes:
            self._attributes(pair, json.loads(old.attributes), json.loads(new.attributes))
        if old.events != new.events:
            self._events(pair, json.loads(old.events), json.loads(new.events))

    def _attributes(self, pair: Pair, old: dict[str, Any], new: dict[str, Any]) -> None:
        for new_key, old_key in self._aliases.keys.items():
            if old_key in old and new_key in new and _equal(old[old_key], new[new_key]):
                self._shared.keys.setdefault((old_key, new_key), []).append(pair)
                old = {key: value for key, value in old.items() if key != old_key}
                new = {key: value for key, value in new.items() if key != new_key}
        for key in sorted(old.keys() | new.keys()):
            place = ("attributes", key)
            if key not in new:
                self._add("attr-", pair, place, old=old[key], new=Patch.GONE)
            elif key not in old:
                self._add("attr+", pair, place, old=None, new=new[key])
            elif not _equal(old[key], new[key]):
                self._add("attr~", pair, place, old=old[key], new=new[key])

    def _events(self, pair: Pair, old: list[Any], new: list[Any]) -> None:
        gone, came = _without_common(old, new)
        by_name: dict[str, list[Any]] = {}
        for event in came:
            by_name.setdefault(event["name"], []).append(event)
        for event in gone:
            later = by_name.get(event["name"])
            if later:
                self._item("event~", "events", pair, old=event, new=later.pop(0))
            else:
                self._item("event-", "events", pair, old=event, new=None)
        for events in by_name.values():
            for event in events:
                self._item("event+", "events", pair, old=None, new=event)

    def _link_edits(self, pair: Pair, old: list[Any], new: list[Any]) -> None:
        gone, came = _without_common(old, new, self._links)
        for link in gone:
            self._item("link-", "links", pair, old=link, new=None)
        for link in came:
            self._item("link+", "links", pair, old=None, new=link)

    def _add(self, op: str, pair: Pair, place: tuple[str, ...], *, old: Any, new: Any) -> None:
        """A new value at a place inside a span's content."""
        patch = Patch(nodes=pair[:1], sets=((place, new),))
        key = place[1] if len(place) > 1 else None
        self._draft(op, pair, key, old=old, new=None if new is Patch.GONE else new, patch=patch)

    def _item(self, op: str, place: str, pair: Pair, *, old: Any, new: Any) -> None:
        """An event or a link that came, went, or has other attributes."""
        patch = Patch(
            nodes=pair[:1],
            take=((place, canonical_json(old)),) if old else (),
            put=((place, canonical_json(new)),) if new else (),
        )
        key = (old or new)["name" if place == "events" else "target"]
        self._draft(op, pair, key, old=old and old["attributes"], new=new and new["attributes"], patch=patch)

    def _draft(self, op: str, pair: Pair, key: str | None, *, old: Any, new: Any, patch: Patch) -> None:
        i, j = pair
        rule = self._pairing.rule[i]
        self._found.append(
            Draft(
                op=op,
                at=i,
                at_b=j,
                cost=COSTS[op],
                key=key,
                old=old,
                new=new,
                spans=(i,),
                spans_b=(j,),
                rule=rule,
                reason=because(rule),
                patch=patch,
            )
        )


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

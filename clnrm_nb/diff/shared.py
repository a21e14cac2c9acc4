"""Edits of what many spans share: one for a resource, a scope or a key renamed on all its spans."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from clnrm_nb.diff.drafts import Draft, because
from clnrm_nb.diff.model import COSTS, Patch
from clnrm_nb.spans.content import canonical_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from clnrm_nb.diff.drafts import Pairing
    from clnrm_nb.diff.side import Side

__all__ = ["Pair", "Shared"]

Pair = tuple[int, int]
"""Numbers of one span in both sides."""

_Change = tuple[str, str]
"""Old and new text."""


class Shared:
    """Changes seen on single spans, told once for all spans that have them.

    Attributes
    ----------
    scopes, resources, keys : dict of (str, str) to list of (int, int)
        Spans by old and new scope, resource or attribute key; filled by the reader of the spans.
    """

    def __init__(self, baseline: Side, current: Side, pairing: Pairing) -> None:
        self._a, self._b, self._pairing = baseline, current, pairing
        self.scopes: dict[_Change, list[Pair]] = {}
        self.resources: dict[_Change, list[Pair]] = {}
        self.keys: dict[_Change, list[Pair]] = {}

    def drafts(self) -> list[Draft]:
        """The edits, resources first."""
        return [*self._of_resources(), *self._of_scopes(), *map(self._of_key, self.keys)]

    def _of_key(self, change: _Change) -> Draft:
        old, new = change
        return self._draft(
            "attr~",
            self.keys[change],
            key=f"{old} → {new}",
            old={"key": old},
            new={"key": new},
            reason="the new key stands wherever the old one stood, with the same values",
            patch=Patch(nodes=_first(self.keys[change]), rekey=change),
        )

    def _of_scopes(self) -> Iterable[Draft]:
        for (old, new), pairs in self.scopes.items():
            before, after = json.loads(old), json.loads(new)
            for group in self._groups("scope", (old, new), pairs):
                yield self._draft(
                    "scope",
                    group,
                    old=before,
                    new=after,
                    reason="all spans of this scope have the new one",
                    patch=Patch(nodes=_first(group), sets=((("scope",), after),)),
                )

    def _of_resources(self) -> Iterable[Draft]:
        if not self.resources:
            return
        known, still = _resources(self._a), _resources(self._b)
        for (old, new), pairs in self.resources.items():
            before, after = json.loads(old), json.loads(new)
            if (new in known or old in still) and before.get("service.name") != after.get("service.name"):
                yield from self._hops((old, new), pairs, before, after)
            else:
                yield from self._of_resource(pairs, before, after)

    def _of_resource(
        self, pairs: list[Pair], before: dict[str, Any], after: dict[str, Any]
    ) -> Iterable[Draft]:
        for key in sorted(before.keys() | after.keys()):
            if key in before and key in after and canonical_json(before[key]) == canonical_json(after[key]):
                continue
            op = "resource-" if key not in after else "resource+" if key not in before else "resource~"
            yield self._draft(
                "service" if key == "service.name" else op,
                pairs,
                service=str(before.get("service.name", "unknown_service")),
                key=key,
                old=before.get(key),
                new=after.get(key),
                reason="one resource, compared once for all its spans",
                patch=Patch(nodes=_first(pairs), sets=((("resource", key), after.get(key, Patch.GONE)),)),
            )

    def _hops(
        self, change: _Change, pairs: list[Pair], before: dict[str, Any], after: dict[str, Any]
    ) -> Iterable[Draft]:
        """Spans that now belong to another service that was there before."""
        for group in self._groups("resource", change, pairs):
            yield self._draft(
                "service",
                group,
                service=str(before.get("service.name", "unknown_service")),
                key="service.name",
                old=before.get("service.name"),
                new=after.get("service.name"),
                reason="the span is another service's now",
                patch=Patch(nodes=_first(group), sets=((("resource",), after),)),
            )

    def _groups(self, part: str, change: _Change, pairs: list[Pair]) -> list[list[Pair]]:
        """One group if all spans that said the one thing now say the other, and no others do."""
        old, new = change
        for i, j in enumerate(self._pairing.forth[:-1]):
            if j >= 0:
                before, after = getattr(self._a.parts(i), part), getattr(self._b.parts(j), part)
                if (before == old) != (after == new):
                    return [[pair] for pair in pairs]
        return [pairs]

    def _draft(
        self,
        op: str,
        pairs: Sequence[Pair],
        *,
        old: Any,
        new: Any,
        reason: str,
        patch: Patch,
        key: str | None = None,
        service: str = "",
    ) -> Draft:
        """A draft that stands at its one span, or for many at the `service` (``""``: the whole trace)."""
        i, j = pairs[0]
        is_alone = len(pairs) == 1
        rule = self._pairing.rule[i]
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
            rule=rule if is_alone else "shared",
            reason=because(rule) if is_alone else reason,
            whole=None if is_alone else service,
            patch=patch,
        )


def _resources(side: Side) -> set[str]:
    parts = side.interner.parts
    return {parts[own].resource for own in set(side.own[:-1])}


def _first(pairs: Iterable[Pair]) -> tuple[int, ...]:
    return tuple(i for i, _ in pairs)

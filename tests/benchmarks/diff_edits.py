"""The edit layer: fifteen classes of edits, each with variants, at disjoint or at any sites (`diff.md` 9).

An edit takes the spans and a site and returns a :class:`Change`, or ``None`` where the site does not allow
it. What a change touches and what it is about are said beside the spans, so that a case can keep its edits
apart: at *disjoint* sites no edit touches a span, a parent or a subtree of another one.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from diff_families import TRACE, Spans, children_of, subtree

from clnrm_nb.spans.model import Event, Link, Resource
from clnrm_nb.spans.volatile import keep

KIND_WORDS = ("internal", "server", "client", "producer", "consumer")


@dataclass(frozen=True)
class Change:
    """Edited spans.

    Parameters
    ----------
    spans : dict
        After the edit.
    touched : set of str
        Origins of spans whose content, parent or list of children is another one now.
    about : set of str
        Origins the edit is about; their parents and subtrees belong to it too.
    tags : set of str
        What stands for a whole trace, such as a service: two edits of one tag are not disjoint.
    """

    spans: Spans
    touched: set[str]
    about: set[str]
    tags: frozenset[str] = frozenset()

    def region(self, before: Spans) -> set[str]:
        """The spans it is about, their parents and subtrees, before and after."""
        found = set(self.touched)
        for spans in (before, self.spans):
            for origin in self.about & spans.keys():
                found.update(subtree(spans, origin))
                if spans[origin].parent_span_id:
                    found.add(spans[origin].parent_span_id)
        return found


Edit = Callable[[Spans, str, random.Random], Change | None]


# Contents.


def _counted_keys(spans: Spans, site: str) -> list[str]:
    """Attributes that are compared: a change of another one is noise."""
    return list(keep("attribute", dict(spans[site].attributes)))


def attr_changed(spans, site, rng):
    """To a new value, or to one that the key has on another span."""
    keys = _counted_keys(spans, site)
    if not keys:
        return None
    key, old = rng.choice(keys), spans[site].attributes
    others = sorted(
        {repr(v): v for one in spans.values() if (v := one.attributes.get(key, old[key])) != old[key]}.items()
    )
    new = rng.choice(others)[1] if others and rng.random() < 0.5 else f"new {rng.randrange(99)}"
    return _content(spans, site, attributes={**old, key: new})


def attr_added(spans, site, rng):
    """A key that no span has, or one that other spans have."""
    old = spans[site].attributes
    known = sorted({key for one in spans.values() for key in keep("attribute", one.attributes)} - old.keys())
    if known and rng.random() < 0.3:
        key = rng.choice(known)
        value = next(one.attributes[key] for one in spans.values() if key in one.attributes)
    else:
        key, value = f"new.key{rng.randrange(9)}", rng.randrange(99)
        if key in old:
            return None
    return _content(spans, site, attributes={**old, key: value})


def attr_removed(spans, site, rng):
    """Any key that is compared."""
    keys = _counted_keys(spans, site)
    if not keys:
        return None
    gone = rng.choice(keys)
    kept = {key: value for key, value in spans[site].attributes.items() if key != gone}
    return _content(spans, site, attributes=kept)


def status(spans, site, rng):
    """An error with a message, or a bare ``ok``."""
    old = (spans[site].status_code, spans[site].status_message)
    new = rng.choice([("error", f"failed {rng.randrange(99)}"), ("error", ""), ("ok", "")])
    return None if new == old else _content(spans, site, status_code=new[0], status_message=new[1])


def event(spans, site, rng):
    """One more, one less, or another attribute in one."""
    old, way = spans[site].events, rng.choice(["add", "add", "drop", "change"])
    if way == "drop" and old:
        return _content(spans, site, events=old[1:])
    if way == "change" and old:
        changed = old[0]._replace(attributes={**old[0].attributes, "n": rng.randrange(100, 200)})
        return _content(spans, site, events=(changed, *old[1:]))
    made = Event(f"event {rng.randrange(9)}", None, {"n": rng.randrange(9)})
    return _content(spans, site, events=(*old, made))


def link(spans, site, rng):
    """One more, to a span of the trace or outside it, or one less."""
    old = spans[site].links
    if old and rng.random() < 0.5:
        return _content(spans, site, links=old[1:])
    made = Link(TRACE, rng.choice(list(spans)), {"n": rng.randrange(9)})
    if rng.random() < 0.2:
        made = Link("2" * 32, "3" * 16, {"n": rng.randrange(9)})
    return _content(spans, site, links=(*old, made))


def rename(spans, site, rng):
    """To a name with another number, to one of its own, or to the name of another span."""
    old = spans[site].name
    others = sorted({one.name for one in spans.values()} - {old})
    new = rng.choice([f"{old} v{rng.randrange(2, 99)}", f"other {rng.randrange(99)}", *others[:3]])
    return _content(spans, site, name=new)


def kind(spans, site, rng):
    """Any other kind."""
    return _content(spans, site, kind=rng.choice([word for word in KIND_WORDS if word != spans[site].kind]))


def service(spans, site, rng):
    """The site's service under another name, wherever it is; one span in four changes its service alone."""
    old = spans[site].resource
    if rng.random() < 0.25:
        others = sorted({one.service: one.resource for one in spans.values()}.items())
        others = [resource for name, resource in others if name != old.service]
        if others:
            return _content(spans, site, resource=rng.choice(others))
    new_name = f"{old.service}-{rng.randrange(99)}"
    renamed: dict[int, Resource] = {}
    made = dict(spans)
    for origin, one in spans.items():
        if one.service == old.service:
            resource = renamed.setdefault(
                id(one.resource), Resource({**one.resource.attributes, "service.name": new_name})
            )
            made[origin] = replace(one, resource=resource)
    return Change(made, set(), set(), frozenset({"service"}))


# Structure.


def leaf_inserted(spans, site, rng):
    """A span of a name of its own, or one like another span but for one value."""
    if rng.random() < 0.6:
        new = _new(spans, rng, site, f"step {rng.randrange(9)}", site)
    else:
        like = rng.choice(list(spans))
        new = _new(spans, rng, site, spans[like].name, like)
        new = replace(new, attributes={**spans[like].attributes, "made": rng.randrange(99)})
    return Change(_add(spans, new), {site, new.span_id}, {new.span_id})


def subtree_deleted(spans, site, rng):
    """A span and all below it; never a whole trace."""
    below = set(subtree(spans, site))
    if len(below) == len(spans):
        return None
    kept = {origin: one for origin, one in spans.items() if origin not in below}
    return Change(kept, below | _parent(spans, site), {site})


def subtree_duplicated(spans, site, rng):
    """A retry: the same again under the same parent."""
    if spans[site].parent_span_id is None:
        return None
    made, ids = dict(spans), {}
    for origin in subtree(spans, site):
        ids[origin] = f"new-{rng.getrandbits(48):012x}"
        one = spans[origin]
        parent = ids.get(one.parent_span_id, one.parent_span_id)
        made[ids[origin]] = replace(
            one, span_id=ids[origin], parent_span_id=parent, start_ns=one.start_ns + 9
        )
    return Change(made, {*ids.values()} | _parent(spans, site), {site, ids[site]})


def subtree_moved(spans, site, rng):
    """Under any other span that is not below it."""
    parent = spans[site].parent_span_id
    below = set(subtree(spans, site))
    places = [origin for origin in spans if origin not in below and origin != parent]
    if parent is None or not places:
        return None
    place = rng.choice(places)
    made = {**spans, site: replace(spans[site], parent_span_id=place)}
    return Change(made, below | {parent, place}, {site})


def wrapped(spans, site, rng):
    """A span between the site and some of its children."""
    children = children_of(spans).get(site)
    if not children:
        return None
    new = _new(spans, rng, site, f"middle {rng.randrange(9)}", site)
    made = _add(spans, new)
    chosen = rng.sample(children, k=rng.randint(1, len(children)))
    for child in chosen:
        made[child] = replace(made[child], parent_span_id=new.span_id)
    return Change(made, {site, new.span_id, *chosen}, {new.span_id})


def unwrapped(spans, site, rng):
    """The span goes, its children take its place."""
    children = children_of(spans).get(site)
    parent = spans[site].parent_span_id
    if not children or parent is None:
        return None
    made = {origin: one for origin, one in spans.items() if origin != site}
    for child in children:
        made[child] = replace(made[child], parent_span_id=parent)
    return Change(made, {site, parent, *children}, {site})


EDITS: dict[str, Edit] = {
    "attr changed": attr_changed,
    "attr added": attr_added,
    "attr removed": attr_removed,
    "status": status,
    "event": event,
    "link": link,
    "rename": rename,
    "kind": kind,
    "service": service,
    "leaf inserted": leaf_inserted,
    "subtree deleted": subtree_deleted,
    "subtree duplicated": subtree_duplicated,
    "subtree moved": subtree_moved,
    "wrapped": wrapped,
    "unwrapped": unwrapped,
}


def _content(spans, site, **values):
    return Change({**spans, site: replace(spans[site], **values)}, {site}, {site})


def _parent(spans, site):
    parent = spans[site].parent_span_id
    return {parent} if parent else set()


def _new(spans, rng, parent, name, like):
    return replace(
        spans[like],
        span_id=f"new-{rng.getrandbits(48):012x}",
        parent_span_id=parent,
        name=name,
        attributes={"made": rng.randrange(99)},
        events=(),
        links=(),
    )


def _add(spans, one):
    return {**spans, one.span_id: one}


# Several edits at once.

ATTEMPTS = 5


@dataclass(frozen=True)
class Edited:
    """Spans after some edits, and at which sites these were."""

    spans: Spans
    sites: tuple[tuple[str, str], ...]


def apply_edits(names: Sequence[str], base: Spans, rng: random.Random, *, disjoint: bool) -> Edited | None:
    """Edits one after the other at random sites; ``None`` if they find none in some attempts.

    Parameters
    ----------
    names : sequence of str
        Of :data:`EDITS`.
    base : dict
        Not changed.
    rng : random.Random
    disjoint : bool
        Whether no edit may touch a span, a parent or a subtree of another one; else edits may hit what
        earlier ones have made.
    """
    for _ in range(ATTEMPTS):
        placing = _Placing(base, rng, disjoint=disjoint)
        if all(map(placing.place, names)):
            return Edited(placing.spans, tuple(placing.sites))
    return None


class _Placing:
    """Spans while edits are placed."""

    def __init__(self, base: Spans, rng: random.Random, *, disjoint: bool) -> None:
        self.spans, self.sites = base, list[tuple[str, str]]()
        self._rng, self._disjoint = rng, disjoint
        self._touched: set[str] = set()
        self._regions: set[str] = set()
        self._tags: set[str] = set()

    def place(self, name: str) -> bool:
        """Make an edit at the first site, in random order, that allows it; whether there was one."""
        order = list(self.spans)
        for last in range(len(order) - 1, -1, -1):
            chosen = self._rng.randrange(last + 1)
            site, order[chosen] = order[chosen], order[last]
            if self._disjoint and site in self._touched:
                continue
            change = EDITS[name](self.spans, site, self._rng)
            if change is not None and self._is_apart(change):
                self.spans = change.spans
                self.sites.append((name, site))
                return True
        return False

    def _is_apart(self, change: Change) -> bool:
        if not self._disjoint:
            return True
        region = change.region(self.spans)
        if change.touched & self._regions or region & self._touched or change.tags & self._tags:
            return False
        self._touched |= change.touched
        self._regions |= region
        self._tags |= change.tags
        return True

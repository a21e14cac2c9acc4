"""The mutation benchmark's parts: traces, noise, edits, truth, outcome (`diff.md` 9).

A case is a base trace, a copy with edits at some sites, and noise over the copy. Every span keeps its origin
through all of it; the truth is derived from the origins by the product's own derive step, so that only the
matching is judged. New families, edits and noise are added to the tables at the end of their section.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from clnrm_nb.diff.compare import compare, diff_of, given
from clnrm_nb.diff.interner import Interner
from clnrm_nb.diff.model import Diff
from clnrm_nb.diff.options import DiffOptions
from clnrm_nb.diff.reading import from_table
from clnrm_nb.spans.model import Event, Link, Resource, Scope, Span
from clnrm_nb.spans.table import SpanTable

TRACE = "1" * 32
MS = 1_000_000

Spans = dict[str, Span]
"""By span id; the id is the origin."""


# Families: how base traces look.


def span(number: int, name: str, parent: str | None, **values) -> Span:
    values.setdefault("scope", Scope("lib", "1.0"))
    start = 1_700_000_000_000_000_000 + number * MS
    return Span(
        TRACE, f"{number:016x}", name, parent_span_id=parent, start_ns=start, end_ns=start + MS, **values
    )


def services(rng: random.Random, n: int) -> list[Resource]:
    return [
        Resource(
            {
                "service.name": f"svc-{'abcdefgh'[k]}",
                "service.version": f"1.{rng.randrange(9)}",
                "host.name": "box",
                "process.pid": 7,
            }
        )
        for k in range(n)
    ]


def random_tree(rng: random.Random, size: int) -> Spans:
    """Requests through a few services: names repeat, attributes are rich, siblings are alike."""
    resources = services(rng, 4)
    names = [f"{verb} {noun}" for verb in ("GET", "PUT", "query") for noun in ("cart", "user", "stock")]
    made: list[Span] = []
    for number in range(size):
        above = rng.choice(made[-12:]).span_id if made else None
        made.append(
            span(
                number,
                rng.choice(names),
                above,
                kind=rng.choice(["internal", "server", "client"]),
                resource=rng.choice(resources),
                attributes={
                    "http.method": rng.choice(["GET", "PUT"]),
                    "http.status_code": rng.choice([200, 201]),
                    "url.path": f"/v1/{rng.choice(['cart', 'user', 'stock'])}/{rng.randrange(40)}",
                    "db.rows": rng.randrange(5),
                    "thread.id": rng.randrange(9),
                },
                events=(Event("cache", None, {"hit": rng.random() < 0.5}),) if rng.random() < 0.2 else (),
            )
        )
    found = {one.span_id: one for one in made}
    for one in rng.sample(made, k=max(1, size // 50)):
        target = rng.choice(made)
        found[one.span_id] = replace(one, links=(Link(TRACE, target.span_id, {"why": "batch"}),))
    return found


def chain(rng: random.Random, size: int) -> Spans:
    """A self-similar chain: one name, one service, levels told apart by their attributes alone."""
    resource = services(rng, 1)[0]
    return {
        one.span_id: one
        for one in (
            span(
                level,
                "recurse",
                f"{level - 1:016x}" if level else None,
                resource=resource,
                attributes={"level.mod": level % 7, "node": f"n{rng.randrange(30)}"},
            )
            for level in range(size)
        )
    }


def fan_out(rng: random.Random, size: int) -> Spans:
    """One parent with many children of one name."""
    resource = services(rng, 1)[0]
    made = [span(0, "batch", None, resource=resource)]
    made += [
        span(
            number,
            "item",
            made[0].span_id,
            resource=resource,
            attributes={"item.id": f"i{number}", "ok": True},
        )
        for number in range(1, size)
    ]
    return {one.span_id: one for one in made}


def retries(rng: random.Random, size: int) -> Spans:
    """Identical siblings: every call is made three times."""
    resource = services(rng, 1)[0]
    made = [span(0, "job", None, resource=resource)]
    while len(made) < size:
        group = rng.randrange(1000)
        for _ in range(3):
            call = span(len(made), "call", made[0].span_id, resource=resource, attributes={"to": group})
            made.append(call)
            made.append(span(len(made), "send", call.span_id, resource=resource, kind="client"))
    return {one.span_id: one for one in made}


FAMILIES: dict[str, Callable[[random.Random, int], Spans]] = {
    "random": random_tree,
    "chain": chain,
    "fan-out": fan_out,
    "retries": retries,
}


# Noise: what differs with nothing changed.


def to_table(spans: Spans) -> SpanTable:
    return SpanTable(spans.values())


def noisy(spans: Spans, rng: random.Random) -> tuple[SpanTable, list[str]]:
    """The same spans as another run would record them; the table and the origin of each row."""
    ids = {origin: f"{rng.getrandbits(64):016x}" for origin in spans}
    trace = f"{rng.getrandbits(128):032x}"
    pid, shift, stretch = rng.randrange(9999), rng.randrange(10**12), rng.uniform(0.5, 2.0)
    resources = [
        _shuffled(spans_resource.attributes, rng) | {"process.pid": pid, "host.name": f"box{pid}"}
        for spans_resource in {id(one.resource): one.resource for one in spans.values()}.values()
    ]
    copies = {
        key: [Resource(dict(made)), Resource(dict(made))]
        for key, made in zip({id(one.resource): 0 for one in spans.values()}, resources, strict=True)
    }
    order = list(spans)
    rng.shuffle(order)
    table = SpanTable()
    for origin in order:
        one = spans[origin]
        start = int(one.start_ns * stretch) + shift + rng.randrange(3 * MS)
        table.append(
            replace(
                one,
                trace_id=trace,
                span_id=ids[origin],
                parent_span_id=ids.get(one.parent_span_id) if one.parent_span_id else None,
                start_ns=start,
                end_ns=start + rng.randrange(1, 5 * MS),
                attributes=_shuffled({**one.attributes, "thread.id": rng.randrange(99)}, rng),
                events=tuple(rng.sample(one.events, k=len(one.events))),
                links=tuple(
                    link._replace(trace_id=trace, span_id=ids.get(link.span_id, link.span_id))
                    for link in rng.sample(one.links, k=len(one.links))
                ),
                resource=rng.choice(copies[id(one.resource)]),
                scope=Scope(one.scope.name, f"1.{rng.randrange(9)}"),
            )
        )
    return table, order


def _shuffled(attributes, rng):
    keys = list(attributes)
    rng.shuffle(keys)
    return {key: attributes[key] for key in keys}


# Edits: fifteen classes. Each takes the spans and a site, and returns the spans edited (or None: not here).

Edit = Callable[[Spans, str, random.Random], Spans | None]


def attr_changed(spans, site, rng):
    keys = [key for key in spans[site].attributes if key != "thread.id"]
    if not keys:
        return None
    return _with(
        spans, site, attributes={**spans[site].attributes, rng.choice(keys): f"new {rng.randrange(99)}"}
    )


def attr_added(spans, site, rng):
    return _with(
        spans, site, attributes={**spans[site].attributes, f"new.key{rng.randrange(9)}": rng.randrange(99)}
    )


def attr_removed(spans, site, rng):
    keys = [key for key in spans[site].attributes if key != "thread.id"]
    if not keys:
        return None
    gone = rng.choice(keys)
    kept = {key: value for key, value in spans[site].attributes.items() if key != gone}
    return _with(spans, site, attributes=kept)


def status(spans, site, rng):
    return _with(spans, site, status_code="error", status_message=f"failed {rng.randrange(99)}")


def event(spans, site, rng):
    return _with(
        spans,
        site,
        events=(*spans[site].events, Event(f"event {rng.randrange(9)}", None, {"n": rng.randrange(9)})),
    )


def link(spans, site, rng):
    return _with(
        spans, site, links=(*spans[site].links, Link(TRACE, rng.choice(list(spans)), {"n": rng.randrange(9)}))
    )


def rename(spans, site, rng):
    return _with(spans, site, name=f"{spans[site].name} v{rng.randrange(2, 99)}")


def kind(spans, site, rng):
    return _with(spans, site, kind="producer" if rng.random() < 0.5 else "consumer")


def service(spans, site, rng):
    """The site's service under another name, wherever it is."""
    old = spans[site].resource
    new = Resource({**old.attributes, "service.name": f"{old.service}-{rng.randrange(99)}"})
    return {
        origin: replace(one, resource=new) if one.resource is old else one for origin, one in spans.items()
    }


def leaf_inserted(spans, site, rng):
    return _add(
        spans,
        _new(spans, rng, site, f"step {rng.randrange(9)}", site),
    )


def subtree_deleted(spans, site, rng):
    below = subtree(spans, site)
    if len(below) == len(spans):
        return None
    return {origin: one for origin, one in spans.items() if origin not in below}


def subtree_duplicated(spans, site, rng):
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
    return made


def subtree_moved(spans, site, rng):
    below = set(subtree(spans, site))
    places = [origin for origin in spans if origin not in below and origin != spans[site].parent_span_id]
    if spans[site].parent_span_id is None or not places:
        return None
    return _with(spans, site, parent_span_id=rng.choice(places))


def wrapped(spans, site, rng):
    children = [origin for origin, one in spans.items() if one.parent_span_id == site]
    if not children:
        return None
    made = _add(spans, _new(spans, rng, site, f"middle {rng.randrange(9)}", site))
    new = next(reversed(made))
    for child in rng.sample(children, k=rng.randint(1, len(children))):
        made[child] = replace(made[child], parent_span_id=new)
    return made


def unwrapped(spans, site, rng):
    children = [origin for origin, one in spans.items() if one.parent_span_id == site]
    if not children or spans[site].parent_span_id is None:
        return None
    made = {origin: one for origin, one in spans.items() if origin != site}
    for child in children:
        made[child] = replace(made[child], parent_span_id=spans[site].parent_span_id)
    return made


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


def subtree(spans: Spans, site: str) -> list[str]:
    children: dict[str, list[str]] = {}
    for origin, one in spans.items():
        if one.parent_span_id:
            children.setdefault(one.parent_span_id, []).append(origin)
    found = [site]
    for origin in found:
        found.extend(children.get(origin, ()))
    return found


def _with(spans, site, **values):
    return {**spans, site: replace(spans[site], **values)}


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


# Truth and outcome.


@dataclass(frozen=True)
class Outcome:
    """How one case came out: ``exact``, ``cheaper``, ``tied`` or ``worse``."""

    kind: str
    found: Diff
    truth: Diff


def descriptors(diff: Diff) -> Counter[str]:
    """What the counted edits say, without positions among equals."""
    return Counter(
        repr((e.op, e.baseline_path, e.path, e.key, e.baseline, e.current, e.cost)) for e in diff.counted
    )


def truth_of(baseline: SpanTable, current: SpanTable, origins: list[str]) -> Diff:
    """The diff of the pairing that the origins give."""
    interner = Interner()
    a, b = from_table(baseline, interner), from_table(current, interner)
    place = {baseline.span_id[row]: number for number, row in enumerate(a.row[: a.n])}
    back = [place.get(origins[row], -1) for row in b.row[: b.n]]
    forth = [-1] * a.n
    for number, mate in enumerate(back):
        if mate >= 0:
            forth[mate] = number
    return diff_of(a, b, options=DiffOptions(), pairing=given(forth, back))


def judge(base: Spans, edited: Spans, rng: random.Random) -> Outcome:
    """Compare the product's answer with the truth."""
    baseline = to_table(base)
    current, origins = noisy(edited, rng)
    found = compare(baseline, current)
    truth = truth_of(baseline, current, origins)
    if descriptors(found) == descriptors(truth):
        kind_of = "exact"
    elif found.cost < truth.cost:
        kind_of = "cheaper"
    else:
        kind_of = "tied" if found.cost == truth.cost else "worse"
    return Outcome(kind_of, found, truth)


def case(edits: list[str], family: str, size: int, seed: int) -> Outcome | None:
    """One case: `edits` at random sites of a trace of `family`, noise over all; ``None``: no such site."""
    rng = random.Random(f"{family} {size} {seed} {edits}")
    base = FAMILIES[family](rng, size)
    edited = base
    for name in edits:
        sites = rng.sample(list(edited), k=len(edited))
        changed = next(filter(None, (EDITS[name](edited, site, rng) for site in sites)), None)
        if changed is None:
            return None
        edited = changed
    return judge(base, edited, rng)

"""Base traces of the diff's benchmark: generated families, each with what makes matching hard somewhere.

A trace is a dict of spans by id, and the id is the span's *origin*: it stays through edits and noise, and is
never shown to the product. Families take a random generator and a size and return at least one root; equal
generators give equal traces in every process.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import replace

from clnrm_nb.spans.model import Event, Link, Resource, Scope, Span

TRACE = "1" * 32
MS = 1_000_000

Spans = dict[str, Span]
"""By span id; the id is the origin."""

VERBS = ("GET", "PUT", "query")
NOUNS = ("cart", "user", "stock")


def origin(number: int) -> str:
    """The span id of a number; all zeros are no id."""
    return f"{number + 1:016x}"


def span(number: int, name: str, parent: str | None, **values) -> Span:
    """A span of one millisecond, `number` milliseconds after the first."""
    values.setdefault("scope", Scope("lib", "1.0"))
    start = 1_700_000_000_000_000_000 + number * MS
    return Span(
        TRACE, origin(number), name, parent_span_id=parent, start_ns=start, end_ns=start + MS, **values
    )


def services(rng: random.Random, n: int) -> list[Resource]:
    """Resources of `n` services; some of what they say is volatile."""
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


def children_of(spans: Spans) -> dict[str, list[str]]:
    """Children by parent; roots are not among them."""
    found: dict[str, list[str]] = {}
    for origin, one in spans.items():
        if one.parent_span_id:
            found.setdefault(one.parent_span_id, []).append(origin)
    return found


def subtree(spans: Spans, site: str) -> list[str]:
    """A span and all below it."""
    children, found = children_of(spans), [site]
    for origin in found:
        found.extend(children.get(origin, ()))
    return found


def _by_id(made: Iterable[Span]) -> Spans:
    return {one.span_id: one for one in made}


def random_tree(rng: random.Random, size: int, *, spread: int = 12) -> Spans:
    """Requests through a few services: names repeat, attributes are rich, siblings are alike."""
    resources = services(rng, 4)
    names = [f"{verb} {noun}" for verb in VERBS for noun in NOUNS]
    made: list[Span] = []
    for number in range(size):
        above = rng.choice(made[-spread:]).span_id if made else None
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
                    "url.path": f"/v1/{rng.choice(NOUNS)}/{rng.randrange(40)}",
                    "db.rows": rng.randrange(5),
                    "thread.id": rng.randrange(9),
                },
                events=(Event("cache", None, {"hit": rng.random() < 0.5}),) if rng.random() < 0.2 else (),
            )
        )
    found = _by_id(made)
    for one in rng.sample(made, k=max(1, size // 50)):
        target = rng.choice(made)
        found[one.span_id] = replace(one, links=(Link(TRACE, target.span_id, {"why": "batch"}),))
    return found


def wide(rng: random.Random, size: int) -> Spans:
    """As `random_tree`, but any span may be a parent: shallow, with long lists of siblings."""
    return random_tree(rng, size, spread=size)


def deep(rng: random.Random, size: int) -> Spans:
    """As `random_tree`, but parents are one of the last two spans."""
    return random_tree(rng, size, spread=2)


def requests(rng: random.Random, size: int) -> Spans:
    """Many requests of a few shapes below one root: server, handler, cache and database calls."""
    front, api, store = services(rng, 3)
    made = [span(0, "session", None, resource=front, scope=Scope("client", "2.0"))]

    def add(name: str, parent: Span, **values) -> Span:
        made.append(span(len(made), name, parent.span_id, **values))
        return made[-1]

    while len(made) < size:
        noun = rng.choice(NOUNS)
        path = f"/api/{noun}"
        call = add(
            f"GET {path}", made[0], kind="client", resource=front, attributes={"url.path": path, "retry": 0}
        )
        code = rng.choice([200, 200, 200, 404])
        handled = add(
            f"GET {path}",
            call,
            kind="server",
            resource=api,
            scope=Scope("http", "0.4"),
            attributes={"http.route": path, "http.response.status_code": code, "network.peer.port": 40_000},
        )
        handler = add(f"handle_{noun}", handled, resource=api, attributes={"user.tier": rng.choice("ab")})
        add("cache.get", handler, kind="client", resource=store, attributes={"key": noun, "hit": code == 200})
        for _ in range(rng.randrange(4)):
            add(
                "SELECT",
                handler,
                kind="client",
                resource=store,
                scope=Scope("sql", "1.1"),
                attributes={"db.statement": f"select * from {noun} where id = ?", "rows": rng.randrange(3)},
            )
    return _by_id(made[:size])


def chain(rng: random.Random, size: int) -> Spans:
    """A self-similar chain: one name, one service, levels told apart by their attributes alone."""
    resource = services(rng, 1)[0]
    return _by_id(
        span(
            level,
            "recurse",
            origin(level - 1) if level else None,
            resource=resource,
            attributes={"level.mod": level % 7, "node": f"n{rng.randrange(30)}"},
        )
        for level in range(size)
    )


def plain_chain(rng: random.Random, size: int) -> Spans:
    """A chain whose levels are nearly all alike: one value in eight differs."""
    resource = services(rng, 1)[0]
    return _by_id(
        span(
            level,
            "step",
            origin(level - 1) if level else None,
            resource=resource,
            attributes={"depth.class": "odd" if rng.random() < 0.125 else "even", "unit": "u1", "ok": True},
        )
        for level in range(size)
    )


def twigs(rng: random.Random, size: int) -> Spans:
    """A self-similar chain with leaves: each level calls itself and a helper or two."""
    resource = services(rng, 1)[0]
    made = [span(0, "visit", None, resource=resource, attributes={"node": "n0"})]
    top = made[0]
    while len(made) < size:
        for _ in range(rng.randrange(1, 3)):
            made.append(
                span(
                    len(made),
                    "load",
                    top.span_id,
                    kind="client",
                    resource=resource,
                    attributes={
                        "table": rng.choice(NOUNS),
                        "rows": rng.randrange(4),
                        "key": f"k{rng.randrange(50)}",
                    },
                )
            )
        top = span(
            len(made),
            "visit",
            top.span_id,
            resource=resource,
            attributes={"node": f"n{rng.randrange(20)}", "leaf": False},
        )
        made.append(top)
    return _by_id(made[:size])


def fan_out(rng: random.Random, size: int) -> Spans:
    """One parent with many children of one name, each with an id of its own."""
    resource = services(rng, 1)[0]
    made = [span(0, "batch", None, resource=resource)]
    made += [
        span(
            number,
            "item",
            made[0].span_id,
            resource=resource,
            attributes={"item.id": f"i{number}", "bytes": 64 + 7 * number, "ok": True},
        )
        for number in range(1, size)
    ]
    return _by_id(made)


def fan_outs(rng: random.Random, size: int) -> Spans:
    """Several parents of one name, each with children of one name that share a few values."""
    resource = services(rng, 1)[0]
    made = [span(0, "import", None, resource=resource)]
    while len(made) < size:
        batch = span(
            len(made), "batch", made[0].span_id, resource=resource, attributes={"shard": rng.randrange(6)}
        )
        made.append(batch)
        for _ in range(rng.randrange(3, 9)):
            made.append(
                span(
                    len(made),
                    "item",
                    batch.span_id,
                    resource=resource,
                    attributes={
                        "bytes": rng.randrange(40),
                        "etag": f"{rng.getrandbits(16):04x}",
                        "kind": rng.choice("xyz"),
                        "ok": True,
                    },
                )
            )
    return _by_id(made[:size])


def retries(rng: random.Random, size: int) -> Spans:
    """Identical siblings: every call is made three times. What tells calls apart is not one value alone."""
    resource = services(rng, 1)[0]
    made = [span(0, "job", None, resource=resource)]
    while len(made) < size:
        group = rng.randrange(1000)
        said = {"to": group, "url.path": f"/{rng.choice(NOUNS)}/{group % 100}", "attempts": 3}
        for _ in range(3):
            call = span(len(made), "call", made[0].span_id, resource=resource, attributes=said)
            made.append(call)
            made.append(
                span(
                    len(made),
                    "send",
                    call.span_id,
                    resource=resource,
                    kind="client",
                    attributes={"peer": f"p{group % 10}", "bytes": group},
                )
            )
    return _by_id(made)


def typed(rng: random.Random, size: int) -> Spans:
    """Values of every type, those included that formats spell differently."""
    values: dict[str, list] = {
        "flag": [True, False],
        "ratio": [0.25, 2.0, -0.0, 1e300, float("nan"), float("inf")],
        "count": [0, -7, 2**53 + 1, 2**63 - 1],
        "word": ["", "true", "1", "ä→漢", "a\nb"],
        "raw": [b"", b"\x00\xff", b"abc"],
        "list": [[], ["a", "b"], [1, 2.5, None], [[1], []]],
        "map": [{}, {"k": 1}, {"k": {"deep": [True]}}],
        "none": [None],
    }
    resources = services(rng, 2)
    made: list[Span] = []
    for number in range(size):
        keys = rng.sample(list(values), k=rng.randint(1, 5))
        made.append(
            span(
                number,
                rng.choice(["read", "write"]),
                rng.choice(made[-6:]).span_id if made else None,
                resource=rng.choice(resources),
                scope=Scope(rng.choice(["lib", ""]), "1.0"),
                kind=rng.choice(["unspecified", "internal", "consumer"]),
                attributes={key: rng.choice(values[key]) for key in keys},
                status_code=rng.choice(["unset", "unset", "ok", "error"]),
                status_message=rng.choice(["", "", "late"]),
                events=tuple(
                    Event("exception", None, {"exception.type": "E", "exception.stacktrace": STACK})
                    for _ in range(rng.choice([0, 0, 1, 2]))
                ),
            )
        )
    return _by_id(made)


STACK = '  File "app.py", line 7, in main at 0x7f00\n  File "app.py", line 9, in serve at 0x7f01'

FAMILIES: dict[str, Callable[[random.Random, int], Spans]] = {
    "random": random_tree,
    "wide": wide,
    "deep": deep,
    "requests": requests,
    "chain": chain,
    "twigs": twigs,
    "fan-out": fan_out,
    "fan-outs": fan_outs,
    "retries": retries,
    "typed": typed,
}

ALIKE: dict[str, Callable[[random.Random, int], Spans]] = {"plain-chain": plain_chain}
"""Families so alike that one edit has several stories of one cost: only costs are judged on them."""

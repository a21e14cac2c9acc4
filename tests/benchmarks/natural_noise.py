"""Services whose runs differ with nothing changed: the noise that tolerance rules are learnt from (goal 12).

Two draws make a trace. The *family* says what the services are: which operations call which, which of their
attributes vary and how, where there are retries and cache misses. The *run* draws from that what one request
does. Every kind of noise that a family has shows itself in two to four places of a trace, as retries and caches
do; with ``places=1`` each has a single one, and five runs may well not show it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from diff_families import MS, TRACE, Spans

from clnrm_nb.spans.model import Event, Resource, Scope, Span

OPERATIONS = ("checkout", "search", "profile", "invoice", "login", "export")
CALLS = ("price", "stock", "tax", "rate", "mail", "audit", "score", "quota")

FLEETING = ("charge", "db.query")
"""What is tried again, and what only a cache miss brings."""

Vary = Callable[[random.Random], object]


def _hex(rng: random.Random) -> str:
    return f"{rng.getrandbits(64):016x}"


def _uuid(rng: random.Random) -> str:
    text = f"{rng.getrandbits(128):032x}"
    return "-".join([text[:8], text[8:12], text[12:16], text[16:20], text[20:]])


VARYING: dict[str, Vary] = {
    "http.request.id": _hex,
    "session.id": _uuid,
    "order.ref": lambda rng: f"ord-{rng.randrange(10_000, 100_000)}",
    "http.response.size": lambda rng: rng.randrange(200, 900),
    "rows": lambda rng: rng.randrange(1, 60),
    "score": lambda rng: round(rng.uniform(0.1, 0.9), 4),
    "cache.hit": lambda rng: rng.random() < 0.5,
    "region": lambda rng: rng.choice(["eu-west", "eu-north", "eu-south"]),
    "heap.bytes": lambda rng: int(rng.lognormvariate(18, 0.3)),
}


@dataclass(frozen=True)
class Call:
    """One operation below the root."""

    name: str
    service: int
    scope: str
    fixed: dict[str, object]
    varying: tuple[str, ...] = ()
    times: tuple[int, int] = (1, 1)
    chance: float = 1.0
    has_event: bool = False
    numbered: bool = False
    """The name holds an id."""
    below: tuple[Call, ...] = ()


@dataclass(frozen=True)
class Family:
    """What the services are."""

    seed: int
    root: Call
    services: tuple[str, ...]

    def run(self, number: int) -> Spans:
        """The spans of one run."""
        return _Run(self, random.Random(f"{self.seed}/{number}")).spans()

    def steady(self, spans: Spans) -> list[str]:
        """The spans that are there in every run: neither retried nor part of a cache miss."""
        return sorted(origin for origin in spans if not _is_fleeting(spans, origin))


def family(seed: int, *, places: tuple[int, int] = (2, 4)) -> Family:
    """One of any number of families.

    Parameters
    ----------
    places : (int, int)
        In how many places a trace shows each kind of noise, least and most.
    """
    rng = random.Random(f"family {seed}")
    n_services = rng.randrange(3, 6)
    calls = rng.sample(CALLS, rng.randrange(4, 7))
    parts = [_call(rng, name, n_services) for name in calls]
    varying = rng.sample(sorted(VARYING), rng.randrange(3, 6))
    for key in varying:
        for place in rng.sample(range(len(parts)), min(rng.randint(*places), len(parts))):
            parts[place] = replace(parts[place], varying=(*parts[place].varying, key))
    items = rng.randint(*places)
    miss = Call("db.query", rng.randrange(n_services), "sql", {"db.system": "postgresql", "rows.max": 50})
    lookup = replace(
        _call(rng, "cache.get", n_services),
        times=(items, items),
        below=(replace(miss, chance=0.5, below=(Call("db.fetch", miss.service, "sql", {"page": 1}),)),),
    )
    retry = replace(_call(rng, "charge", n_services), times=(1, 3))
    holders = [
        replace(_call(rng, f"step {k}", n_services), below=(retry,)) for k in range(rng.randint(*places))
    ]
    numbered = replace(_call(rng, "GET /orders", n_services), numbered=True, has_event=True)
    root = replace(_call(rng, rng.choice(OPERATIONS), n_services), below=(*parts, lookup, *holders, numbered))
    return Family(seed, root, tuple(f"svc-{'abcdefgh'[k]}" for k in range(n_services)))


def _is_fleeting(spans: Spans, origin: str) -> bool:
    one: Span | None = spans[origin]
    while one is not None:
        if one.name in FLEETING:
            return True
        one = spans.get(one.parent_span_id or "")
    return False


def _call(rng: random.Random, name: str, n_services: int) -> Call:
    fixed = {
        f"{name[:3].strip()}.{key}": rng.randrange(9) for key in rng.sample("pqrstuv", rng.randrange(2, 5))
    }
    below = tuple(
        Call(f"{name} {part}", rng.randrange(n_services), "lib", {"n": rng.randrange(9), "part": part})
        for part in rng.sample(("parse", "load", "store", "emit"), rng.randrange(3))
    )
    return Call(name, rng.randrange(n_services), rng.choice(["lib", "http"]), fixed, below=below)


class _Run:
    def __init__(self, of: Family, rng: random.Random) -> None:
        self._rng = rng
        self._root = of.root
        pod = f"{rng.getrandbits(40):010x}"
        self._resources = [
            Resource({"service.name": name, "service.version": "1.4", "host.name": f"box-{pod}"})
            for name in of.services
        ]
        self._made: list[Span] = []

    def spans(self) -> Spans:
        self._add(self._root, None)
        order = self._made[:]
        self._rng.shuffle(order)
        return {one.span_id: one for one in order}

    def _add(self, call: Call, parent: str | None) -> None:
        rng = self._rng
        for _ in range(rng.randint(*call.times)):
            if rng.random() >= call.chance:
                continue
            attributes = dict(call.fixed) | {key: VARYING[key](rng) for key in call.varying}
            name = f"{call.name}/{rng.randrange(1_000, 10_000)}" if call.numbered else call.name
            events = (Event("published", None, {"message.id": _hex(rng)}),) if call.has_event else ()
            start = 1_700_000_000_000_000_000 + rng.randrange(500 * MS)
            one = Span(
                TRACE,
                f"{rng.getrandbits(63) + 1:016x}",
                name,
                parent_span_id=parent,
                start_ns=start,
                end_ns=start + rng.randrange(1, 50 * MS),
                attributes=attributes,
                events=events,
                resource=self._resources[call.service],
                scope=Scope(call.scope, "1.0"),
            )
            self._made.append(one)
            below = list(call.below)
            rng.shuffle(below)
            for child in below:
                self._add(child, one.span_id)

"""The noise layer: what differs between two runs with nothing changed (`diff.md` 9). It is always on.

Fresh ids, times with jitter and stretch, everything shuffled that has no order, resource blocks regrouped and
repeated, other values under every volatile key, another scope version; and the run comes as another format
writes it (:mod:`diff_formats`), read by the product's own loader.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from diff_families import MS, Spans
from diff_formats import carriers, written

from clnrm_nb.spans.loaders import load
from clnrm_nb.spans.model import Event, Resource, Scope, Span
from clnrm_nb.spans.table import SpanTable
from clnrm_nb.spans.volatile import VOLATILE


def to_table(spans: Spans) -> SpanTable:
    """The spans as they are."""
    return SpanTable(spans.values())


@dataclass(frozen=True)
class Run:
    """Spans as another run recorded them, and the origin of each new id."""

    spans: list[Span]
    origins: dict[str, str]


def noisy_run(spans: Spans, rng: random.Random) -> Run:
    """The same spans as another run would record them, in any order."""
    ids = {origin: f"{rng.getrandbits(63) + 1:016x}" for origin in spans}
    trace = f"{rng.getrandbits(127) + 1:032x}"
    shift, stretch = rng.randrange(10**12), rng.uniform(0.5, 2.0)
    resources: dict[int, list[Resource]] = {}
    for one in spans.values():
        if id(one.resource) not in resources:
            # One resource in two blocks, as two batches would bring it.
            said = _shuffled({**one.resource.attributes, **_volatile("resource", rng)}, rng)
            resources[id(one.resource)] = [Resource(said), Resource(_shuffled(said, rng))]
    version = f"1.{rng.randrange(9)}"
    order = list(spans)
    rng.shuffle(order)
    made: list[Span] = []
    for origin in order:
        one = spans[origin]
        start = int((one.start_ns or 0) * stretch) + shift + rng.randrange(3 * MS)
        made.append(
            replace(
                one,
                trace_id=trace,
                span_id=ids[origin],
                parent_span_id=ids.get(one.parent_span_id) if one.parent_span_id else None,
                start_ns=start,
                end_ns=start + rng.randrange(1, 5 * MS),
                attributes=_attributes(one.attributes, rng),
                events=tuple(
                    _event(event, start, rng) for event in rng.sample(one.events, k=len(one.events))
                ),
                links=tuple(
                    link._replace(
                        trace_id=trace if link.span_id in ids else link.trace_id,
                        span_id=ids.get(link.span_id, link.span_id),
                    )
                    for link in rng.sample(one.links, k=len(one.links))
                ),
                resource=rng.choice(resources[id(one.resource)]),
                scope=Scope(one.scope.name, version),
            )
        )
    return Run(made, {new: origin for origin, new in ids.items()})


def noisy(spans: Spans, rng: random.Random, form: str | None = None) -> tuple[SpanTable, list[str]]:
    """Another run's table, and the origin of each of its rows.

    Parameters
    ----------
    form : str, optional
        Of :data:`diff_formats.WRITERS`, or ``memory``; without one any of them that carries the data.
    """
    run = noisy_run(spans, rng)
    form = form or rng.choice(forms_for(spans))
    if form == "memory":
        table = SpanTable(run.spans)
    else:
        table, _ = load(written(run.spans, form, rng), name=f"{form} of the benchmark")
    return table, [run.origins[span_id] for span_id in table.span_id]


def forms_for(spans: Spans) -> list[str]:
    """Those of :func:`diff_formats.carriers`, and none at all."""
    return ["memory", *carriers(list(spans.values()))]


def _attributes(attributes: Mapping[str, Any], rng: random.Random) -> dict[str, Any]:
    found = dict(attributes)
    if rng.random() < 0.5:
        found.update(_volatile("attribute", rng))
    for key in ("network.peer.port", "net.peer.port", "client.port"):
        if isinstance(found.get(key), int) and found[key] >= 32_768:
            found[key] = rng.randrange(32_768, 61_000)
    if "exception.stacktrace" in found:
        found["exception.stacktrace"] = _other_places(found["exception.stacktrace"], rng)
    return _shuffled(found, rng)


def _event(event: Event, start: int, rng: random.Random) -> Event:
    return Event(event.name, start + rng.randrange(MS), _attributes(event.attributes, rng))


def _volatile(where: str, rng: random.Random) -> dict[str, Any]:
    """Values under some of the volatile keys (`format.md` 8.1), ports in their volatile range."""
    entries = [entry for entry in VOLATILE if entry.where == where]
    found: dict[str, Any] = {}
    for entry in rng.sample(entries, k=rng.randint(1, len(entries))):
        key = entry.pattern.replace("*", rng.choice(["id", "name", "uid"]))
        if entry.from_value is None:
            found[key] = rng.choice([f"v{rng.getrandbits(32):x}", rng.randrange(10**6)])
        else:
            found[key] = entry.from_value + rng.randrange(28_000)
    return found


def _other_places(stack: str, rng: random.Random) -> str:
    """A stack of the same frames, at other lines and addresses."""
    stack = re.sub(r"line \d+", lambda _: f"line {rng.randrange(1, 999)}", stack)
    return re.sub(r"0x[0-9a-f]+", lambda _: f"0x{rng.getrandbits(40):x}", stack)


def _shuffled(attributes: Mapping[str, Any], rng: random.Random) -> dict[str, Any]:
    keys = list(attributes)
    rng.shuffle(keys)
    return {key: attributes[key] for key in keys}

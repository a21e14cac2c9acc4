"""Generated values: identifiers and choices, the same for the same seed on every machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clnrm_nb.template.faults import Fault
from clnrm_nb.template.identifiers import (
    milliseconds,
    nonzero_hex,
    traceparent,
    ulid,
    uuid_v4,
    uuid_v5,
    uuid_v7,
)
from clnrm_nb.template.seeded import Source, bounded
from clnrm_nb.template.values import is_number

if TYPE_CHECKING:
    from collections.abc import Callable

    from clnrm_nb.template.runtime import Rendering
    from clnrm_nb.template.signature import Registry

__all__ = ["register"]


def _nonempty(name: str, items: list[Any]) -> list[Any]:
    if not items:
        raise Fault("CLN105", f"`{name}` has nothing to choose from")
    return items


def _weighted(source: Source, pairs: list[Any]) -> Any:
    weights: list[float] = []
    for pair in _nonempty("weighted", pairs):
        is_pair = isinstance(pair, list) and len(pair) == 2  # noqa: PLR2004  # A value and its weight.
        if not is_pair or not is_number(pair[1]) or not pair[1] >= 0:
            raise Fault("CLN104", "`weighted` needs pairs of a value and a weight of 0 or more")
        weights.append(pair[1])
    total = sum(weights)
    if not total or total == float("inf"):
        raise Fault("CLN105", "`weighted` needs a weight above 0")
    point = source.integer(0, 2**53) / 2**53 * total
    for pair, weight in zip(pairs, weights, strict=True):
        point -= weight
        if point < 0:
            return pair[0]
    return next(pair[0] for pair, weight in zip(reversed(pairs), reversed(weights), strict=True) if weight)


def _shuffled(source: Source, items: list[Any]) -> list[Any]:
    result = list(items)
    for index in range(len(result) - 1, 0, -1):
        other = source.integer(0, index + 1)
        result[index], result[other] = result[other], result[index]
    return result


def _sample(source: Source, items: list[Any], count: int) -> list[Any]:
    if count > len(items):
        raise Fault("CLN105", f"`sample`: {count} elements of an array of {len(items)}")
    return _shuffled(source, items)[:count]


def _get_random(source: Source, start: int, end: int) -> int:
    if start >= end:
        raise Fault("CLN105", f"`get_random`: start {start} is not below end {end}")
    return source.integer(start, end)


def register(registry: Registry) -> None:
    """Add all generator functions to a registry."""

    def seeded(name: str, body: Callable[..., Any], *parameters: str) -> None:
        """Define a function whose body takes a source and its own arguments; `seed` comes behind them."""
        names = [text.partition(":")[0].partition("|")[0] for text in parameters]

        def call(run: Rendering, *values: Any) -> Any:
            *own, seed = values
            return body(Source(run, seed, name, dict(zip(names, own, strict=True))), *own)

        registry.define("function", name, *parameters, "seed:seed", needs_run=True)(call)

    def timed(name: str, body: Callable[[Source, int], str]) -> None:
        def call(run: Rendering, seed: Any, time: int | None) -> str:
            at_ms = milliseconds(run, time)
            return body(Source(run, seed, name, {"time": at_ms}), at_ms)

        registry.define("function", name, "seed:seed", "time:uint", needs_run=True)(call)

    seeded("rand_hex", lambda s, n: s.hex(bounded("rand_hex", n)), "n:uint=16")
    seeded("uuid_v4", uuid_v4)
    timed("uuid_v7", uuid_v7)
    timed("ulid", ulid)
    registry.define("function", "uuid_v5", "ns:str*", "name:str*")(uuid_v5)
    seeded("get_random", _get_random, "start:int=0", "end:int*")
    seeded("pick", lambda s, items: s.choice(_nonempty("pick", items)), "list|array:list*")
    seeded("weighted", _weighted, "pairs:list*")
    seeded("shuffle", _shuffled, "list|array:list*")
    registry.define("function", "sample", "list|array:list*", "k|n:uint*", "seed:seed", needs_run=True)(
        lambda run, items, k, seed: _sample(Source(run, seed, "sample", {"k": k, "list": items}), items, k)
    )
    seeded("trace_id", lambda s: nonzero_hex(s, 32))
    seeded("span_id", lambda s: nonzero_hex(s, 16))
    parameters = ("trace_id:str", "span_id:str", "sampled:bool=true", "seed:seed")
    registry.define("function", "traceparent", *parameters, needs_run=True)(traceparent)

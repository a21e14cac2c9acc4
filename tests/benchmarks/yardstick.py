"""How fast this machine is at this moment, so that goals given in seconds hold a program and not a machine to account.

A goal of so many milliseconds was set on a reference machine. Elsewhere, and beside neighbours, the same program takes
longer by a factor that has nothing to do with it: `slowness` measures that factor with a fixed piece of work of the
kind the package does (objects made, JSON written and read), and a limit is the goal times the factor. A program that
got slower is still found out: the work here does not get slower with it. Goals are never made stricter: on a faster
machine the factor is 1.

    undisturbed(measure, lambda found: found <= GOAL_S * slowness())

Prefer a peer in the same run where there is one.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import TypeVar

import orjson

REFERENCE_MS = 20.0
"""Of `_work` on the reference machine (2 cores x86-64, CPython 3.11, nobody else at work): median of many."""
REPEATS = 5
ATTEMPTS = 3

Found = TypeVar("Found")


def slowness(clock: Callable[[], float] = time.process_time) -> float:
    """How many times longer this machine takes now than the reference machine, at least 1.

    Parameters
    ----------
    clock : callable
        What the goal is counted by: `time.process_time`, or `time.perf_counter` for a goal by the wall clock, which
        neighbours stretch as well.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        spent_ms = []
        for _ in range(REPEATS):
            started = clock()
            _work()
            spent_ms.append((clock() - started) * 1e3)
    finally:
        if was_enabled:
            gc.enable()
    return max(1.0, sorted(spent_ms)[REPEATS // 2] / REFERENCE_MS)


def _work() -> int:
    """What loading and comparing traces is made of: small objects, strings, look-ups, JSON."""
    spans = [
        {"name": f"op {n % 20}", "number": n, "attributes": {"key": str(n), "n": n}} for n in range(15_000)
    ]
    found = orjson.loads(orjson.dumps(spans))
    names: dict[str, int] = {}
    for one in found:
        names[one["name"]] = names.get(one["name"], 0) + len(one["attributes"]["key"])
    return sum(names.values())


def undisturbed(measure: Callable[[], Found], holds: Callable[[Found], bool]) -> Found:
    """A measurement that holds, of at most `ATTEMPTS`; if none does, the last one.

    What a neighbour's turn of the processor spoiled is measured once more; a real regression fails each time.
    """
    for _ in range(ATTEMPTS):
        found = measure()
        if holds(found):
            break
    return found

"""Of several runs that want the same tests at once, each test is run once, and every run comes to its end."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from clnrm_nb.cache import Leases
from clnrm_nb.pipeline.flight import run_or_wait
from clnrm_nb.pipeline.lookup import Found
from clnrm_nb.state import State


@dataclass(frozen=True)
class NamedTest:
    test_id: str


class Shelf:
    """What has passed so far, for all runs, and the leases of one of them."""

    def __init__(self, state, stored):
        self.leases = Leases(state)
        self.stored = stored

    def reserve(self, hashes):
        return self.leases.take(hashes.values())

    def release(self, hashes):
        self.leases.release(hashes.values())

    async def wait(self, hashes):
        return await self.leases.wait(hashes.values())

    async def look_up_again(self, tests):
        found = Found()
        for test in tests:
            where = found.outcomes if test.test_id in self.stored else found.hashes
            where[test.test_id] = test.test_id
        return found


NAMES = "abcd"
RUNS = st.lists(
    st.tuples(st.sets(st.sampled_from(NAMES), min_size=1), st.integers(0, 3), st.integers(1, 3)),
    min_size=2,
    max_size=4,
)


@settings(max_examples=15)
@given(RUNS, st.sets(st.sampled_from(NAMES), max_size=2))
def test_runs_that_want_each_others_tests_all_end_and_run_each_once(runs, failing):
    ran, stored = Counter(), {}

    async def one(state, names, late, slow):
        shelf = Shelf(state, stored)

        async def run(tests, _):
            for test in tests:
                for _ in range(slow):
                    await asyncio.sleep(0)
                ran[test.test_id] += 1
                if test.test_id not in failing:
                    stored[test.test_id] = test.test_id
            return {test.test_id: test.test_id for test in tests}

        for _ in range(late):
            await asyncio.sleep(0)
        found = await shelf.look_up_again([NamedTest(name) for name in sorted(names)])
        outcomes = await run_or_wait(
            [NamedTest(name) for name in found.hashes],
            found,
            shelf,
            run=run,
            taken=lambda outcomes: None,
            why_over=lambda outcomes: None,
            not_started=lambda test, reason: reason,
        )
        # Whoever is done goes on with its report for long: what it has done is free all the same.
        return found.outcomes | outcomes

    async def everything(directory):
        with State.open(directory) as state:
            async with asyncio.timeout(20):
                return await asyncio.gather(*(one(state, *each) for each in runs))

    with tempfile.TemporaryDirectory() as directory:
        outcomes = asyncio.run(everything(Path(directory) / ".clnrm"))

    assert outcomes == [{name: name for name in names} for names, *_ in runs]
    assert all(ran[name] == 1 for names, *_ in runs for name in names - failing)

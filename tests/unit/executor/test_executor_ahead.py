"""Tests made ready before their turn: what may be early, what must not, and what becomes of it."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clnrm_nb.errors import ClnrmError
from clnrm_nb.executor.ahead import Ahead
from clnrm_nb.executor.control import Control
from clnrm_nb.executor.turns import Turns
from clnrm_nb.scenario.model import Step

ONE_WORKER = {"executor__worker_count": 1}


@pytest.fixture
def gate():
    """A command that waits until it is let through."""

    class Gate:
        def __init__(self):
            self.opened = asyncio.Event()

        async def __call__(self, command):
            await self.opened.wait()
            return 0

    return Gate()


async def test_the_next_test_is_ready_while_the_first_still_runs(run, a_test, fake_backend, gate):
    fake_backend.on_command["hold"] = gate
    first = a_test("a", steps=["hold"], meta={"priority": 1})
    task = asyncio.create_task(run(first, a_test("b", services=["db"]), settings=ONE_WORKER))

    await fake_backend.until(lambda: "start db" in fake_backend.log)
    ran_meanwhile = "run go" in fake_backend.log
    gate.opened.set()
    outcomes = await task

    assert not ran_meanwhile
    assert [(outcome.status, outcome.isolation) for outcome in outcomes] == [("passed", "warm")] * 2


async def test_a_fresh_test_makes_nothing_before_its_turn(run, a_test, fake_backend, gate):
    fake_backend.on_command["hold"] = gate
    first = a_test("a", steps=["hold"], meta={"priority": 1})
    second = a_test("b", services=["db"], meta={"isolation": "fresh"})
    task = asyncio.create_task(run(first, second, settings=ONE_WORKER))

    await fake_backend.until(lambda: "run hold" in fake_backend.log)
    for _ in range(100):
        await asyncio.sleep(0)
    made_meanwhile = [unit.spec.test_id for unit in fake_backend.units]
    gate.opened.set()
    outcomes = await task

    assert made_meanwhile == ["a.clnrm.toml"]
    assert [outcome.isolation for outcome in outcomes] == ["warm", "fresh"]


async def test_nothing_is_heard_of_a_test_before_it_starts(run, a_test, fake_backend, gate):
    fake_backend.on_command["hold"] = gate
    events = []
    first = a_test("a", steps=["hold"], meta={"priority": 1})
    tests = [first, a_test("b", services=["db"])]
    task = asyncio.create_task(run(*tests, settings=ONE_WORKER, publish=events.append))

    await fake_backend.until(lambda: "start db" in fake_backend.log)
    heard_meanwhile = [event.event for event in events if event.test == "b.clnrm.toml"]
    gate.opened.set()
    await task

    assert heard_meanwhile == ["test.queued"]
    told = [event.event for event in events if event.test == "b.clnrm.toml"]
    assert told == ["test.queued", "test.start", "service.ready", "step.end", "scenario.end", "test.end"]


async def test_waiting_for_its_turn_counts_neither_as_duration_nor_against_the_limit(
    run, a_test, fake_backend, gate
):
    fake_backend.on_command["hold"] = gate
    first = a_test("a", steps=["hold"], meta={"priority": 1})
    second = a_test("b", services=["db"], meta={"timeout_s": 1.0})
    task = asyncio.create_task(run(first, second, settings=ONE_WORKER))

    await fake_backend.until(lambda: "start db" in fake_backend.log)
    await asyncio.sleep(1.2)  # Longer than its limit, which is what must not matter.
    gate.opened.set()
    _, outcome = await task

    assert outcome.status == "passed"
    assert outcome.duration_ms < 1_000


async def test_a_service_that_ends_while_its_test_waits_is_started_again(run, a_test, fake_backend, gate):
    fake_backend.on_command["hold"] = gate
    first = a_test("a", steps=["hold"], meta={"priority": 1})
    task = asyncio.create_task(run(first, a_test("b", services=["db"]), settings=ONE_WORKER))

    await fake_backend.until(lambda: "start db" in fake_backend.log)
    await fake_backend.units[1].services["db"].is_watched.wait()
    await asyncio.sleep(0.05)  # Ten times what a one-shot service has for its end; that timer came first.
    fake_backend.units[1].services["db"].end.set_result(1)
    gate.opened.set()
    _, outcome = await task

    assert outcome.status == "passed"
    assert fake_backend.log.count("start db") == 2
    assert [unit.closed for unit in fake_backend.units] == [1, 1, 1]


async def test_what_goes_wrong_ahead_is_told_when_the_test_runs(run, a_test, fake_backend, codes, gate):
    async def refuse(service):
        raise ClnrmError("no such image", "CLN602")

    fake_backend.on_command["hold"] = gate
    fake_backend.on_start["db"] = refuse
    first = a_test("a", steps=["hold"], meta={"priority": 1})
    task = asyncio.create_task(run(first, a_test("b", services=["db"]), settings=ONE_WORKER))

    await fake_backend.until(lambda: "start db" in fake_backend.log)
    gate.opened.set()
    passed, failed = await task

    assert (passed.status, failed.status, codes(failed)) == ("passed", "failed", ["CLN602"])
    assert [unit.closed for unit in fake_backend.units] == [1, 1]


async def test_after_enough_failures_what_was_made_ready_is_thrown_away(run, a_test, fake_backend):
    fake_backend.on_command["bad"] = 1
    tests = [a_test("a", steps=["bad"], meta={"priority": 1}), a_test("b", services=["db"])]

    failed, skipped = await run(*tests, settings={**ONE_WORKER, "executor__fail_fast": True})

    assert (failed.status, skipped.status) == ("failed", "skipped")
    assert "run go" not in fake_backend.log
    assert all(unit.closed == 1 for unit in fake_backend.units)


async def test_a_group_is_not_overbooked_by_tests_made_ready(run, a_test, fake_backend):
    tests = [a_test(name, meta={"groups": ("gpu",)}) for name in "abcd"]
    open_at_once = []

    async def note(spec):
        open_at_once.append(sum(not unit.closed for unit in fake_backend.units))

    fake_backend.on_open = note
    await run(*tests, settings={"executor__worker_count": 4})

    assert open_at_once == [0, 0, 0, 0]


async def test_the_containers_of_tests_made_ready_count(run, a_test, fake_backend):
    tests = [a_test(name, services=["db"], steps=[Step(name="go", command=("go",))]) for name in "abcd"]
    open_at_once = []

    async def note(spec):
        open_at_once.append(sum(not unit.closed for unit in fake_backend.units))

    fake_backend.on_open = note
    await run(*tests, settings={"executor__max_concurrent_containers": 4})

    assert max(open_at_once) <= 1


async def test_tests_are_made_ready_at_once_and_begin_when_told(run, a_test, fake_backend):
    go, events = asyncio.Event(), []
    task = asyncio.create_task(run(a_test(services=["db"]), control=Control(go=go), publish=events.append))

    await fake_backend.until(lambda: "start db" in fake_backend.log)
    for _ in range(100):
        await asyncio.sleep(0)
    heard_meanwhile = [event.event for event in events]
    go.set()
    outcome = await task

    assert heard_meanwhile == ["test.queued"]
    assert outcome.status == "passed"


async def test_what_was_made_ready_and_never_told_to_begin_is_removed(run, a_test, fake_backend):
    task = asyncio.create_task(run(a_test(services=["db"]), control=Control(go=asyncio.Event())))

    await fake_backend.until(lambda: "start db" in fake_backend.log)
    task.cancel()
    outcome = await task

    assert outcome.status == "skipped"
    assert [unit.closed for unit in fake_backend.units] == [1]


# ------------------------------------------------------------------------------------------ worker slots


async def test_the_slot_goes_to_the_first_in_the_queue_not_to_the_first_who_came():
    turns, order = Turns(1), []
    await turns.acquire(0)

    async def wait(rank):
        await turns.acquire(rank)
        order.append(rank)
        turns.release()

    waiting = [asyncio.create_task(wait(rank)) for rank in (3, 1, 2)]
    await asyncio.sleep(0)
    turns.release()
    await asyncio.gather(*waiting)

    assert order == [1, 2, 3]


async def test_a_slot_given_to_somebody_who_gave_up_is_not_lost():
    turns = Turns(1)
    await turns.acquire(0)
    gave_up = asyncio.create_task(turns.acquire(1))
    await asyncio.sleep(0)
    turns.release()
    gave_up.cancel()
    await asyncio.gather(gave_up, return_exceptions=True)

    await asyncio.wait_for(turns.acquire(2), 5)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=30), st.integers(1, 4))
def test_law_never_more_slots_than_there_are_and_none_lost(waiters, slots):
    async def play():
        turns, busy, most = Turns(slots), 0, 0

        async def work(rank):
            nonlocal busy, most
            await turns.acquire(rank)
            busy += 1
            most = max(most, busy)
            await asyncio.sleep(0)
            busy -= 1
            turns.release()

        tasks = [asyncio.create_task(work(rank)) for rank, _ in waiters]
        await asyncio.sleep(0)
        for task, (_, gives_up) in zip(tasks, waiters, strict=True):
            if gives_up and busy == 0:
                task.cancel()
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)
        for _ in range(slots):
            await asyncio.wait_for(turns.acquire(0), 10)
        return most

    assert asyncio.run(play()) <= slots


# ---------------------------------------------------------------------------------------- Little's law


def test_short_tests_are_prepared_further_ahead_than_long_ones():
    short, long = Ahead(2, durations_ms=[20.0]), Ahead(2, durations_ms=[60_000.0])

    assert short.count > long.count == 1


def test_the_configured_size_is_taken_as_it_is():
    assert Ahead(2, size=7, durations_ms=[20.0]).count == 7


def test_without_workers_nothing_is_prepared():
    assert Ahead(0, size=7).count == 0


def test_what_is_seen_corrects_what_was_recorded():
    ahead = Ahead(2, durations_ms=[60_000.0])
    for _ in range(20):
        ahead.observe(500.0, 20.0)

    assert ahead.count > 1

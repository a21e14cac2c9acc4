"""Tests given up one by one while a run goes on, and runs that share what they may use at once."""

from __future__ import annotations

import asyncio
import socket

import pytest

from clnrm_nb.executor import kept
from clnrm_nb.executor.control import Control, Slots
from clnrm_nb.executor.receiving import receiver_of

WHY = "obsolete: a.clnrm.toml changed"


async def test_a_running_test_that_is_dropped_is_stopped_and_the_others_go_on(run, a_test, fake_backend):
    control, b_may_end, is_closed = Control(), asyncio.Event(), []

    async def forever(_):
        control.drop(["a.clnrm.toml"], WHY)
        await asyncio.Event().wait()

    async def after_a_is_gone(_):
        await b_may_end.wait()
        return 0

    async def note(unit):
        is_closed.append(unit.spec.test_id)
        b_may_end.set()

    fake_backend.on_command.update(long=forever, late=after_a_is_gone)
    fake_backend.on_close = note
    a, b = await run(
        a_test("a", steps=["long"]),
        a_test("b", steps=["late"]),
        settings={"executor__worker_count": 2},
        control=control,
    )

    assert (a.status, a.reason, b.status) == ("skipped", WHY, "passed")
    assert is_closed == ["a.clnrm.toml", "b.clnrm.toml"]


async def test_a_test_that_is_dropped_before_its_turn_never_starts(run, a_test, fake_backend):
    control, events = Control(), []

    async def drop_b(_):
        control.drop(["b.clnrm.toml"], WHY)
        return 0

    fake_backend.on_command["first"] = drop_b
    a, b = await run(
        a_test("a", steps=["first"]),
        a_test("b", steps=["second"]),
        settings={"executor__worker_count": 1},
        control=control,
        publish=events.append,
    )

    assert (a.status, b.status, b.reason) == ("passed", "skipped", WHY)
    assert [command.name for command in fake_backend.commands] == ["first"]
    assert ("test.start", "b.clnrm.toml") not in {(event.event, event.test) for event in events}
    assert sorted(event.status for event in events if event.event == "test.end") == ["passed", "skipped"]


async def test_a_test_that_waits_for_its_next_attempt_can_be_dropped(run, a_test, fake_backend):
    control = Control()
    fake_backend.on_command["go"] = 1

    def listen(event):
        if event.event == "test.retry":
            control.drop([event.test], WHY)

    outcome = await run(a_test("a"), settings={"executor__retries": 9}, control=control, publish=listen)

    assert (outcome.status, outcome.reason, len(fake_backend.commands)) == ("skipped", WHY, 1)


async def test_a_verdict_that_was_there_first_stays(run, a_test):
    control = Control()

    def listen(event):
        if event.event == "test.end":
            control.drop([event.test], WHY)

    outcome = await run(a_test("a"), control=control, publish=listen)

    assert outcome.status == "passed"


async def test_runs_that_share_their_slots_never_run_more_tests_at_once(run, a_test, fake_backend):
    slots = Slots(3)

    async def brief(_):
        for _ in range(5):
            await asyncio.sleep(0)
        return 0

    fake_backend.on_command["go"] = brief
    eight = {"executor__worker_count": 8}
    await asyncio.gather(
        run(*(a_test(name) for name in "abcdef"), settings=eight, control=Control(slots=slots)),
        run(*(a_test(name) for name in "ghijkl"), settings=eight, control=Control(slots=slots)),
    )

    assert fake_backend.most_running == 3


# ------------------------------------------------------------------------------------ the kept backend


class Backend:
    """One that may stay open."""

    def __init__(self):
        self.is_open, self.answers = True, True

    async def wake(self, *, is_shared=False):
        await asyncio.sleep(0)
        return self.answers

    async def close(self):
        await asyncio.sleep(0)
        self.is_open = False


@pytest.fixture
def opened(monkeypatch):
    """Backends in the order they were opened; nothing is kept afterwards."""
    made = []

    async def open_backend(name, settings):
        made.append(Backend())
        return made[-1]

    monkeypatch.setattr(kept, "open_backend", open_backend)
    monkeypatch.setattr(kept, "_keeper", kept._Keeper(idle_s=60.0))
    return made


async def test_a_run_beside_another_uses_the_same_backend(opened, settings_for):
    async with kept.lent_backend("fake", settings_for()) as one:
        async with kept.lent_backend("fake", settings_for()) as other:
            pass
        is_open_for_the_first = one.is_open

    assert one is other
    assert is_open_for_the_first
    assert (len(opened), one.is_open) == (1, True)
    await kept.let_go()
    assert not one.is_open


async def test_a_run_with_other_settings_has_a_backend_of_its_own(opened, settings_for):
    async with kept.lent_backend("fake", settings_for()) as one:
        async with kept.lent_backend("fake", settings_for(executor__docker_host="tcp://x")) as other:
            assert other is not one
        assert (one.is_open, other.is_open) == (True, False)


async def test_what_does_not_answer_any_more_is_closed_by_its_last_user(opened, settings_for):
    async with kept.lent_backend("fake", settings_for()) as one:
        one.answers = False
        async with kept.lent_backend("fake", settings_for()) as other:
            assert (other is one, one.is_open) == (False, True)

    assert (one.is_open, other.is_open) == (False, True)


async def test_what_is_not_to_be_kept_any_more_is_closed_by_its_last_user(opened, settings_for):
    async with kept.lent_backend("fake", settings_for()) as one:
        kept.keep_backends(None)
        await kept.let_go()
        assert one.is_open

    assert not one.is_open


@pytest.fixture
def unused_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def test_runs_at_the_same_time_share_a_receiver_whose_port_is_fixed(settings_for, unused_port):
    settings = settings_for(receiver__port=unused_port)

    async with receiver_of(settings) as one, receiver_of(settings) as other:
        assert one is other
        assert one.port == unused_port
    async with receiver_of(settings) as third:
        assert third is not one


async def test_runs_without_a_fixed_port_have_receivers_of_their_own(settings_for):
    async with receiver_of(settings_for()) as one, receiver_of(settings_for()) as other:
        assert one.port != other.port

from __future__ import annotations

import asyncio
import random

import pytest

from clnrm_nb.executor import slow
from clnrm_nb.executor.admission import TestHistory
from clnrm_nb.executor.pool import run_tests


async def test_outcomes_come_in_path_order_whatever_finishes_first(run, a_test, fake_backend):
    b_has_ended = asyncio.Event()

    async def wait(_):
        await b_has_ended.wait()
        return 0

    fake_backend.on_command["slow"] = wait
    ended = []

    def listen(event):
        if event.event == "test.end":
            ended.append(event.test)
            b_has_ended.set()

    outcomes = await run(
        a_test("a", steps=["slow"]), a_test("b"), settings={"executor__worker_count": 2}, publish=listen
    )

    assert [outcome.id for outcome in outcomes] == ["a.clnrm.toml", "b.clnrm.toml"]
    assert ended == ["b.clnrm.toml", "a.clnrm.toml"]


@pytest.mark.parametrize("workers", [1, 2, 4])
async def test_never_more_tests_than_workers_run(run, a_test, fake_backend, workers):
    async def brief(_):
        for _ in range(5):
            await asyncio.sleep(0)
        return 0

    fake_backend.on_command["go"] = brief
    await run(*(a_test(name) for name in "abcdefgh"), settings={"executor__worker_count": workers})

    assert fake_backend.most_running == workers


async def test_one_worker_follows_the_queue_order(run, a_test, fake_backend):
    await run(
        a_test("a"),
        a_test("b"),
        a_test("c"),
        settings={"executor__worker_count": 1},
        history={
            "a.clnrm.toml": TestHistory("passed", 1.0),
            "b.clnrm.toml": TestHistory("passed", 9.0),
            "c.clnrm.toml": TestHistory("error", 1.0),
        },
    )

    assert [entry for entry in fake_backend.log if entry.startswith("close")] == [
        "close c.clnrm.toml",
        "close b.clnrm.toml",
        "close a.clnrm.toml",
    ]


@pytest.mark.parametrize(
    ("keys", "started"), [({"executor__fail_fast": True}, 1), ({"executor__max_fail": 2}, 2)]
)
async def test_after_enough_failures_nothing_more_starts(run, a_test, fake_backend, keys, started):
    fake_backend.on_command["go"] = 1

    outcomes = await run(*(a_test(name) for name in "abcd"), settings={"executor__worker_count": 1, **keys})

    assert [outcome.status for outcome in outcomes] == ["failed"] * started + ["skipped"] * (4 - started)
    assert "--max-fail" in outcomes[-1].reason
    assert outcomes[-1].scenarios[0].status == "skipped"


async def test_a_test_that_passes_after_failing_is_flaky(run, a_test, fake_backend, codes):
    results = iter([1, 0])
    fake_backend.on_command["go"] = lambda _: next(results)

    outcome = await run(a_test(), settings={"executor__retries": 3})

    why = "`go`: exit code 1, expected 0"
    assert (outcome.status, outcome.reason) == ("flaky", f"passed in attempt 2; attempt 1 failed: {why}")
    assert [(one.number, one.status, one.reason) for one in outcome.attempts] == [
        (1, "failed", why),
        (2, "passed", None),
    ]
    assert codes(outcome) == []
    assert [unit.closed for unit in fake_backend.units] == [1, 1]


async def test_retries_end_with_the_last_attempt_and_all_are_told(run, a_test, fake_backend):
    results = iter([3, 4, 5])
    fake_backend.on_command["go"] = lambda _: next(results)

    outcome = await run(a_test(), settings={"executor__retries": 2})

    assert outcome.status == "failed"
    assert len(fake_backend.units) == 3
    assert [one["reason"] for one in outcome.to_json()["attempts"]] == [
        f"`go`: exit code {code}, expected 0" for code in (3, 4, 5)
    ]
    assert "attempt 1 failed: `go`: exit code 3" in outcome.reason


async def test_a_test_that_waits_for_its_next_attempt_holds_no_worker(run, a_test, fake_backend):
    b_has_ended = asyncio.Event()
    results = iter([1, 0])

    async def second_attempt_after_b(_):
        if (result := next(results)) == 0:
            await asyncio.wait_for(b_has_ended.wait(), 10)
        return result

    def listen(event):
        if (event.event, event.test) == ("test.end", "b.clnrm.toml"):
            b_has_ended.set()

    fake_backend.on_command["first"] = second_attempt_after_b
    a, b = await run(
        a_test("a", steps=["first"]),
        a_test("b"),
        settings={"executor__worker_count": 1, "executor__retries": 1},
        publish=listen,
    )

    assert (a.status, b.status) == ("flaky", "passed")
    assert fake_backend.most_running == 1


async def test_no_further_attempt_starts_after_enough_failures(run, a_test, fake_backend):
    b_may_fail = asyncio.Event()

    async def fail_late(_):
        await b_may_fail.wait()
        return 1

    def listen(event):
        if event.event == "test.retry" and event.test == "a.clnrm.toml":
            b_may_fail.set()

    fake_backend.on_command.update(go=1, late=fail_late)

    def evaluate(plan, outcome):
        # An error is not retried, so that this failure is final while the other test waits.
        if plan.id.startswith("b"):
            outcome.status = "error"

    a, b = await run(
        a_test("a"),
        a_test("b", steps=["late"]),
        settings={"executor__worker_count": 2, "executor__retries": 9, "executor__max_fail": 1},
        publish=listen,
        evaluate=evaluate,
    )

    assert (a.status, b.status) == ("failed", "error")
    assert "no further attempt" in a.reason
    assert len(fake_backend.commands) == 2


async def test_an_interrupt_ends_the_wait_for_the_next_attempt(run, a_test, fake_backend):
    fake_backend.on_command["go"] = 1
    waits = asyncio.Event()

    def listen(event):
        if event.event == "test.retry":
            waits.set()

    task = asyncio.create_task(run(a_test(), settings={"executor__retries": 3}, publish=listen))
    await waits.wait()
    task.cancel()
    outcome = await task

    assert outcome.status == "interrupted"
    assert "exit code 1" in outcome.reason


async def test_what_may_stay_unevaluated_is_neither_retried_nor_a_failure(run, a_test, fake_backend):
    def evaluate(plan, outcome):
        outcome.status = "incomplete"

    keys = {
        "executor__retries": 2,
        "executor__max_fail": 1,
        "executor__worker_count": 1,
        "executor__isolation": "fresh",
    }
    lenient = await run(
        a_test("a"),
        a_test("b"),
        settings={**keys, "executor__allow_not_evaluated": True},
        evaluate=evaluate,
    )
    ran = len(fake_backend.commands)
    strict = await run(a_test("a"), a_test("b"), settings={**keys, "executor__retries": 0}, evaluate=evaluate)

    assert [outcome.status for outcome in lenient] == ["incomplete", "incomplete"]
    assert ran == 2
    assert [outcome.status for outcome in strict] == ["incomplete", "skipped"]
    assert len(fake_backend.commands) - ran == 1


@pytest.mark.parametrize(("retries", "statuses"), [(1, ["flaky", "failed"]), (0, ["failed", "skipped"])])
async def test_expectations_decide_about_retries_and_failures(run, a_test, retries, statuses):
    verdicts = {"a.clnrm.toml": iter(["failed", "passed"]), "b.clnrm.toml": iter(["failed", "failed"])}

    def evaluate(plan, outcome):
        outcome.status = next(verdicts[plan.id])

    outcomes = await run(
        *(a_test(name) for name in "ab"),
        settings={"executor__worker_count": 1, "executor__retries": retries, "executor__max_fail": 1},
        evaluate=evaluate,
    )

    assert [outcome.status for outcome in outcomes] == statuses


async def test_a_failing_evaluation_is_one_tests_internal_error(run, a_test, codes):
    def evaluate(plan, outcome):
        if plan.id.startswith("a"):
            raise ZeroDivisionError("oops")

    broken, fine = await run(a_test("a"), a_test("b"), evaluate=evaluate)

    assert (broken.status, codes(broken)) == ("error", ["CLN901"])
    assert "ZeroDivisionError: oops" in broken.reason
    assert fine.status == "passed"


async def test_an_exception_inside_one_test_does_not_touch_the_others(run, a_test, fake_backend, codes):
    async def explode(spec):
        if spec.test_id.startswith("a"):
            raise RuntimeError("bug")

    fake_backend.on_open = explode
    broken, fine = await run(a_test("a"), a_test("b"))

    assert (broken.status, codes(broken), fine.status) == ("error", ["CLN901"], "passed")
    assert "test_executor_pool.py" in broken.diagnostics[0].hint


async def test_a_listener_that_fails_does_not_end_the_run(run, a_test):
    def listener(event):
        raise ValueError("my own bug")

    outcome = await run(a_test(), publish=listener)

    assert outcome.status == "passed"


@pytest.mark.parametrize(("isolation", "made"), [("fresh", 2), ("warm", 3)])
async def test_cancelling_stops_what_runs_and_starts_nothing_more(  # noqa: PLR0917  # Fixtures.
    a_test, plan_for, settings_for, project, fake_backend, fake_receiver, hang, isolation, made
):
    fake_backend.on_command["go"] = hang
    keys = {"executor__worker_count": 2, "executor__isolation": isolation}
    task = asyncio.create_task(
        run_tests(
            [plan_for(a_test(name), **keys) for name in "abc"],
            fake_backend,
            settings=settings_for(**keys),
            project=project,
            run_id="R1",
            receiver=fake_receiver,
        )
    )
    await fake_backend.until(lambda: fake_backend.running == 2)
    task.cancel()
    outcomes = await task

    assert [outcome.status for outcome in outcomes] == ["interrupted", "interrupted", "skipped"]
    assert outcomes[0].scenarios[0].commands[0].status == "interrupted"
    assert [unit.closed for unit in fake_backend.units] == [1] * made
    assert not any(entry.startswith("stop") for entry in fake_backend.log)
    assert not fake_receiver.sinks


async def test_events_tell_the_whole_story_in_order(run, a_test):
    events = []
    await run(a_test(services=["db"]), publish=events.append)

    assert [event.event for event in events] == [
        "test.queued",
        "test.start",
        "service.ready",
        "step.end",
        "scenario.end",
        "test.end",
    ]
    assert {event.test for event in events} == {"a.clnrm.toml"}


async def test_a_test_with_several_attempts_is_queued_started_and_ended_once(run, a_test, fake_backend):
    results = iter([1, 1, 0])
    fake_backend.on_command["go"] = lambda _: next(results)
    events = []

    await run(a_test(), settings={"executor__retries": 2}, publish=events.append)

    told = [event for event in events if event.event.startswith("test.")]
    assert [event.event for event in told] == [
        "test.queued",
        "test.start",
        "test.retry",
        "test.retry",
        "test.end",
    ]
    assert [event.data["attempt"] for event in told[2:4]] == [2, 3]


@pytest.mark.parametrize("seed", range(25))
async def test_whatever_happens_each_test_has_one_story(run, a_test, fake_backend, seed):
    chance = random.Random(seed)
    events, task = [], None
    stop_at = chance.choice([None, chance.randint(1, 40)])

    async def act(_):
        for _ in range(chance.randint(0, 5)):
            await asyncio.sleep(0)
        return chance.choice([0, 0, 1])

    def listen(event):
        events.append(event)
        if stop_at is not None and len(events) == stop_at:
            task.cancel()

    fake_backend.on_command["go"] = act
    tests = [a_test(f"t{number}", services=["db"]) for number in range(chance.randint(1, 8))]
    keys = {
        "executor__worker_count": chance.randint(1, 4),
        "executor__retries": chance.randint(0, 2),
        "executor__max_fail": chance.choice([0, 0, 1, 2]),
    }
    task = asyncio.create_task(run(*tests, settings=keys, publish=listen))
    outcomes = await task
    outcomes = outcomes if isinstance(outcomes, list) else [outcomes]

    assert [outcome.name for outcome in outcomes] == [f"t{number}" for number in range(len(tests))]
    for outcome in outcomes:
        told = [event for event in events if event.test == outcome.id]
        names = [event.event for event in told]
        assert (names[0], names[-1], told[-1].status) == ("test.queued", "test.end", outcome.status)
        assert [names.count(name) for name in ("test.queued", "test.end")] == [1, 1]
        if len(names) > 2:
            assert names.index("test.start") == 1
            assert names.count("test.start") == 1
        if outcome.status in ("passed", "failed", "flaky"):
            attempts = names.count("test.retry") + 1
            assert len(outcome.attempts) in ({attempts} if attempts > 1 else {0})
    assert all(unit.closed == 1 for unit in fake_backend.units)


async def test_a_test_that_takes_long_says_so_again_and_again_until_it_ends(
    run, a_test, fake_backend, monkeypatch
):
    monkeypatch.setattr(slow, "_LONGEST_PERIOD_S", 0.01)
    seen = []
    third = asyncio.Event()

    def listen(event):
        seen.append(event.event)
        if seen.count("test.slow") == 3:
            third.set()

    async def wait(_):
        await asyncio.wait_for(third.wait(), 10)
        return 0

    fake_backend.on_command["go"] = wait
    outcome = await run(a_test(), publish=listen)
    told = len(seen)
    await asyncio.sleep(0.03)

    assert outcome.status == "passed"
    assert len(seen) == told
    assert seen.index("test.start") < seen.index("test.slow")


async def test_growing_tables_are_handed_out_as_tests_start(run, a_test):
    tables = {}
    outcome = await run(a_test(), tables=tables)

    assert tables["a.clnrm.toml"] is outcome.spans

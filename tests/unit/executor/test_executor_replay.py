from __future__ import annotations

import json

import pytest

from clnrm_nb.errors import ClnrmError
from clnrm_nb.executor.backends import replay
from clnrm_nb.executor.backends.replay import ReplayBackend, ReplayUnit
from clnrm_nb.executor.recording import RecordedTest
from clnrm_nb.scenario.model import Retry, Scenario, Step
from clnrm_nb.spans.table import SpanTable


def step(name, **fields):
    return Step(name=name, command=(name,), **fields)


@pytest.fixture
def recorded(run, project):
    """Run tests on the fake backend; the recording the run left."""

    async def record(test, **options):
        outcome = await run(test, **options)
        return outcome, next(project.state_dir.rglob("recording.json"))

    return record


@pytest.fixture
def replayed(run, settings_for):
    async def play(test, path, **options):
        backend = ReplayBackend(settings_for(executor__replay=str(path)), longest_s=0.0)
        return await run(test, backend=backend, **options)

    return play


PRINTED = b'{"name": "work", "trace_id": "%s", "span_id": "%s"}\n' % (b"ab" * 16, b"cd" * 8)


async def test_a_replay_gives_the_results_of_the_recorded_run(
    recorded, replayed, a_test, fake_backend, result
):
    fake_backend.on_command = {
        "a": result(0, PRINTED),
        "b": result(3, b"", b"oh"),
        "c": result(None, timed_out=True),
    }
    test = a_test(
        services=["db"],
        steps=["a"],
        scenarios=(Scenario(name="s", run=(step("b"),)), Scenario(name="t", run=(step("c", timeout_s=9.0),))),
    )
    original, path = await recorded(test)
    replay_run = await replayed(test, path)

    def told(outcome):
        return [
            (
                s.name,
                s.status,
                s.span_count,
                [(c.name, c.status, c.exit_code, c.stderr, c.reason) for c in s.commands],
            )
            for s in outcome.scenarios
        ]

    assert told(replay_run) == told(original)
    assert replay_run.status == original.status == "failed"
    assert (replay_run.replayed, replay_run.hermetic, replay_run.backend) == (True, False, "replay")


async def test_a_replay_shows_the_recorded_spans_with_ids_times_and_owners(
    recorded, replayed, a_test, fake_backend, result
):
    fake_backend.on_command["go"] = result(0, PRINTED)
    original, path = await recorded(a_test())

    outcome = await replayed(a_test(), path)

    def rows(table):
        return sorted(
            zip(table.name, table.span_id, table.start_ns, table.scenario, table.own, strict=True), key=str
        )

    assert rows(outcome.spans) == rows(original.spans)
    assert outcome.complete


async def test_a_replay_is_judged_by_the_rules_of_the_file_as_it_is_now(recorded, replayed, a_test, codes):
    _, path = await recorded(a_test())

    outcome = await replayed(a_test(steps=[step("go", expected_exit_code=1)]), path)

    assert (outcome.status, codes(outcome)) == ("failed", ["CLN605"])


async def test_a_flaky_step_stays_flaky_and_a_failed_one_is_not_tried_again(
    recorded, replayed, a_test, fake_backend
):
    results = iter([1, 0, 1, 1])
    fake_backend.on_command = {"a": lambda _: next(results), "b": lambda _: next(results)}
    test = a_test(steps=[step("a", retry=Retry(max_attempts=2)), step("b", retry=Retry(max_attempts=2))])
    _, path = await recorded(test)

    outcome = await replayed(test, path)

    commands = outcome.scenarios[0].commands
    assert [(command.status, command.attempts) for command in commands] == [("flaky", 2), ("failed", 2)]


async def test_a_command_that_was_not_recorded_is_not_evaluated(recorded, replayed, a_test, codes):
    _, path = await recorded(a_test())

    outcome = await replayed(a_test(steps=["go", "new"]), path)

    assert [command.status for command in outcome.scenarios[0].commands] == ["passed", "incomplete"]
    assert (outcome.status, codes(outcome)) == ("incomplete", ["CLN612"])


async def test_commands_of_one_name_are_answered_in_their_order(recorded, replayed, a_test, fake_backend):
    results = iter([0, 4])
    fake_backend.on_command["go"] = lambda _: next(results)
    test = a_test(steps=["go", step("go", expected_exit_code=4)])
    _, path = await recorded(test)

    assert (await replayed(test, path)).status == "passed"


async def test_from_a_file_of_spans_commands_are_not_evaluated(replayed, a_test, tmp_path, codes):
    path = tmp_path / "spans.json"
    path.write_text(json.dumps([{"name": "work", "trace_id": "ab" * 16, "span_id": "cd" * 8}]))

    outcome = await replayed(a_test(), path)

    assert (outcome.status, codes(outcome)) == ("incomplete", ["CLN612"])
    assert outcome.scenarios[0].span_count == 1


async def test_a_test_without_a_recording_is_an_error_of_that_test(recorded, replayed, a_test, codes):
    _, path = await recorded(a_test("a"))

    outcomes = await replayed(a_test("a"), path), await replayed(a_test("b"), path)

    assert [outcome.status for outcome in outcomes] == ["passed", "error"]
    assert codes(outcomes[1]) == ["CLN618"]


async def test_a_replay_refuses_a_test_that_must_be_hermetic(recorded, replayed, a_test, codes):
    _, path = await recorded(a_test())

    assert codes(await replayed(a_test(meta={"hermetic": True}), path)) == ["CLN617"]


@pytest.mark.parametrize("keys", [{}, {"executor__replay": "no/such/file.json"}])
async def test_nothing_to_replay_is_said_before_any_test(settings_for, keys):
    with pytest.raises(ClnrmError) as caught:
        await ReplayBackend(settings_for(**keys)).open()

    assert (caught.value.code, caught.value.exit_code) == ("CLN618", 2)


async def played(a_span, monkeypatch, ends_s, speed, longest_s):
    """Pauses and batches of a replay of spans that ended at these seconds."""
    pauses, batches = [], []

    async def sleep(seconds):
        pauses.append(round(seconds, 6))

    monkeypatch.setattr(replay.asyncio, "sleep", sleep)
    table = SpanTable(
        a_span(f"{end}", f"{number:016x}", end_ns=int(end * 1e9) + 1) for number, end in enumerate(ends_s)
    )
    unit = ReplayUnit(RecordedTest("t", None, {"s": table}), speed, longest_s)
    await unit.play("s", lambda rows: batches.append(list(rows.name)))
    return pauses, batches


async def test_spans_are_streamed_in_the_order_they_ended_with_their_pauses(a_span, monkeypatch):
    pauses, batches = await played(a_span, monkeypatch, [3.0, 1.0, 2.0], speed=10.0, longest_s=9.0)

    assert pauses == [0.1, 0.1]
    assert batches == [["1.0"], ["2.0"], ["3.0"]]


async def test_a_long_recording_is_replayed_in_the_longest_time_allowed(a_span, monkeypatch):
    pauses, _ = await played(a_span, monkeypatch, [0.0, 600.0], speed=10.0, longest_s=1.0)

    assert pauses == [1.0]


async def test_spans_close_together_are_handed_over_at_once(a_span, monkeypatch):
    pauses, batches = await played(a_span, monkeypatch, [0.0, 0.01, 0.02], speed=10.0, longest_s=1.0)

    assert (pauses, batches) == ([], [["0.0", "0.01", "0.02"]])

"""The same tests several times: the worst of each counts, and when it stops."""

from __future__ import annotations

import pytest

from clnrm_nb.config.project import Project
from clnrm_nb.config.settings import load_settings
from clnrm_nb.executor.events import Event
from clnrm_nb.executor.outcome import TestOutcome
from clnrm_nb.pipeline.rounds import run_rounds


@pytest.fixture
def rounds(tmp_path):
    """Run one test, `a`, with these statuses in turn; its outcome, and how often it was run."""

    async def rounds(*statuses, repeat=1, until_fail=False, **keys):
        script, events = iter(statuses), []

        async def run_once(listener):
            status = next(script)
            for name in ("test.queued", "test.start", "test.end"):
                listener(Event(name, "R", "a", status=status))
            return [TestOutcome("a", "a", status, reason=f"it was {status}")]

        overrides = {f"executor.{key}": value for key, value in keys.items()}
        settings = load_settings(Project(tmp_path, tmp_path), overrides=overrides, environ={}).executor
        (outcome,) = await run_rounds(
            run_once, events.append, repeat=repeat, until_fail=until_fail, settings=settings
        )
        return outcome, len(statuses) - len(list(script)), [event.event for event in events]

    return rounds


async def test_one_round_is_left_as_it_is(rounds):
    outcome, _, events = await rounds("passed")

    assert (outcome.status, outcome.reason) == ("passed", "it was passed")
    assert events == ["test.queued", "test.start", "test.end"]


async def test_the_worst_outcome_counts_and_all_are_counted(rounds):
    outcome, times, events = await rounds("passed", "error", "failed", "passed", repeat=4)

    assert (outcome.status, times) == ("error", 4)
    assert outcome.reason == "it was error; run 4 times: 2 passed, 1 failed, 1 error"
    assert events == ["test.queued", "test.start", *["test.repeat"] * 4, "test.end"]


@pytest.mark.parametrize(
    ("statuses", "keys", "times"),
    [
        (["passed", "failed", "passed"], {}, 2),
        (["flaky", "error", "passed"], {}, 2),
        (["flaky", "passed"], {"flaky": "fail"}, 1),
        (["incomplete", "passed"], {}, 1),
        (["incomplete", "failed", "passed"], {"allow_not_evaluated": True}, 2),
        (["passed", "interrupted", "passed"], {}, 2),
    ],
)
async def test_until_fail_goes_on_until_a_test_fails_the_run(rounds, statuses, keys, times):
    outcome, ran, _ = await rounds(*statuses, until_fail=True, **keys)

    assert ran == times
    assert outcome.status == statuses[times - 1]


async def test_repeat_bounds_until_fail(rounds):
    outcome, times, _ = await rounds("passed", "passed", "passed", repeat=2, until_fail=True)

    assert (outcome.status, times) == ("passed", 2)


async def test_an_interrupt_ends_the_rounds_and_is_told(rounds):
    outcome, times, _ = await rounds("passed", "interrupted", "passed", repeat=3)

    assert (outcome.status, times) == ("interrupted", 2)
    assert outcome.reason.endswith("run 2 times: 1 passed, 1 interrupted")

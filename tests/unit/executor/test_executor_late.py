"""Spans that come too late are reported once, where they belong."""

from __future__ import annotations

import pytest

from clnrm_nb.executor.pool import run_tests


@pytest.fixture
def run(*, fake_backend, fake_receiver, settings_for, project, a_test, plan_for):
    async def run(strays, *names):
        fake_receiver.claim_stray_rest = lambda: strays
        events = []
        plans = [plan_for(a_test(name)) for name in names]
        outcomes = await run_tests(
            plans,
            fake_backend,
            settings=settings_for(),
            project=project,
            run_id="R1",
            receiver=fake_receiver,
            publish=events.append,
        )
        said = [event.data["message"] for event in events if event.event == "diagnostic"]
        return [[str(finding) for finding in outcome.diagnostics] for outcome in outcomes], said

    return run


async def test_a_test_that_is_named_is_told_of_its_late_spans(run):
    findings, said = await run({"a.clnrm.toml": 2, None: 1}, "a", "b")

    assert findings == [
        ["CLN615 2 spans came after the test had ended"],
        ["CLN615 1 span came under an unknown token"],
    ]
    assert len(said) == 2


async def test_nothing_late_is_no_finding(run):
    assert await run({}, "a") == ([[]], [])


async def test_a_run_of_no_tests_has_nobody_to_tell(run):
    assert await run({None: 3}) == ([], [])

from __future__ import annotations

import asyncio

import pytest

from clnrm_nb.executor.scenarios import scenarios_of
from clnrm_nb.scenario.model import Expect, Policy, Retry, Scenario, Step


def step(name, **fields):
    return Step(name=name, command=(name,), **fields)


def statuses(outcome):
    return {command.name: command.status for scenario in outcome.scenarios for command in scenario.commands}


async def test_the_first_failed_step_skips_the_rest(run, a_test, fake_backend, codes):
    fake_backend.on_command["b"] = 2

    outcome = await run(a_test(steps=["a", "b", "c"]))

    assert statuses(outcome) == {"a": "passed", "b": "failed", "c": "skipped"}
    assert (outcome.status, outcome.scenarios[0].name, codes(outcome)) == ("failed", "steps", ["CLN605"])
    assert outcome.diagnostics[0].message == "`b`: exit code 2, expected 0"


async def test_continue_on_failure_lets_later_steps_run_and_the_step_stays_failed(run, a_test, fake_backend):
    fake_backend.on_command["a"] = 1

    outcome = await run(a_test(steps=[step("a", continue_on_failure=True), "b"]))

    assert statuses(outcome) == {"a": "failed", "b": "passed"}
    assert outcome.status == "failed"


async def test_a_failed_scenario_does_not_stop_the_next_one(run, a_test, fake_backend):
    fake_backend.on_command["a"] = 1
    scenarios = (
        Scenario(name="one", run=(step("a"),), steps=(step("b"),)),
        Scenario(name="two", run=(step("c"),)),
    )

    outcome = await run(a_test(steps=(), scenarios=scenarios))

    assert [scenario.status for scenario in outcome.scenarios] == ["failed", "passed"]
    assert statuses(outcome) == {"a": "failed", "b": "skipped", "c": "passed"}


async def test_the_output_of_a_failed_command_is_shown_in_the_hint(run, a_test, fake_backend, result):
    fake_backend.on_command["go"] = result(1, b"out", b"one\ntwo\n")

    outcome = await run(a_test())

    assert outcome.diagnostics[0].hint == "stderr ends with:\n    one\n    two"


async def test_retries_end_with_success_as_flaky(run, a_test, fake_backend):
    results = iter([1, 1, 0])
    fake_backend.on_command["go"] = lambda _: next(results)

    outcome = await run(a_test(steps=[step("go", retry=Retry(max_attempts=3))]))

    command = outcome.scenarios[0].commands[0]
    assert (command.status, command.attempts, command.reason) == ("flaky", 3, "passed in attempt 3")
    assert outcome.status == "flaky"
    span = outcome.spans.span(outcome.spans.name.index("clnrm.step:go"))
    assert [event.attributes["process.exit.code"] for event in span.events] == [1, 1, 0]


@pytest.mark.parametrize(
    ("outcome_wanted", "exit_codes", "status"),
    [
        ("failure", [1, 2], "passed"),
        ("failure", [1, 0], "failed"),
        ("success", [0, 0], "passed"),
        ("partial_failure", [1, 0], "passed"),
        ("partial_failure", [0, 0], "failed"),
        ("partial_failure", [1, 1], "failed"),
    ],
)
async def test_a_scenario_may_want_its_commands_to_fail(  # noqa: PLR0917  # Fixtures.
    run, a_test, fake_backend, outcome_wanted, exit_codes, status
):
    fake_backend.on_command = dict(zip("ab", exit_codes, strict=True))
    scenario = Scenario(name="s", outcome=outcome_wanted, run=(step("a"), step("b")))

    outcome = await run(a_test(steps=(), scenarios=(scenario,)))

    assert outcome.scenarios[0].status == outcome.status == status


async def test_a_command_of_a_failing_scenario_that_times_out_is_a_failure(
    run, a_test, fake_backend, result, codes
):
    fake_backend.on_command["a"] = result(None, timed_out=True)
    scenario = Scenario(name="s", outcome="failure", run=(step("a", timeout_s=2.0),))

    outcome = await run(a_test(steps=(), scenarios=(scenario,)))

    assert (outcome.status, codes(outcome)) == ("failed", ["CLN604"])
    assert outcome.diagnostics[0].message == "`a` killed after 2 s"


async def test_neighbours_that_are_concurrent_overlap_and_others_do_not(run, a_test, fake_backend):
    both = asyncio.Barrier(2)

    async def meet(_):
        await both.wait()
        return 0

    fake_backend.on_command = {"b": meet, "c": meet}
    scenarios = (
        Scenario(name="1", run=(step("a"),)),
        Scenario(name="2", concurrent=True, run=(step("b"),)),
        Scenario(name="3", concurrent=True, run=(step("c"),)),
        Scenario(name="4", run=(step("d"),)),
    )
    outcome = await run(a_test(steps=(), scenarios=scenarios))

    assert outcome.status == "passed"
    assert fake_backend.log[0] == "run a"
    assert fake_backend.log[3] == "run d"


async def test_concurrent_runs_sub_runs_and_steps_at_once(run, a_test, fake_backend):
    all_of_them = asyncio.Barrier(3)

    async def meet(_):
        await all_of_them.wait()
        return 0

    fake_backend.on_command = dict.fromkeys("abc", meet)
    scenario = Scenario(name="s", concurrent=True, run=(step("a"), step("b")), steps=(step("c"),))

    assert (await run(a_test(steps=(), scenarios=(scenario,)))).status == "passed"


async def test_parallel_services_run_the_sub_runs_at_once_and_the_steps_after_them(run, a_test, fake_backend):
    both = asyncio.Barrier(2)

    async def meet(_):
        await both.wait()
        return 0

    fake_backend.on_command = {"a": meet, "b": meet}
    scenario = Scenario(name="s", parallel_services=("db",), run=(step("a"), step("b")), steps=(step("c"),))
    outcome = await run(a_test(services=["db"], steps=(), scenarios=(scenario,)))

    assert outcome.status == "passed"
    assert fake_backend.log[3] == "run c"


async def test_a_failed_parallel_sub_run_skips_the_steps(run, a_test, fake_backend):
    fake_backend.on_command["a"] = 1
    scenario = Scenario(name="s", parallel_services=("db",), run=(step("a"), step("b")), steps=(step("c"),))

    outcome = await run(a_test(services=["db"], steps=(), scenarios=(scenario,)))

    assert statuses(outcome) == {"a": "failed", "b": "passed", "c": "skipped"}


async def test_a_disallowed_program_is_never_started(run, a_test, fake_backend, codes):
    scenario = Scenario(name="s", policy=Policy(disallowed_commands=("rm",)), run=(step("rm"),))

    outcome = await run(a_test(steps=(), scenarios=(scenario,)))

    assert (outcome.status, codes(outcome)) == ("failed", ["CLN605"])
    assert fake_backend.commands == []


async def test_a_command_gets_the_nearest_of_its_limits(run, a_test, fake_backend):
    scenarios = (
        Scenario(name="own", run=(step("a", timeout_s=3.0),), timeout_s=100.0),
        Scenario(name="scenario", run=(step("b", timeout_s=30.0),), timeout_s=5.0),
        Scenario(name="policy", run=(step("c"),), timeout_s=50.0, policy=Policy(max_execution_time_s=4.0)),
        Scenario(name="test", run=(step("d", timeout_s=90.0),)),
    )
    await run(a_test(steps=(), scenarios=scenarios, meta={"timeout_s": 20.0}))

    limits = [command.timeout_s for command in fake_backend.commands]
    assert limits == [pytest.approx(limit, abs=1) for limit in (3, 5, 4, 20)]


@pytest.mark.parametrize(("strategy", "grace_s"), [("graceful", 0.5), ("immediate", 0.0)])
async def test_the_timeout_strategy_decides_the_grace(run, a_test, fake_backend, strategy, grace_s):
    scenario = Scenario(name="s", run=(step("a"),), timeout_strategy=strategy, grace_period_s=0.5)

    await run(a_test(steps=(), scenarios=(scenario,)))

    assert fake_backend.commands[0].grace_s == grace_s


async def test_after_the_limit_of_a_scenario_no_further_step_starts(run, a_test, fake_backend, result, codes):
    async def late(command):
        await asyncio.sleep(command.timeout_s)
        return result(None, timed_out=True)

    fake_backend.on_command["a"] = late
    scenario = Scenario(name="s", timeout_s=0.5, steps=(step("a", continue_on_failure=True), step("b")))
    outcome = await run(a_test(steps=(), scenarios=(scenario,)))

    assert codes(outcome) == ["CLN604", "CLN604"]
    assert outcome.diagnostics[0].message == "`a` killed after 0.5 s, the limit of scenario `s`"
    assert outcome.diagnostics[1].message.startswith("`b` not started")
    assert len(fake_backend.commands) == 1


async def test_a_backend_that_ignores_a_limit_is_not_waited_for(  # noqa: PLR0917  # Fixtures.
    run, a_test, fake_backend, codes, hang, monkeypatch
):
    monkeypatch.setattr("clnrm_nb.executor.attempt.ENGINE_LAG_S", 0.01)
    fake_backend.on_command["a"] = hang
    scenario = Scenario(name="s", grace_period_s=0.0, steps=(step("a", timeout_s=0.05),))

    outcome = await run(a_test(steps=(), scenarios=(scenario,)))

    assert codes(outcome) == ["CLN604"]


async def test_each_scenario_has_its_own_token_and_context(run, a_test, fake_backend):
    scenarios = (Scenario(name="one", run=(step("a"),)), Scenario(name="two", run=(step("b"),)))

    outcome = await run(a_test(services=["db"], steps=(), scenarios=scenarios))

    first, second = (command.env for command in fake_backend.commands)
    service = fake_backend.env["db"]
    for key in ("TRACEPARENT", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_RESOURCE_ATTRIBUTES"):
        assert len({first[key], second[key], service[key]}) == 3
    table = outcome.spans
    row = table.name.index("clnrm.scenario:one")
    assert first["TRACEPARENT"] == f"00-{table.trace_id[row]}-{table.span_id[row]}-01"
    assert first["CLNRM_HOST_DB"] == "db"


async def test_a_command_sees_its_services_env_and_the_steps_on_top(run, a_test, fake_backend):
    from clnrm_nb.scenario.model import Service

    service = Service(name="db", env={"A": "service", "B": "service", "OTEL_SERVICE_NAME": "mine"})
    await run(a_test(services=[service], steps=[step("go", service="db", env={"B": "step"})]))

    env = fake_backend.commands[0].env
    assert (env["A"], env["B"], env["OTEL_SERVICE_NAME"]) == ("service", "step", "mine")


async def test_spans_printed_by_a_command_belong_to_its_scenario(run, a_test, fake_backend, result):
    printed = b'hello\n{"name": "work", "trace_id": "%s", "span_id": "%s"}\n' % (b"ab" * 16, b"cd" * 8)
    fake_backend.on_command["go"] = result(0, printed)

    outcome = await run(a_test())

    row = outcome.spans.name.index("work")
    assert (outcome.spans.scenario[row], outcome.spans.own[row]) == ("steps", False)
    assert (outcome.scenarios[0].span_count, outcome.span_count) == (1, 1)


async def test_a_failed_step_marks_its_own_span(run, a_test, fake_backend):
    fake_backend.on_command["go"] = 1

    table = (await run(a_test())).spans

    failed = {name for row, name in enumerate(table.name) if table.span(row).is_error}
    assert failed == {"clnrm.step:go", "clnrm.scenario:steps", "clnrm.test"}


async def test_findings_point_at_the_step(  # noqa: PLR0917  # Fixtures.
    a_test, plan_for, settings_for, project, fake_backend, fake_receiver
):
    from dataclasses import replace

    from clnrm_nb.errors import Location
    from clnrm_nb.executor.pool import run_tests

    fake_backend.on_command["go"] = 1
    test = a_test(steps=[step("go", source=("steps", 0))])
    plan = replace(plan_for(test), locate=lambda path: Location("a.clnrm.toml", 7, 3) if path else None)
    outcomes = await run_tests(
        [plan], fake_backend, settings=settings_for(), project=project, run_id="R", receiver=fake_receiver
    )

    finding = outcomes[0].diagnostics[0]
    assert (finding.file, finding.line, finding.column) == ("a.clnrm.toml", 7, 3)


def test_top_level_steps_come_first_under_a_name_of_their_own(a_test):
    clash = a_test(scenarios=(Scenario(name="steps", run=(step("a"),)),))

    assert [scenario.name for scenario in scenarios_of(clash)] == ["steps (top level)", "steps"]
    assert [scenario.name for scenario in scenarios_of(a_test())] == ["steps"]
    assert scenarios_of(a_test(steps=())) == []


async def test_the_scenarios_expectations_do_not_change_how_commands_are_judged(run, a_test):
    scenario = Scenario(name="s", run=(step("a"),), expect=Expect())

    assert (await run(a_test(steps=(), scenarios=(scenario,)))).status == "passed"

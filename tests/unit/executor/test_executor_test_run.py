from __future__ import annotations

import asyncio

import pytest

from clnrm_nb.errors import BackendUnavailableError, ClnrmError, Diagnostic
from clnrm_nb.scenario.model import (
    Cleanup,
    Expect,
    NamePattern,
    Policy,
    ResourceExpectation,
    Scenario,
    Secrets,
    Service,
    Step,
    TestLimits,
)


async def test_a_test_lives_from_services_through_steps_and_scenarios_to_teardown(run, a_test, fake_backend):
    outcome = await run(
        a_test(
            services=[Service(name="api", depends_on=("db",)), "db"],
            steps=["prepare"],
            scenarios=(Scenario(name="s", run=(Step(name="buy", command=("x",)),)),),
        )
    )

    assert outcome.status == "passed"
    assert fake_backend.log == [
        "start db",
        "start api",
        "run prepare",
        "run buy",
        "stop after 5",
        "close a.clnrm.toml",
    ]


async def test_the_networks_of_the_unit_are_known_to_whoever_judges_isolation(run, a_test):
    outcome = await run(a_test(services=["db"]))

    assert outcome.addresses == ["10.1.0.0/16"]


async def test_independent_services_start_together_and_dependants_wait(run, a_test, fake_backend):
    both = asyncio.Barrier(2)

    async def meet(_):
        await both.wait()

    fake_backend.on_start = {"a": meet, "b": meet}
    outcome = await run(a_test(services=["a", "b", Service(name="c", depends_on=("a", "b"))]))

    assert outcome.status == "passed"
    assert fake_backend.log[2] == "start c"


async def test_a_service_that_does_not_start_fails_the_test_and_skips_everything(
    run, a_test, fake_backend, codes
):
    async def refuse(_):
        raise ClnrmError("cannot pull `x:1`: not found", "CLN602")

    fake_backend.on_start["db"] = refuse
    outcome = await run(a_test(services=["db"]))

    assert (outcome.status, codes(outcome)) == ("failed", ["CLN602"])
    assert outcome.scenarios[0].commands[0].status == "skipped"
    assert fake_backend.log[-1] == "close a.clnrm.toml"


async def test_a_failed_start_ends_the_start_of_the_others(run, a_test, fake_backend, hang):
    async def refuse(_):
        raise ClnrmError("no", "CLN603")

    fake_backend.on_start = {"a": hang, "b": refuse}
    outcome = await run(a_test(services=["a", "b", Service(name="c", depends_on=("a",))]))

    assert outcome.status == "failed"
    assert "start c" not in fake_backend.log


async def test_a_service_that_ends_before_it_is_ready_shows_its_last_lines(run, a_test, fake_backend):
    async def crash(service):
        service.print("cannot open /data")
        service.is_oom = True
        service.end.set_result(137)

    fake_backend.on_start["db"] = crash
    outcome = await run(a_test(services=[Service(name="db", wait_log_message="^ready$")]))

    finding = outcome.diagnostics[0]
    assert finding.code == "CLN603"
    assert "exit code 137 (killed for using more memory" in finding.message
    assert "cannot open /data" in finding.hint


async def test_a_backend_that_goes_away_is_an_error_of_the_test(run, a_test, fake_backend, codes):
    async def gone(_):
        raise BackendUnavailableError("the engine went away", "CLN601")

    fake_backend.on_command["go"] = gone
    outcome = await run(a_test())

    assert (outcome.status, codes(outcome)) == ("error", ["CLN601"])
    assert outcome.scenarios[0].status == "error"
    assert fake_backend.units[0].closed


async def test_refused_options_stop_a_test_before_anything_is_created(run, a_test, fake_backend, codes):
    fake_backend.findings = [Diagnostic("CLN616", "`privileged` is refused")]

    outcome = await run(a_test())

    assert (outcome.status, codes(outcome), fake_backend.units) == ("error", ["CLN616"], [])


async def test_a_hermetic_test_is_refused_on_a_backend_that_is_not(run, a_test, fake_backend, codes):
    fake_backend.hermetic = False

    outcome = await run(a_test(meta={"hermetic": True}))

    assert (outcome.status, codes(outcome), fake_backend.units) == ("error", ["CLN617"], [])


async def test_a_hermetic_test_is_refused_where_only_the_unit_turns_out_not_to_be(
    run, a_test, fake_backend, codes
):
    fake_backend.unit_hermetic = False

    outcome = await run(a_test(meta={"hermetic": True}))

    assert (outcome.status, codes(outcome), outcome.hermetic) == ("error", ["CLN617"], False)
    assert "run go" not in fake_backend.log
    assert fake_backend.units[0].closed


async def test_a_test_that_needs_more_containers_than_its_cap_is_refused(run, a_test, fake_backend, codes):
    outcome = await run(a_test(services=["db"], limits=TestLimits(max_containers=1)))

    assert (outcome.status, codes(outcome), fake_backend.units) == ("error", ["CLN307"], [])


async def test_limits_that_a_policy_cannot_apply_are_said_once(run, a_test, codes):
    scenario = Scenario(name="s", policy=Policy(max_memory_mb=64), run=(Step(name="go", command=("go",)),))

    outcome = await run(a_test(steps=(), scenarios=(scenario,)))

    assert (outcome.status, codes(outcome)) == ("passed", ["CLN611"])


async def test_an_unset_secret_stops_the_test_before_anything_is_created(run, a_test, fake_backend, codes):
    outcome = await run(a_test(secrets=Secrets(env=("TOKEN",))))

    assert (outcome.status, codes(outcome), fake_backend.units) == ("error", ["CLN106"], [])


async def test_secrets_reach_the_chosen_services_and_no_output(run, a_test, fake_backend, result, project):
    fake_backend.on_command["go"] = result(1, b"token=hunter2", b"hunter2!")
    steps = [Step(name="go", command=("go",), service="db"), Step(name="other", command=("x",))]
    outcome = await run(
        a_test(services=["db", "api"], steps=steps, secrets=Secrets(env=("TOKEN",), services=("db",))),
        environ={"TOKEN": "hunter2"},
    )

    assert fake_backend.env["db"]["TOKEN"] == "hunter2"
    assert "TOKEN" not in fake_backend.env["api"]
    assert fake_backend.commands[0].env["TOKEN"] == "hunter2"
    assert outcome.scenarios[0].commands[0].stdout == "token=•••"
    assert "hunter2" not in str(outcome.to_json())
    written = [path.read_text() for path in project.state_dir.rglob("*") if path.is_file()]
    assert written
    assert not any("hunter2" in text for text in written)


@pytest.mark.parametrize(
    ("fields", "status", "severity"),
    [({}, "passed", "warning"), ({"cleanup": Cleanup(verify_cleanup=True)}, "failed", "error")],
)
async def test_what_is_left_behind_fails_the_test_only_where_that_is_asserted(  # noqa: PLR0917  # Fixtures.
    run, a_test, fake_backend, leftover, fields, status, severity
):
    fake_backend.leftovers = [leftover("container", "db-1")]

    outcome = await run(a_test(**fields))

    assert outcome.status == status
    assert [(finding.code, finding.severity) for finding in outcome.diagnostics] == [("CLN610", severity)]
    assert outcome.leftovers == [("container", "db-1")]


async def test_a_clean_up_that_hangs_is_reported_and_not_waited_for(  # noqa: PLR0917  # Fixtures.
    run, a_test, fake_backend, codes, hang, monkeypatch
):
    monkeypatch.setattr("clnrm_nb.executor.test_run._TEARDOWN_S", 0.05)
    fake_backend.on_close = hang

    outcome = await run(a_test())

    assert codes(outcome) == ["CLN610"]


async def test_a_clean_up_that_raises_is_an_internal_error(run, a_test, fake_backend, codes):
    async def explode(_):
        raise RuntimeError("bug")

    fake_backend.on_close = explode
    outcome = await run(a_test())

    assert (outcome.status, codes(outcome)) == ("error", ["CLN901"])


async def test_the_limit_of_the_test_reaches_a_service_that_never_starts(  # noqa: PLR0917  # Fixtures.
    run, a_test, fake_backend, codes, hang, monkeypatch
):
    monkeypatch.setattr("clnrm_nb.executor.test_run._LIMIT_LAG_S", 0.0)
    fake_backend.on_start["db"] = hang

    outcome = await run(a_test(steps=(), services=["db"], meta={"timeout_s": 0.05}))

    assert (outcome.status, codes(outcome)) == ("failed", ["CLN604"])
    assert outcome.reason == "the test was stopped after 0.05 s, its limit"


async def test_a_service_that_had_to_be_killed_leaves_the_trace_incomplete(run, a_test, fake_backend, codes):
    fake_backend.killed = ["db"]

    outcome = await run(a_test(services=["db"]))

    assert (outcome.status, codes(outcome), outcome.complete) == ("incomplete", ["CLN614"], False)


async def test_the_kill_timeout_of_the_file_is_the_grace_of_services(run, a_test, fake_backend):
    await run(a_test(services=["db"], cleanup=Cleanup(kill_timeout_ms=250)))

    assert "stop after 0.25" in fake_backend.log


async def test_objects_are_looked_up_where_an_expectation_asks_for_them(run, a_test):
    asked = Expect(resources=(ResourceExpectation(type="service", name=NamePattern.of("db")),))

    outcome = await run(a_test(services=["db"], expect=asked))

    assert outcome.objects["service"] == ["db"]
    assert (await run(a_test(services=["db"]))).objects == {}


async def test_images_really_used_are_noted_each_once(run, a_test):
    services = [Service(name="db", image="redis:7"), Service(name="cache", image="redis:7")]
    outcome = await run(a_test(services=services))

    assert outcome.images == ["redis:7", "alpine:latest"]


async def test_time_is_accounted_for_by_phase(run, a_test):
    outcome = await run(a_test(services=["db"]))

    phases = {"open", "services", "scenarios", "stop", "collect", "artifacts", "teardown"}
    assert outcome.timings_ms.keys() == phases | {"queue"}
    assert sum(outcome.timings_ms[phase] for phase in phases) <= outcome.duration_ms


async def test_an_interrupt_while_services_start_closes_the_unit(run, a_test, fake_backend, hang):
    fake_backend.on_start["db"] = hang
    task = asyncio.create_task(run(a_test(services=["db"])))
    await fake_backend.until(lambda: "start db" in fake_backend.log)
    task.cancel()
    outcome = await task

    assert outcome.status == "interrupted"
    assert outcome.scenarios[0].status == "skipped"
    assert fake_backend.units[0].closed == 1


async def test_wait_for_span_lets_a_service_become_ready(run, a_test, fake_backend, fake_receiver, a_span):
    async def announce(_):
        def send():
            collected(a_span("ready", service="db"))

        asyncio.get_running_loop().call_soon(send)

    def collected(span):
        sink = next(iter(fake_receiver.sinks.values())).__self__
        from clnrm_nb.spans.table import SpanTable

        sink._append(SpanTable([span]), printed=False)

    fake_backend.on_start["db"] = announce
    outcome = await run(a_test(services=[Service(name="db", wait_for_span=NamePattern.of("re*"))]))

    assert outcome.status == "passed"


async def test_an_external_service_that_does_not_accept_is_not_ready(run, a_test, codes, unused_port):
    external = Service(
        name="api", plugin="network_service", endpoint=f"127.0.0.1:{unused_port}", timeout_s=0.1
    )

    outcome = await run(a_test(services=[external]))

    assert (outcome.status, codes(outcome), outcome.hermetic) == ("failed", ["CLN603"], False)


@pytest.fixture
def unused_port():
    import socket

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


@pytest.mark.parametrize(("expect", "waits"), [(Expect(), 0), (Expect(required_events=("x",)), 1)])
async def test_own_spans_alone_are_not_waited_for(run, a_test, monkeypatch, expect, waits):
    """Every test with a service paid 150 ms at its end, because its own `clnrm.service.start` counted as traced."""
    asked = []

    async def quiet(self, max_s):
        asked.append(max_s)
        return True

    monkeypatch.setattr("clnrm_nb.spans.collector.Collector.quiet", quiet)

    await run(a_test(services=["db"], steps=["prepare"], expect=expect))

    assert len(asked) == waits

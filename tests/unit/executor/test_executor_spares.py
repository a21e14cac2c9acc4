"""Spares: what is made ready between two runs of a test, when it is used, and when never."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from clnrm_nb.executor import kept
from clnrm_nb.executor.control import Control
from clnrm_nb.executor.pool import run_tests
from clnrm_nb.executor.spares import MOST_SPARES, Spares
from clnrm_nb.scenario.model import Expect, Limits, Otel, Secrets, Service, Volume

TEST = "a.clnrm.toml"


@pytest.fixture
def backend(fake_backend, monkeypatch):
    """One that is kept between runs, and says what its images are."""
    fake_backend.name = "docker"
    fake_backend.images = {"web:1": "sha256:1"}

    async def image_ids(names):
        return {name: fake_backend.images.get(name) for name in names}

    async def wake(*, is_shared=False):
        return True

    fake_backend.image_ids, fake_backend.wake = image_ids, wake

    async def open_backend(name, settings):
        return fake_backend

    monkeypatch.setattr(kept, "open_backend", open_backend)
    before = kept.keep_backends(60.0)
    yield fake_backend
    kept.keep_backends(before)


@pytest.fixture
def a_service():
    def make(**fields):
        return Service(**{"name": "web", "image": "web:1", **fields})

    return make


@pytest.fixture
def watched(backend, settings_for, plan_for, project):
    """Run a test as a watcher does, and make ready what it makes ready afterwards."""

    numbers = itertools.count(1)

    async def run(spares, test, *, environ=None, then_fill=True, **settings):
        chosen = settings_for(**settings)
        async with kept.lent_backend("docker", chosen) as lent:
            (outcome,) = await run_tests(
                [plan_for(test, **settings)],
                lent,
                settings=chosen,
                project=project,
                run_id=f"R{next(numbers)}",
                environ=environ if environ is not None else {},
                control=Control(spares=spares),
            )
        if then_fill:
            spares.fill()
            if making := [spare.making for spare in spares._spares.values()]:
                await asyncio.wait(making)
        return outcome

    return run


async def end(spares, backend):
    """The watcher ends; nothing may be left."""
    await spares.close()
    await kept.let_go()
    assert [unit for unit in backend.units if not unit.closed] == []


async def editing():
    spares = Spares()
    spares.edit([TEST])
    return spares


async def test_next_run_of_an_edited_test_uses_what_was_made_ready(backend, watched, a_test, a_service):
    spares = await editing()
    first = await watched(spares, a_test(services=[a_service()], steps=["go"]))
    backend.log.clear()

    second = await watched(spares, a_test(services=[a_service()], steps=["other"]), then_fill=False)

    assert (first.status, second.status) == ("passed", "passed")
    assert "start web" not in backend.log[1:]
    assert "run other" in backend.log
    assert len(backend.units) == 2
    assert second.was_ready is True
    assert {"ahead", "take"} <= second.timings_ms.keys()
    assert "services" not in second.timings_ms
    await end(spares, backend)


async def test_a_spare_is_used_once(backend, watched, a_test, a_service):
    spares = await editing()
    test = a_test(services=[a_service()])
    await watched(spares, test)
    await watched(spares, test, then_fill=False)

    third = await watched(spares, test, then_fill=False)

    assert len(backend.units) == 3
    assert "ahead" not in third.timings_ms
    await end(spares, backend)


async def test_own_spans_of_the_preparation_belong_to_the_run_that_uses_it(
    backend, watched, a_test, a_service
):
    spares = await editing()
    test = a_test(services=[a_service()])
    await watched(spares, test)

    second = await watched(spares, test, then_fill=False)

    table = second.spans
    rows = {name: row for row, name in enumerate(table.name)}
    parents = table.parent_rows()
    assert parents[rows["clnrm.service.start"]] == rows["clnrm.test"]
    assert parents[rows["clnrm.test"]] == rows["clnrm.run"]
    assert table.attributes[rows["clnrm.run"]]["clnrm.run.id"] == "R2"
    assert second.complete
    await end(spares, backend)


async def test_nothing_is_made_for_tests_that_nobody_edits(backend, watched, a_test, a_service):
    spares = Spares()
    spares.edit([f"{number}.clnrm.toml" for number in range(MOST_SPARES + 1)])

    await watched(spares, a_test(services=[a_service()]))

    assert len(backend.units) == 1
    await end(spares, backend)


CHANGES = {
    "environment of a service": {"env": {"LEVEL": "2"}},
    "arguments of a service": {"args": ("other",)},
    "limits of a service": {"limits": Limits(memory_mb=300)},
    "image of a service": {"image": "web:2"},
}


@pytest.mark.parametrize("changed", CHANGES.values(), ids=CHANGES)
async def test_another_service_is_started_anew(backend, watched, a_test, a_service, changed):
    spares = await editing()
    await watched(spares, a_test(services=[a_service()]))

    second = await watched(spares, a_test(services=[a_service(**changed)]), then_fill=False)

    assert "ahead" not in second.timings_ms
    assert len(backend.units) == 3
    await end(spares, backend)


async def test_other_telemetry_is_started_anew(backend, watched, a_test, a_service):
    spares = await editing()
    await watched(spares, a_test(services=[a_service()]))

    second = await watched(
        spares, a_test(services=[a_service()], otel=Otel(sample_ratio=0.5)), then_fill=False
    )

    assert "ahead" not in second.timings_ms
    assert backend.env["web"]["OTEL_TRACES_SAMPLER_ARG"] == "0.5"
    await end(spares, backend)


async def test_other_limits_of_the_configuration_are_started_anew(backend, watched, a_test, a_service):
    spares = await editing()
    test = a_test(services=[a_service()])
    await watched(spares, test)

    second = await watched(spares, test, then_fill=False, executor__limits__container_memory_mb=300)

    assert "ahead" not in second.timings_ms
    await end(spares, backend)


async def test_another_value_of_a_secret_is_started_anew(backend, watched, a_test, a_service):
    spares = await editing()
    test = a_test(services=[a_service()], secrets=Secrets(env=("KEY",)))
    await watched(spares, test, environ={"KEY": "a first value"})

    second = await watched(spares, test, environ={"KEY": "another value"}, then_fill=False)

    assert "ahead" not in second.timings_ms
    assert backend.env["web"]["KEY"] == "another value"
    await end(spares, backend)


async def test_another_content_of_a_mounted_file_is_started_anew(
    backend, watched, a_test, a_service, tmp_path
):
    file = tmp_path / "page"
    file.write_text("one")
    spares = await editing()
    test = a_test(services=[a_service(volumes=(Volume(host_path="page", container_path="/page"),))])
    await watched(spares, test)

    file.write_text("two")
    second = await watched(spares, test, then_fill=False)

    assert "ahead" not in second.timings_ms
    await end(spares, backend)


async def test_an_image_that_moved_is_started_anew(backend, watched, a_test, a_service):
    spares = await editing()
    test = a_test(services=[a_service()])
    await watched(spares, test)

    backend.images["web:1"] = "sha256:2"
    second = await watched(spares, test, then_fill=False)

    assert "ahead" not in second.timings_ms
    await end(spares, backend)


async def test_services_that_died_are_started_anew(backend, watched, a_test, a_service):
    spares = await editing()
    test = a_test(services=[a_service()])
    await watched(spares, test)

    backend.units[1].services["web"].end.set_exception(ConnectionError("the engine was restarted"))
    second = await watched(spares, test, then_fill=False)

    assert second.status == "passed"
    assert "ahead" not in second.timings_ms
    await end(spares, backend)


async def test_it_goes_with_the_backend_it_stands_in(backend, watched, a_test, a_service):
    spares = await editing()
    test = a_test(services=[a_service()])
    await watched(spares, test)

    await kept.let_go()
    closed = backend.units[1].closed
    second = await watched(spares, test, then_fill=False)

    assert closed == 1
    assert "ahead" not in second.timings_ms
    await end(spares, backend)


async def test_closing_stops_what_is_being_made(backend, watched, a_test, a_service, hang):
    spares = await editing()
    test = a_test(services=[a_service()])
    await watched(spares, test, then_fill=False)
    backend.on_start["web"] = hang
    spares.fill()
    await backend.until(lambda: backend.log[-1] == "start web")

    await end(spares, backend)

    spares.fill()
    assert len(backend.units) == 2


async def test_a_deleted_test_takes_its_spare_along(backend, watched, a_test, a_service):
    spares = await editing()
    await watched(spares, a_test(services=[a_service()]))

    spares.forget([TEST])

    await backend.until(lambda: backend.units[1].closed)
    await end(spares, backend)


async def test_changed_expectations_and_steps_do_not_count(backend, watched, a_test, a_service):
    spares = await editing()
    await watched(spares, a_test(services=[a_service()], steps=["one"]))

    changed = a_test(services=[a_service()], steps=["two", "three"], expect=Expect())
    second = await watched(spares, changed, then_fill=False)

    assert "ahead" in second.timings_ms
    assert [command.name for command in second.scenarios[0].commands] == ["two", "three"]
    await end(spares, backend)


async def test_a_run_that_needs_the_whole_machine_gets_it(backend, watched, a_test, a_service):
    spares = await editing()
    await watched(spares, a_test(services=[a_service()]), executor__max_concurrent_containers=3)

    others = [a_service(name=name) for name in ("x", "y")]
    await watched(
        spares, a_test("b", services=others), then_fill=False, executor__max_concurrent_containers=3
    )

    assert backend.units[1].closed == 1
    await end(spares, backend)

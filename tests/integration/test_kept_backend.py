"""A backend kept between the runs of one process: what is used again, what is not, and that it goes."""

from __future__ import annotations

import asyncio
import threading

import pytest

import clnrm_nb
from clnrm_nb.api.keeping import keep_backend, let_backend_go
from clnrm_nb.reaper.ownership import this_process

pytestmark = pytest.mark.docker


@pytest.fixture
def kept():
    """Backends are kept, and nothing is left of them afterwards."""
    keep_backend()
    yield
    let_backend_go()


@pytest.fixture
def owned(engine):
    """Names of all containers of this process."""

    def names():
        return {
            name
            for kind, name in engine.labelled("clnrm_nb.owner", str(this_process()))
            if kind == "container"
        }

    return names


@pytest.fixture
def run(tmp_path, monkeypatch, busybox_image):
    """Run one small test, by default in a container that may be used again."""
    (tmp_path / ".clnrm").mkdir()
    (tmp_path / ".clnrm" / "config.toml").write_text(f'[containers]\ndefault_image = "{busybox_image}"\n')
    (tmp_path / "a.clnrm.toml").write_text(
        '[meta]\nname = "a"\nversion = "1"\n[[steps]]\nname = "write"\n'
        'command = ["sh", "-c", "test ! -e /tmp/mark && touch /tmp/mark"]\n'
    )
    monkeypatch.chdir(tmp_path)

    def run(**options):
        result = clnrm_nb.run("a.clnrm.toml", **{"isolation": "verified", "force": True, **options})
        assert result.ok, result
        return result.raw["data"]["pool"]

    return run


def test_the_second_run_uses_the_runner_of_the_first_and_finds_it_clean(run, kept, owned):
    first = run()
    idle = owned()
    second = run()

    assert (first["made"], first["reused"]) == (1, 0)
    assert (second["made"], second["reused"]) == (0, 1)
    assert len(idle) == 1
    assert owned() == idle


def test_what_is_kept_goes_when_it_is_let_go(run, kept, owned, engine):
    run()

    let_backend_go()

    assert engine.labelled("clnrm_nb.owner", str(this_process())) == []


def test_without_keeping_every_run_removes_its_own(run, owned):
    run()

    assert owned() == set()


def test_a_kept_runner_that_somebody_removed_is_made_anew(run, kept, owned, engine):
    run()
    (name,) = owned()
    engine.client.remove_container(name, force=True)

    again = run()

    assert (again["made"], again["reused"]) == (1, 0)


async def test_after_a_time_without_runs_it_goes_by_itself(run, owned, engine):
    keep_backend(idle_s=0.1)
    try:
        await asyncio.to_thread(run)
        async with asyncio.timeout(30):
            while owned():  # noqa: ASYNC110  # The engine's own events would need a second client here.
                await asyncio.sleep(0.05)
    finally:
        await asyncio.to_thread(let_backend_go)


def test_runs_at_the_same_time_share_it_and_never_a_runner(run, kept, owned, engine, tmp_path):
    (tmp_path / "slow.clnrm.toml").write_text(
        '[meta]\nname = "slow"\nversion = "1"\n[[steps]]\nname = "wait"\ncommand = ["sh", "-c", "until test -e /tmp/go; do sleep 0.05; done"]\n'
    )
    is_begun = threading.Event()

    def listen(event):
        if event.event == "test.start":
            is_begun.set()

    slow = clnrm_nb.run("slow.clnrm.toml", isolation="verified", detach=True, listener=listen)
    assert is_begun.wait(60)
    meanwhile = run()
    for name in owned():
        engine.client.exec_start(engine.client.exec_create(name.removeprefix("/"), ["touch", "/tmp/go"]))
    result = slow.wait(60)

    assert result.ok
    assert meanwhile["made"] <= result.raw["data"]["pool"]["made"] == 2

"""Of several runs that want the same, one does it, whatever becomes of the others."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import replace

import pytest

from clnrm_nb.cache import Leases, lease
from clnrm_nb.reaper.ownership import this_process
from clnrm_nb.state import State


@pytest.fixture
def state(tmp_path):
    with State.open(tmp_path / ".clnrm") as state:
        yield state


def other_owner(**parts):
    return replace(this_process(), **parts)


@pytest.fixture
def living():
    """Another process of this machine, and its owner label."""
    code = "from clnrm_nb.reaper.ownership import this_process; print(this_process(), flush=True); input()"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    label = process.stdout.readline().strip()
    yield process, type(this_process()).parse(label)
    process.kill()
    process.wait()


def test_one_takes_it_and_the_other_does_not_until_it_is_let_go(state):
    with Leases(state) as one, Leases(state) as other:
        assert one.take(["a", "b"]) == {"a", "b"}
        assert other.take(["b", "c"]) == {"c"}
        assert other.held(["a", "b", "c"]) == {"a", "b"}
        assert one.take(["a"]) == {"a"}

        one.release(["b", "c"])

        assert other.take(["b", "c"]) == {"b", "c"}


def test_what_a_run_leaves_is_free(state):
    with Leases(state) as one:
        one.take(["a"])

    with Leases(state) as other:
        assert other.take(["a"]) == {"a"}
        one.close()
        assert Leases(state).take(["a"]) == set()


def test_a_run_of_this_process_that_never_closed_its_leases_holds_nothing(state):
    one = Leases(state)
    one.take(["a"])
    lease._sessions.discard(one._session)

    with Leases(state) as other:
        assert other.take(["a"]) == {"a"}


def test_a_living_process_keeps_its_leases_and_a_dead_one_loses_them(state, living):
    process, owner = living
    Leases(state, owner).take(["a"])

    with Leases(state) as mine:
        assert mine.take(["a"]) == set()
        process.kill()
        process.wait()
        assert mine.take(["a"]) == {"a"}


@pytest.mark.parametrize(
    "gone",
    [
        pytest.param(lambda: other_owner(pid=2**22 + 1), id="no such pid"),
        pytest.param(lambda: other_owner(pid=1, start="1"), id="the pid is another's now"),
        pytest.param(lambda: other_owner(boot="before"), id="before the last boot"),
    ],
)
def test_leases_of_who_is_gone_are_taken_over(state, gone):
    Leases(state, gone()).take(["a"])

    with Leases(state) as mine:
        assert mine.held(["a"]) == set()
        assert mine.take(["b"]) == {"b"}
        assert [row["key"] for row in state.read("SELECT key FROM cache_leases")] == ["b"]
        assert mine.take(["a"]) == {"a"}


def test_a_row_that_names_nobody_is_free(state):
    state.write(lambda db: db.execute("INSERT INTO cache_leases VALUES ('a', 'nobody at all', 's', 0)"))

    with Leases(state) as mine:
        assert mine.take(["a"]) == {"a"}


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(lease.time, "monotonic", lambda: now[0])
    return now


def test_another_machine_holds_its_leases_while_it_shows_that_it_lives(state, clock):
    there = Leases(state, other_owner(machine="elsewhere"))
    there.take(["a"])

    with Leases(state) as mine:
        assert mine.take(["a"]) == set()
        clock[0] += 25
        state.write(lambda db: db.execute("UPDATE cache_leases SET beat = beat + 1"))
        assert mine.take(["a"]) == set()
        clock[0] += 25
        assert mine.take(["a"]) == set()
        clock[0] += 10
        assert mine.take(["a"]) == {"a"}


async def test_a_beat_is_a_row_that_changes(state, monkeypatch):
    monkeypatch.setattr(lease, "BEAT_S", 0.01)
    with Leases(state) as mine:
        mine.take(["a"])
        loop, has_beaten, write = asyncio.get_running_loop(), asyncio.Event(), state.write
        monkeypatch.setattr(
            state, "write", lambda work: write(work) and loop.call_soon_threadsafe(has_beaten.set)
        )
        beating = asyncio.create_task(mine.beat())
        async with asyncio.timeout(10):
            await has_beaten.wait()
        beating.cancel()

        assert state.read("SELECT beat FROM cache_leases")[0][0] >= 1


async def test_who_waits_goes_on_when_the_lease_is_let_go(state):
    with Leases(state) as one, Leases(state) as other:
        one.take(["a", "b"])
        waiting = asyncio.create_task(other.wait(["a", "b"]))
        await asyncio.sleep(0)

        one.release(["b"])

        async with asyncio.timeout(10):
            assert await waiting == {"b"}


async def test_who_waits_for_a_process_that_dies_goes_on(state, living):
    process, owner = living
    Leases(state, owner).take(["a"])
    with Leases(state) as mine:
        waiting = asyncio.create_task(mine.wait(["a"]))
        await asyncio.sleep(0)

        process.kill()
        process.wait()

        async with asyncio.timeout(10):
            assert await waiting == {"a"}


async def test_waiting_ends_with_its_time_and_looks_only_now_and_then(state, living, monkeypatch):
    _, owner = living
    Leases(state, owner).take(["a"])
    looks = []
    with Leases(state) as mine:
        held = mine.held
        monkeypatch.setattr(mine, "held", lambda keys: looks.append(keys) or held(keys))

        assert await mine.wait(["a"], timeout_s=0.5) == set()

        assert 2 <= len(looks) <= 10
        assert await mine.wait([]) == set()


def test_where_nothing_can_be_written_everybody_runs_what_he_wants(tmp_path):
    (tmp_path / ".clnrm").write_text("a file where the directory should be")
    with State.open(tmp_path / ".clnrm") as state, Leases(state) as one, Leases(state) as other:
        assert one.take(["a"]) == {"a"}
        assert other.take(["a"]) == {"a"}


TAKING = """
import sys
from pathlib import Path
from clnrm_nb.cache import Leases
from clnrm_nb.state import State
with State.open(Path(sys.argv[1])) as state:
    leases = Leases(state)
    print(len(leases.take([f"k{n}" for n in range(200)])), flush=True)
    input()
"""


def test_processes_at_once_share_without_doubles(state):
    command = [sys.executable, "-c", TAKING, str(state.directory)]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]

    taken = [int(process.stdout.readline()) for process in processes]
    for process in processes:
        process.communicate("\n", timeout=30)

    assert sum(taken) == 200

from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest

from clnrm_nb.errors import InternalError
from clnrm_nb.executor.loop import Interrupted, Job, engine_loop, run_blocking, run_here, submit


async def answer():
    return threading.current_thread().name


def test_a_blocking_call_runs_on_the_engine_thread():
    assert run_blocking(answer()) == "clnrm_nb"


async def test_a_blocking_call_works_while_the_caller_has_a_running_loop():
    assert run_blocking(answer()) == "clnrm_nb"


def test_a_blocking_call_works_in_a_worker_thread():
    results = []
    thread = threading.Thread(target=lambda: results.append(run_blocking(answer())))
    thread.start()
    thread.join()

    assert results == ["clnrm_nb"]


def test_the_callers_context_variables_are_seen_by_the_job():
    cell = contextvars.ContextVar("cell", default="none")
    cell.set("42")

    async def read():
        return cell.get()

    assert run_blocking(read()) == "42"


def test_a_timeout_error_of_the_job_reaches_the_caller():
    async def fail():
        raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine"):
        run_blocking(fail())


def interrupt_first_wait(monkeypatch, begun, times=1):
    """Raise KeyboardInterrupt where Ctrl-C would: inside the wait, once the job has begun."""
    real, left = Job.wait, [times]

    def wait(self, timeout_s=None):
        if left[0]:
            left[0] -= 1
            assert begun.wait(60)
            raise KeyboardInterrupt
        return real(self, timeout_s)

    monkeypatch.setattr(Job, "wait", wait)


def test_an_interrupt_waits_for_the_clean_up_and_hands_over_the_partial_result(monkeypatch):
    begun, cleaned = threading.Event(), []

    async def work():
        try:
            begun.set()
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            cleaned.append(True)
            return "partial"

    interrupt_first_wait(monkeypatch, begun)

    with pytest.raises(KeyboardInterrupt) as caught:
        run_blocking(work())

    assert cleaned == [True]
    assert isinstance(caught.value, Interrupted)
    assert (caught.value.result, caught.value.cleaned_up) == ("partial", True)


def test_a_second_interrupt_does_not_wait_for_the_clean_up(monkeypatch):
    begun, release = threading.Event(), asyncio.Event()

    async def stubborn():
        try:
            begun.set()
            await asyncio.sleep(30)
        finally:
            await release.wait()

    interrupt_first_wait(monkeypatch, begun, times=2)

    with pytest.raises(Interrupted) as caught:
        run_blocking(stubborn())
    engine_loop().call_soon_threadsafe(release.set)

    assert not caught.value.cleaned_up


def test_an_error_during_clean_up_goes_along_as_a_note(monkeypatch):
    begun = threading.Event()

    async def work():
        try:
            begun.set()
            await asyncio.sleep(30)
        finally:
            raise OSError("disk full")

    interrupt_first_wait(monkeypatch, begun)

    with pytest.raises(Interrupted) as caught:
        run_blocking(work())

    assert caught.value.__notes__ == ["while it was cleaned up: OSError: disk full"]


async def test_awaiting_from_another_loop_gives_the_result():
    assert await run_here(answer()) == "clnrm_nb"


async def test_cancelling_the_awaiting_task_waits_for_the_clean_up_of_the_job():
    started, cleaned = threading.Event(), threading.Event()

    async def work():
        started.set()
        try:
            await asyncio.sleep(30)
        finally:
            await asyncio.sleep(0.02)
            cleaned.set()

    task = asyncio.create_task(run_here(work()))
    await asyncio.to_thread(started.wait, 5)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert cleaned.is_set()


def test_the_engine_thread_refuses_to_wait_for_itself():
    async def nested():
        coroutine = answer()
        job = Job(coroutine, engine_loop())
        try:
            return job.wait(0.1)
        finally:
            job.cancel()

    with pytest.raises(InternalError):
        run_blocking(nested())


def test_a_job_cancelled_before_it_starts_never_runs():
    ran = []
    blocked, release = threading.Event(), threading.Event()

    async def block():
        blocked.set()
        release.wait(5)

    async def work():
        ran.append(True)

    blocker = submit(block())
    assert blocked.wait(5)
    job = submit(work())
    job._cancelled = True
    release.set()
    blocker.wait(5)

    assert job.wait(5)
    assert job.done.cancelled()
    assert ran == []

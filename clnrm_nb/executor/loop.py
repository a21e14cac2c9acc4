"""The engine's event loop: one daemon thread a process, on which everything asynchronous runs.

A notebook kernel has a running loop of its own and must stay interruptible, so nothing here runs on the
caller's loop. A blocking call waits in short steps (an untimed wait would swallow Ctrl-C until the run is
over), cancels its job when interrupted, and waits for the clean-up of that job before it lets go.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import os
import threading
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from clnrm_nb.errors import InternalError

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["CLEAN_UP_S", "Interrupted", "Job", "engine_loop", "run_blocking", "run_here", "submit"]

T = TypeVar("T")

CLEAN_UP_S: Final = 5.0
"""How long an interrupted caller waits at most. A run waits less than 2 s of it for its removals
(``format.md`` 5.4), the rest is for reports. What is not removed by then goes on being removed by the
engine's thread and, should the process end, by the reaper."""

_STEP_S: Final = 0.05


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a blocking call, after the clean-up of what it had started.

    Attributes
    ----------
    result : object
        What the job still returned (a run answers an interrupt with partial results), else ``None``.
    cleaned_up : bool
        Whether the clean-up was over when the caller stopped waiting.
    """

    def __init__(self, result: object = None, *, cleaned_up: bool = True) -> None:
        super().__init__("interrupted")
        self.result = result
        self.cleaned_up = cleaned_up


class Job(Generic[T]):
    """One coroutine on the engine's loop, with the context variables of whoever submitted it.

    Unlike the future of :func:`asyncio.run_coroutine_threadsafe` it stays pending after :meth:`cancel` until
    the coroutine has really ended, so that clean-up can be waited for.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._coroutine = coroutine
        self._task: asyncio.Task[T] | None = None
        self._cancelled = False
        self.done: concurrent.futures.Future[T] = concurrent.futures.Future()
        loop.call_soon_threadsafe(self._start, context=contextvars.copy_context())

    def _start(self) -> None:
        if self._cancelled:
            # Never begun, so nothing to clean up.
            self._coroutine.close()
            self._give_up()
            return
        self._task = self._loop.create_task(self._coroutine)
        self._task.add_done_callback(self._settle)

    def _settle(self, task: asyncio.Task[T]) -> None:
        if task.cancelled():
            self._give_up()
        elif (error := task.exception()) is not None:
            self.done.set_exception(error)
        else:
            self.done.set_result(task.result())

    def _give_up(self) -> None:
        self.done.cancel()
        # Only a cancellation that was notified ends concurrent.futures.wait.
        self.done.set_running_or_notify_cancel()

    def cancel(self) -> None:
        """Ask the coroutine to stop; from any thread."""
        self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        self._cancelled = True
        if self._task is not None:
            self._task.cancel()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Whether it has ended, after at most `timeout_s` seconds; from any thread but the engine's."""
        if threading.current_thread() is _engine.thread:
            raise InternalError("the engine's own thread may not wait for a job")
        return not concurrent.futures.wait([self.done], timeout_s).not_done


class _Engine:
    """The loop and its thread, made when first needed and again after a fork."""

    def __init__(self) -> None:
        self.thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = 0
        self._lock = threading.Lock()

    def loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or self._pid != os.getpid():
                self._loop = asyncio.new_event_loop()
                self._pid = os.getpid()
                self.thread = threading.Thread(target=self._loop.run_forever, name="clnrm_nb", daemon=True)
                self.thread.start()
            return self._loop

    def after_fork(self) -> None:
        # The child inherits a lock that another thread may have held at that moment.
        self._lock = threading.Lock()


_engine: Final = _Engine()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_engine.after_fork)


def engine_loop() -> asyncio.AbstractEventLoop:
    """The loop of this process; started if need be."""
    return _engine.loop()


def submit(coroutine: Coroutine[Any, Any, T]) -> Job[T]:
    """Start `coroutine` on the engine's loop and return at once."""
    return Job(coroutine, engine_loop())


def run_blocking(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run `coroutine` on the engine's loop and wait for its result, interruptibly.

    Works in plain Python, in kernels (a running loop in this thread does not matter) and in worker threads.

    Raises
    ------
    Interrupted
        Ctrl-C: the job was cancelled and its clean-up awaited, at most :data:`CLEAN_UP_S` seconds; a second
        Ctrl-C ends that wait at once and leaves the rest to the engine thread and the reaper.
    """
    job = submit(coroutine)
    try:
        return _waited(job)
    except KeyboardInterrupt:
        job.cancel()
        raise _after_clean_up(job) from None


def _waited(job: Job[T]) -> T:
    while not job.wait(_STEP_S):
        pass
    return job.done.result()


def _after_clean_up(job: Job[Any]) -> Interrupted:
    try:
        if not job.wait(CLEAN_UP_S):
            return Interrupted(cleaned_up=False)
        return Interrupted(job.done.result())
    except KeyboardInterrupt:
        return Interrupted(cleaned_up=False)
    except concurrent.futures.CancelledError:
        return Interrupted()
    except Exception as error:  # noqa: BLE001  # The interrupt is what is reported; what else went wrong goes along.
        stop = Interrupted()
        stop.add_note(f"while it was cleaned up: {type(error).__name__}: {error}")
        return stop


async def run_here(coroutine: Coroutine[Any, Any, T]) -> T:
    """Await `coroutine` from a loop of the caller's own, while it runs on the engine's (``await arun(…)``).

    Cancelling the caller cancels the job and waits for its clean-up, at most :data:`CLEAN_UP_S` seconds.
    """
    if asyncio.get_running_loop() is engine_loop():
        return await coroutine
    job = submit(coroutine)
    waiting = asyncio.shield(asyncio.wrap_future(job.done))
    try:
        return await waiting
    except asyncio.CancelledError:
        job.cancel()
        await _ended(job)
        raise


async def _ended(job: Job[Any]) -> None:
    """Wait a bounded time for the end of a job without caring how it ends."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()

    def tell(_: object) -> None:
        # The caller's loop may be gone by then.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(ended.set)

    job.done.add_done_callback(tell)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(ended.wait(), CLEAN_UP_S)

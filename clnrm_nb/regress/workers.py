"""Worker processes: started when there is work, reused, replaced when they die, stopped with the caller."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.executor import reaper
from clnrm_nb.reaper.ownership import this_process
from clnrm_nb.reaper.processes import MARK
from clnrm_nb.regress.worker import Answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clnrm_nb.regress.worker import Job

__all__ = ["execute_all"]

_CLEAN_UP_S: Final = 5.0
_STEP_S: Final = 0.05
_LAST_WORDS_BYTES: Final = 2_000


def execute_all(jobs: Sequence[Job], *, workers: int) -> tuple[list[Answer], bool]:
    """Execute notebooks, at most `workers` at once.

    Returns
    -------
    answers : list of Answer
        In the order of `jobs`.
    interrupted : bool
        Ctrl-C came; what had not ended by then answers ``interrupted``.
    """
    team = _Team()
    with ThreadPoolExecutor(max_workers=max(1, min(workers, len(jobs)))) as threads:
        futures = [threads.submit(team.execute, job) for job in jobs]
        interrupted = False
        try:
            _wait(futures)
        except KeyboardInterrupt:
            interrupted = True
            for future in futures:
                future.cancel()
            team.interrupt()
        finally:
            team.dismiss_when_idle()
        answers = [_answer_of(future) for future in futures]
    team.stop()
    return answers, interrupted


def _wait(futures: Sequence[Future[Answer]]) -> None:
    """In short steps: an untimed wait would swallow Ctrl-C."""
    pending = set(futures)
    while pending:
        pending = wait(pending, timeout=_STEP_S).not_done


def _answer_of(future: Future[Answer]) -> Answer:
    try:
        return future.result()
    except CancelledError:
        return Answer("interrupted", "not started")


class _Team:
    """One worker for each thread that asks."""

    def __init__(self) -> None:
        self._of_thread = threading.local()
        self._lock = threading.Lock()
        self._all: list[_Worker] = []
        self._stopping = threading.Event()

    def execute(self, job: Job) -> Answer:
        if self._stopping.is_set():
            return Answer("interrupted", "not started")
        worker = getattr(self._of_thread, "worker", None)
        if worker is None or not worker.is_alive:
            worker = self._of_thread.worker = _Worker()
            with self._lock:
                self._all.append(worker)
        answer = worker.ask(job)
        return Answer("interrupted", "interrupted") if self._stopping.is_set() and answer.problem else answer

    def interrupt(self) -> None:
        """Have every worker end its kernel; whoever takes too long is killed."""
        self._stopping.set()
        with self._lock:
            for worker in self._all:
                worker.interrupt()

    def dismiss_when_idle(self) -> None:
        """Nothing more will be asked."""
        with self._lock:
            for worker in self._all:
                worker.dismiss()

    def stop(self) -> None:
        for worker in self._all:
            worker.stop()


class _Worker:
    """One process, used by one thread at a time."""

    def __init__(self) -> None:
        # Should this process be killed, neither the worker nor its kernel goes on for nobody.
        reaper.keep({"marked": f"{this_process()}/"})
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  # Lives as long as the process; closed by stop().
        self._process = subprocess.Popen(
            [sys.executable, "-m", "clnrm_nb.regress.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            encoding="utf-8",
            env={**os.environ, MARK: f"{this_process()}/notebooks."},
            # The terminal's Ctrl-C is ours to pass on, once the notebook can be saved.
            start_new_session=True,
        )

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, job: Job) -> Answer:
        """Execute one notebook; a worker that dies over it is a problem of that notebook alone."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        line = ""
        with contextlib.suppress(BrokenPipeError, ValueError):
            self._process.stdin.write(json.dumps(asdict(job), default=str) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        if not line:
            return Answer("internal", f"the worker process died: {self._last_words()}")
        answer: dict[str, Any] = json.loads(line)
        return Answer(answer["problem"], answer["message"], tuple(answer["unknown"]))

    def _last_words(self) -> str:
        size = os.fstat(self._said.fileno()).st_size
        said = os.pread(self._said.fileno(), _LAST_WORDS_BYTES, max(size - _LAST_WORDS_BYTES, 0))
        lines = said.decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def interrupt(self) -> None:
        if self.is_alive:
            self._process.send_signal(signal.SIGINT)
            killer = threading.Timer(_CLEAN_UP_S, self._process.kill)
            killer.daemon = True
            killer.start()

    def dismiss(self) -> None:
        with contextlib.suppress(OSError):
            assert self._process.stdin is not None
            self._process.stdin.close()

    def stop(self) -> None:
        try:
            self._process.wait(_CLEAN_UP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._said.close()

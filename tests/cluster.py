"""A Dask cluster of the tests' own on loopback: one scheduler, and workers that can be killed and counted.

Each worker is told which Docker engine is its own by ``DOCKER_HOST``, so that several engines on this machine
stand for several machines. Everything that was started is ended, by its own process group.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Final, Self

__all__ = ["Cluster"]

REPOSITORY: Final = Path(__file__).parents[1]
STARTED_WITHIN_S: Final = 60.0
STOPPED_WITHIN_S: Final = 15.0
POLL_S: Final = 0.02


class Cluster:
    """See the module.

    Parameters
    ----------
    directory : Path
        For logs and what workers write.
    environ : mapping, optional
        Added to the environment of all its processes.
    options : sequence of str
        Of ``dask scheduler``.
    """

    def __init__(
        self,
        directory: Path,
        *,
        environ: dict[str, str] | None = None,
        options: tuple[str, ...] = (),
        host: str = "tcp://127.0.0.1",
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        paths = [str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._environ = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(paths),
            "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "30s",
            **(environ or {}),
        }
        self.processes: list[subprocess.Popen[bytes]] = []
        self._options = options
        about = directory / "scheduler.json"
        words = ["scheduler", "--host", host, "--port", "0", "--no-dashboard", *options]
        self.scheduler = self._start([*words, "--scheduler-file", str(about)], "scheduler")
        self.address = str(_awaited(lambda: _address(about), self.scheduler, directory / "scheduler.log"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def worker(
        self, *options: str, n_threads: int = 4, docker_host: str | None = None, nanny: bool = True
    ) -> subprocess.Popen[bytes]:
        """Start a worker; :meth:`ready` waits until the scheduler knows it."""
        name = f"worker-{len(self.processes)}"
        place = self._directory / name
        words = ["worker", self.address, "--nthreads", str(n_threads), "--no-dashboard", *self._options]
        words += ["--local-directory", str(place), "--memory-limit", "0"]
        words += options if nanny else ("--no-nanny", *options)
        environ = {} if docker_host is None else {"DOCKER_HOST": docker_host}
        return self._start(words, name, environ)

    def ready(self) -> Self:
        """Wait until all workers have come up."""
        for number, process in enumerate(self.processes):
            log = self._directory / f"worker-{number}.log"
            if process is not self.scheduler:
                _awaited(lambda log=log: b"Registered to" in log.read_bytes(), process, log)
        return self

    def _start(
        self, words: list[str], name: str, environ: dict[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        with (self._directory / f"{name}.log").open("wb") as log:
            process = self._popen(words, log, environ or {})
        self.processes.append(process)
        return process

    def _popen(self, words: list[str], log: IO[bytes], environ: dict[str, str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "dask", *words],
            env={**self._environ, **environ},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def logs(self) -> str:
        """What all processes have printed."""
        return "\n".join(path.read_text(errors="replace") for path in sorted(self._directory.glob("*.log")))

    def stop(self) -> None:
        """End everything, workers first."""
        for process in reversed(self.processes):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        deadline_s = time.monotonic() + STOPPED_WITHIN_S
        for process in reversed(self.processes):
            try:
                process.wait(max(deadline_s - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.processes.clear()


def _address(about: Path) -> str | None:
    try:
        return str(json.loads(about.read_text())["address"])
    except (OSError, ValueError):
        return None


def _awaited(look: object, process: subprocess.Popen[bytes], log: Path) -> object:
    """What `look` says as soon as it says something."""
    assert callable(look)
    deadline_s = time.monotonic() + STARTED_WITHIN_S
    while not (found := look()):
        if process.poll() is not None or time.monotonic() > deadline_s:
            raise RuntimeError(f"a part of the cluster did not start:\n{log.read_text(errors='replace')}")
        time.sleep(POLL_S)
    return found

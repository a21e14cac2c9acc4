"""Runs of their own that are interrupted or killed, and what is left of them: no tests, but what some share.

A run has a project, a directory for temporary files, and an owner label of its own, so that whatever it
leaves is known to be its.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from clnrm_nb.reaper.ownership import Owner, this_process
from clnrm_nb.reaper.processes import marked, start_time

WAITING = '[meta]\nname = "w{n}"\nversion = "1"\n[[scenario]]\nname = "s"\nrun = ["sh", "-c", "sleep 1000"]\n'
_RUN = ("run", ".", "--emit-events", "jsonl")
QUICK = """
[meta]
name = "quick{n}"
version = "1"
[service.web]
image = "{image}"
args = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.05; done"]
[[scenario]]
name = "s"
run = ["true"]
"""


def lay_down(directory: Path, text: str, *, tests: int = 1, image: str = "") -> Path:
    """A project of so many tests."""
    (directory / ".clnrm").mkdir(parents=True)
    limits = "max_concurrent_containers = 64\nmemory_budget_mb = 65536\n"
    settings = f'[executor]\n{limits}[containers]\ndefault_image = "{image}"\n'
    (directory / ".clnrm" / "config.toml").write_text(f'{settings}pull_policy = "never"\n')
    (directory / "tmp").mkdir()
    for number in range(tests):
        content = text.replace("{n}", str(number)).replace("{image}", image)
        (directory / f"t{number}.clnrm.toml").write_text(content)
    return directory


class Remains:
    """What an owner has, in an engine and on this machine."""

    def __init__(self, owner: str, temporary: Path, engine=None) -> None:
        self.owner, self._temporary, self._engine = owner, temporary, engine

    def all(self) -> list:
        in_engine = self._engine.labelled("clnrm_nb.owner", self.owner) if self._engine else []
        return [*in_engine, *marked(f"{self.owner}/"), *self.scratch()]

    def scratch(self) -> list[str]:
        return [each.name for each in self._temporary.iterdir() if each.name.startswith("clnrm-")]

    def until_gone(self, within_s: float = 30.0) -> float:
        """Seconds until nothing is left; this machine is shared, so that a test gives it time."""
        begun_s = time.monotonic()
        while left := self.all():
            assert time.monotonic() - begun_s < within_s, f"left behind: {left}"
            time.sleep(0.03)
        return time.monotonic() - begun_s


GATE = """
import asyncio, sys
async def pump(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.write_eof()
async def serve(reader, writer):
    to, back = await asyncio.open_unix_connection(sys.argv[2])
    await asyncio.gather(pump(reader, back), pump(to, writer), return_exceptions=True)
    back.close(), writer.close()
async def main():
    server = await asyncio.start_unix_server(serve, sys.argv[1])
    print("ready", flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


class Gate:
    """A way to an engine that one run alone takes: stopped, that engine hangs for it and for nobody else."""

    def __init__(self, directory: Path, url: str) -> None:
        self.url = f"unix://{directory}/gate.sock"
        command = [sys.executable, "-c", GATE, f"{directory}/gate.sock", url.removeprefix("unix://")]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        self.process.stdout.readline()

    def stop(self) -> None:
        """Everything beyond it hangs."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Everything beyond it goes on."""
        self.process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        """Close it for good."""
        self.process.kill()
        self.process.communicate()


PATIENT = """
import json, os, sys
from clnrm_nb.executor import loop, test_run

def hear(job, cancel=loop.Job.cancel):
    cancel(job)
    os.write(2, b'{"event": "interrupt.heard"}\\n')

loop.Job.cancel = hear
loop.CLEAN_UP_S = test_run._INTERRUPTED_TEARDOWN_S = 60.0
"""
"""A process that waits a minute for its clean-up, and says on stderr when it has heard a first interrupt: whoever
ends sooner has not waited, on a machine however busy."""


class Run:
    """``clnrm run``, or another command, in a process of its own, its events read from stderr."""

    def __init__(self, project: Path, *options: str, engine=None, command=_RUN, is_patient=False) -> None:
        environ = {**os.environ, "TMPDIR": str(project / "tmp")}
        program = (
            ["-c", f"{PATIENT}from clnrm_nb.cli.main import main\nmain()"]
            if is_patient
            else ["-m", "clnrm_nb"]
        )
        words = [sys.executable, *program, *command, *options]
        with (project / "out").open("wb") as out:
            self.process = subprocess.Popen(
                words, cwd=project, env=environ, stdout=out, stderr=subprocess.PIPE, start_new_session=True
            )
        started = start_time(self.process.pid)
        here = this_process()
        self.owner = str(Owner(here.machine, here.boot, self.process.pid, started))
        self.remains = Remains(self.owner, project / "tmp", engine)
        self._project = project

    def until(self, event: str, times: int = 1) -> None:
        """Wait until it has said so."""
        for line in self.process.stderr:
            if line.startswith(b"{") and json.loads(line)["event"] == event:
                times -= 1
                if times == 0:
                    return
        raise AssertionError(f"the run ended without {event}: {self.output}")

    def until_running(self, engine, containers: int, within_s: float = 60.0) -> None:
        """Wait until it has so many containers that run."""
        wanted = {"label": f"clnrm_nb.owner={self.owner}"}
        end_s = time.monotonic() + within_s
        while len(engine.client.containers(filters=wanted)) < containers:
            assert time.monotonic() < end_s, self.output
            time.sleep(0.05)

    def until_processes(self, count: int, within_s: float = 60.0) -> None:
        """Wait until so many processes carry its mark."""
        end_s = time.monotonic() + within_s
        while len(marked(f"{self.owner}/")) < count:
            assert time.monotonic() < end_s, self.output
            time.sleep(0.05)

    @property
    def output(self) -> str:
        return (self._project / "out").read_text()

    def file(self, name: str) -> str:
        """What it wrote."""
        return (self._project / name).read_text()

    def end(self, within_s: float = 60.0) -> int:
        """Its exit code, whatever it still says."""
        self.process.communicate(timeout=within_s)
        return self.process.returncode

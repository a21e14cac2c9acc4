"""A real kernel that is interrupted, restarted or killed while `%clnrm run` waits: nothing is left."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest
from jupyter_client.manager import KernelManager

from clnrm_nb.reaper.ownership import Owner, this_process
from clnrm_nb.reaper.processes import marked, start_time

pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc"),
]

# Two seconds are the promise on a machine of one's own; this one may be shared.
WITHIN_S = 30.0
BOTH = """
%load_ext clnrm_nb
detached = %clnrm run . --backend process --detach
%clnrm run . --no-raise
"""


def until(condition):
    """Wait for what another process brings about."""
    end_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.02)


class Kernel:
    """A kernel with a project of one test that waits, and what it has started."""

    def __init__(self, victims, engine, project):
        environ = {**os.environ, "IPYTHONDIR": str(project / "ipython"), "TMPDIR": str(project / "tmp")}
        self.manager = KernelManager(kernel_name="python3")
        self.manager.start_kernel(cwd=str(project), env=environ)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)
        self.pid = self.manager.provisioner.pid
        here = this_process()
        self.owner = str(Owner(here.machine, here.boot, self.pid, start_time(self.pid)))
        self.remains = victims.Remains(self.owner, project / "tmp", engine)

    def begin(self, engine, code, *, containers=0, processes=0):
        """Execute a cell and wait until its tests run."""
        request = self.client.execute(code, allow_stdin=False)
        wanted = {"label": f"clnrm_nb.owner={self.owner}"}
        until(
            lambda: (
                len(engine.client.containers(filters=wanted)) >= containers
                and len(marked(f"{self.owner}/")) >= processes
            )
        )
        return request

    def reply(self, request):
        """How a cell ended."""
        while True:
            message = self.client.get_shell_msg(timeout=30)
            if message["parent_header"]["msg_id"] == request:
                return message["content"]

    def close(self):
        self.client.stop_channels()
        if self.manager.is_alive():
            self.manager.shutdown_kernel(now=True)


@pytest.fixture
def kernel(victims, engine, busybox_image, tmp_path):
    made = Kernel(victims, engine, victims.lay_down(tmp_path / "p", victims.WAITING, image=busybox_image))
    yield made
    made.close()


def test_an_interrupted_kernel_has_removed_everything_when_the_cell_ends(kernel, engine):
    kernel.begin(engine, "%load_ext clnrm_nb")
    for backend, running in (("docker", {"containers": 1}), ("process", {"processes": 1})):
        request = kernel.begin(engine, f"r = %clnrm run . --backend {backend} --no-raise", **running)

        kernel.manager.interrupt_kernel()

        kernel.reply(request)
        print(f"{backend}: gone {kernel.remains.until_gone(WITHIN_S):.2f} s after the cell ended")
        reply = kernel.reply(kernel.begin(engine, "assert r.exit_code == 130, r"))
        assert reply["status"] == "ok", reply


def test_a_second_interrupt_ends_the_cell_at_once_and_the_clean_up_goes_on(victims, kernel, engine, tmp_path):
    import tempfile

    with tempfile.TemporaryDirectory(prefix="clnrm-g-") as directory:
        gate = victims.Gate(directory, engine.url)
        heard = tmp_path / "heard"
        kernel.begin(engine, victims.PATIENT.replace("os.write(2, ", f"open({str(heard)!r}, 'wb').write("))
        kernel.begin(engine, "%load_ext clnrm_nb")
        command = f"r = %clnrm run . --docker-host {gate.url} --no-raise"
        request = kernel.begin(engine, command, containers=1)

        gate.stop()
        kernel.manager.interrupt_kernel()
        until(heard.exists)
        begun_s = time.monotonic()
        kernel.manager.interrupt_kernel()
        reply = kernel.reply(request)
        took_s = time.monotonic() - begun_s
        gate.go_on()

        assert reply["ename"] in ("KeyboardInterrupt", "Interrupted")
        assert took_s < 10  # The first one would have waited for a minute.
        kernel.remains.until_gone(WITHIN_S)
        assert kernel.manager.is_alive()
        gate.end()


def test_a_restarted_kernel_leaves_nothing_of_the_one_before(kernel, engine):
    kernel.begin(engine, BOTH, containers=1, processes=1)

    kernel.manager.restart_kernel(now=False)

    print(f"gone {kernel.remains.until_gone(WITHIN_S):.2f} s after the restart")


def test_a_killed_kernel_leaves_nothing(kernel, engine):
    kernel.begin(engine, BOTH, containers=1, processes=1)

    os.kill(kernel.pid, signal.SIGKILL)

    print(f"gone in {kernel.remains.until_gone(WITHIN_S):.2f} s")

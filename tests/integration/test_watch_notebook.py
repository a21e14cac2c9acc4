"""``%clnrm watch`` in real kernels: live with a person, once without, gone when it is told to."""

from __future__ import annotations

import os
import threading
from time import monotonic

import pytest
from jupyter_client.manager import KernelManager

PATIENCE_S = 60.0
RESULT = "application/vnd.clnrm.result.v1+json"


class Kernel:
    """A kernel in a directory of its own."""

    def __init__(self, directory):
        self._manager = KernelManager(kernel_name="python3")
        environ = {**os.environ, "IPYTHONDIR": str(directory / "ipython")}
        self._manager.start_kernel(cwd=str(directory), env=environ)
        self._client = self._manager.client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=PATIENCE_S)

    def interrupt(self):
        self._manager.interrupt_kernel()

    def run(self, code, *, person=True, on_message=lambda _: None):
        """Execute a cell; all that came until it had ended, whichever cell it belongs to."""
        request = self._client.execute(code, allow_stdin=person)
        messages, end = [], monotonic() + PATIENCE_S
        while monotonic() < end:
            message = self._client.get_iopub_msg(timeout=PATIENCE_S)
            messages.append(message)
            on_message(message)
            is_own = message["parent_header"].get("msg_id") == request
            if is_own and message["content"].get("execution_state") == "idle":
                return messages
        raise AssertionError(f"{code!r} did not end")

    def shows(self, text):
        """Wait until some cell's picture holds a text."""
        end = monotonic() + PATIENCE_S
        while monotonic() < end:
            message = self._client.get_iopub_msg(timeout=PATIENCE_S)
            if text in message["content"].get("data", {}).get("text/html", ""):
                return
        raise AssertionError(f"{text!r} was not shown")

    def close(self):
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)


@pytest.fixture
def write(tmp_path):
    (tmp_path / ".clnrm").mkdir()

    def write(name, command):
        file = tmp_path / f"{name}.clnrm.toml"
        # Whole at once, so that one save is one change however slow the machine is.
        passing = file.with_name(f".{file.name}.tmp")
        passing.write_text(
            f'[meta]\nname = "{name}"\nversion = "1"\n'
            f'[[steps]]\nname = "go"\ncommand = ["sh", "-c", "{command}"]\n'
        )
        passing.replace(file)

    write("a", "true")
    write("b", "exit 3")
    return write


@pytest.fixture
def kernel(write, tmp_path):
    made = Kernel(tmp_path)
    made.run("%load_ext clnrm_nb")
    yield made
    made.close()


def printed(messages):
    return "".join(m["content"]["text"] for m in messages if m["msg_type"] == "stream")


def errors(messages):
    return [m["content"] for m in messages if m["msg_type"] == "error"]


def test_detached_it_goes_on_beside_other_cells_until_it_is_stopped(kernel, write):
    kernel.run("w = %clnrm watch --backend process --settle 20 --detach .")
    kernel.shows("1 passed, 1 failed")
    write("b", "true")
    kernel.shows("2 passed")
    messages = kernel.run("r = w.stop(); print(r.exit_code, w.status, len(w.frame) > 0)")
    threads = "[t.name for t in threading.enumerate() if 'watch' in t.name]"
    left = kernel.run(f"import threading; print({threads})")

    assert printed(messages) == "0 passed True\n"
    assert printed(left) == "[]\n"


def test_a_cell_that_is_run_again_replaces_its_watcher(kernel):
    kernel.run("w = %clnrm watch --backend process --detach .")
    kernel.run("v = %clnrm watch --backend process --detach .")
    messages = kernel.run("print(w.is_over, v.is_over)")
    kernel.run("%unload_ext clnrm_nb")
    unloaded = kernel.run("print(v.is_over)")

    assert printed(messages) == "True False\n"
    assert printed(unloaded) == "True\n"


def test_in_a_cell_it_goes_on_until_it_is_interrupted_and_leaves_its_result(kernel):
    def interrupt_when_waiting(message):
        if "waiting for changes" in message["content"].get("data", {}).get("text/html", ""):
            threading.Timer(0, kernel.interrupt).start()

    messages = kernel.run("%clnrm watch --backend process .", on_message=interrupt_when_waiting)

    (result,) = [m for m in messages if m["msg_type"] == "execute_result"]
    assert RESULT in result["content"]["data"]
    assert errors(messages) == []


@pytest.mark.parametrize("words", ["watch", "watch --detach", "run --watch"])
def test_where_nobody_is_the_tests_run_once_and_failures_are_errors(kernel, words):
    messages = kernel.run(f"%clnrm {words} --backend process .", person=False)

    assert "run once" in printed(messages)
    assert [error["ename"] for error in errors(messages)] == ["RunFailedError"]

"""Units made ready for the tests that are being edited, with real containers: used, given up, and gone."""

from __future__ import annotations

import signal
import socket
import sys
import threading
import time

import pytest

from clnrm_nb import api
from clnrm_nb.reaper.ownership import this_process

pytestmark = pytest.mark.docker

PATIENCE_S = 60.0
TEST = "t0.clnrm.toml"
SERVED = """
[meta]
name = "served"
version = "1"
[services.web]
image = "{image}"
args = ["sh", "-c", "cp /page /tmp/page; exec httpd -f -p 8080 -h /tmp"]
env = {{ LEVEL = "{level}" }}
volumes = ["./page:/page:ro"]
ports = ["{port}:8080"]
[services.web.health_check]
command = ["test", "-e", "/tmp/page"]
[[steps]]
name = "look"
service = "web"
command = ["sh", "-c", "cat /tmp/page; echo $LEVEL {word}"]
"""


class Served:
    """One test with a service, its file, and the service's containers there are."""

    def __init__(self, root, image, engine):
        self.file, self.page = root / TEST, root / "page"
        self._root, self._image, self._engine = root, image, engine
        self.save(self.page, "one\n")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.write("first")

    def save(self, file, text):
        """Whole at once, so that one save is one change however slow the machine is."""
        passing = self._root / ".passing"
        passing.write_text(text)
        passing.replace(file)

    def write(self, word, level="1"):
        self.save(self.file, SERVED.format(image=self._image, word=word, level=level, port=self.port))

    def until_spare(self, owner=None):
        """Wait until its container runs, and give its id."""
        wanted = {"label": f"clnrm_nb.owner={owner or this_process()}"}
        deadline_s = time.monotonic() + PATIENCE_S
        while len(found := self._engine.client.containers(filters=wanted)) != 1:
            assert time.monotonic() < deadline_s, found
            time.sleep(0.02)
        return found[0]["Id"]


@pytest.fixture
def served(tmp_path, monkeypatch, busybox_image, engine):
    (tmp_path / ".clnrm").mkdir()
    (tmp_path / ".clnrm" / "config.toml").write_text(f'[containers]\ndefault_image = "{busybox_image}"\n')
    monkeypatch.chdir(tmp_path)
    return Served(tmp_path, busybox_image, engine)


@pytest.fixture
def watching(no_leftovers, served):
    """Watch the test; a way to wait for its next verdict."""
    results, heard = [], threading.Condition()

    def take(event):
        if event.event == "watch.result" and event.data["tests"]:
            with heard:
                results.append(event)
                heard.notify_all()

    handle = api.watch(".", detach=True, listener=take, settle=20)

    def verdict(number):
        with heard:
            assert heard.wait_for(lambda: len(results) >= number, PATIENCE_S), results
        (test,) = handle.result.raw["data"]["tests"]
        return test, test["scenarios"][0]["commands"][0]["stdout"]

    verdict(1)
    yield verdict
    handle.stop(PATIENCE_S)


def test_an_edited_test_runs_in_what_was_made_ready_unless_that_is_another_now(served, watching):
    served.write("second")
    first, _ = watching(2)
    served.until_spare()

    served.write("third")
    used, printed = watching(3)
    served.until_spare()
    served.save(served.page, "two\n")
    after_page, printed_page = watching(4)
    served.until_spare()
    served.write("third", level="2")
    after_level, printed_level = watching(5)

    assert "ahead" not in first["timings_ms"]
    assert "ahead" in used["timings_ms"]
    assert used["scenarios"][0]["commands"][0]["exit_code"] == 0
    assert printed.split() == ["one", "1", "third"]
    assert "ahead" not in after_page["timings_ms"]
    assert printed_page.split() == ["two", "1", "third"]
    assert "ahead" not in after_level["timings_ms"]
    assert printed_level.split() == ["two", "2", "third"]


def test_a_spare_whose_service_died_is_not_used(served, watching, engine):
    served.write("second")
    watching(2)
    spare = served.until_spare()

    engine.client.kill(spare)
    served.write("third")
    test, printed = watching(3)

    assert test["status"] == "passed"
    assert "ahead" not in test["timings_ms"]
    assert printed.split() == ["one", "1", "third"]


def test_a_spare_takes_its_ports_when_it_is_used_and_not_before(served, watching):
    served.write("second")
    watching(2)
    served.until_spare()

    with socket.create_server(("127.0.0.1", served.port)):
        served.write("third")
        test, _ = watching(3)

    assert test["status"] == "failed"
    assert "CLN603" in {finding["code"] for finding in test["diagnostics"]}


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_watcher_that_is_stopped_or_killed_leaves_no_spare(
    tmp_path, victims, engine, busybox_image, number
):
    project = victims.lay_down(tmp_path / "p", "", image=busybox_image)
    command = ("watch", ".", "--emit-events", "jsonl", "--settle", "20")
    served = Served(project, busybox_image, engine)
    run = victims.Run(project, engine=engine, command=command)
    run.until("watch.result")
    served.write("second")
    run.until("watch.result")
    served.until_spare(run.owner)

    run.process.send_signal(number)
    run.end()

    run.remains.until_gone()

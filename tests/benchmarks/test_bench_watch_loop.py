"""From a save to the verdict, and how soon what it made obsolete is gone (`make bench`).

One test with one command in a container of its own, edited and saved while ``clnrm watch`` looks on. The peer
is the cycle by hand: the same save, then ``clnrm run`` of that file typed into a shell.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import threading
import time

import pytest
from docker.errors import APIError
from yardstick import slowness, undisturbed

from clnrm_nb import api

pytestmark = pytest.mark.docker

SAVES = 10
BY_HAND = 3
CANCELLED = 6
VERDICT_MS = 1_000
GONE_MS = 400
PATIENCE_S = 60.0
A = "a.clnrm.toml"


@pytest.fixture
def save(tmp_path, monkeypatch, busybox_image):
    (tmp_path / ".clnrm").mkdir()
    (tmp_path / ".clnrm" / "config.toml").write_text(f'[containers]\ndefault_image = "{busybox_image}"\n')
    monkeypatch.chdir(tmp_path)

    def save(command, name="a"):
        (tmp_path / f"{name}.clnrm.toml").write_text(
            f'[meta]\nname = "{name}"\nversion = "1"\n'
            f'[[steps]]\nname = "go"\ncommand = ["sh", "-c", "{command}"]\n'
        )

    save("true")
    save("true", "b")
    return save


class Watched:
    """A watcher and when it said what."""

    def __init__(self):
        self.said = []
        self._heard = threading.Condition()
        self.handle = api.watch(".", detach=True, listener=self._take)
        self.until(lambda event: event.event == "watch.result", 0)

    def _take(self, event):
        with self._heard:
            self.said.append((time.perf_counter(), event))
            self._heard.notify_all()

    def until(self, condition, since):
        """When it was first so."""

        def first():
            return next((at for at, event in self.said[since:] if condition(event)), None)

        with self._heard:
            assert self._heard.wait_for(lambda: first() is not None, PATIENCE_S)
            return first()

    def reaction_ms(self, act):
        """Diagnostics, start of the run and verdict after `act`."""
        since, began = len(self.said), time.perf_counter()
        act()
        verdict = self.until(lambda event: event.event == "watch.result", since)
        edges = ("watch.diagnostics", "run.start")
        return [
            *(
                (self.until(lambda event, edge=edge: event.event == edge, since) - began) * 1e3
                for edge in edges
            ),
            (verdict - began) * 1e3,
        ]


@pytest.fixture
def watched(save):
    one = Watched()
    yield one
    one.handle.stop(PATIENCE_S)


def by_hand_ms(save, number):
    began = time.perf_counter()
    save(f"echo by hand {number}")
    words = [sys.executable, "-m", "clnrm_nb", "run", A]
    subprocess.run(words, check=True, capture_output=True, timeout=PATIENCE_S)
    return (time.perf_counter() - began) * 1e3


@pytest.mark.bench
def test_a_save_has_its_verdict_within_a_second(watched, save):
    measured = [watched.reaction_ms(lambda n=number: save(f"echo {n}")) for number in range(SAVES)]
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024
    peer = statistics.median(by_hand_ms(save, number) for number in range(BY_HAND))

    diagnostics, begun, verdict = (statistics.median(column) for column in zip(*measured, strict=True))
    print(
        f"\n{SAVES} saves of one test beside another, {os.cpu_count()} CPUs: diagnostics {diagnostics:.1f} ms, "
        f"run begins {begun:.1f} ms, verdict {verdict:.0f} ms (worst {max(row[2] for row in measured):.0f}); "
        f"by hand {peer:.0f} ms, {peer / verdict:.1f} times as long; at most {peak_mb:.0f} MB"
    )
    most_ms = VERDICT_MS * slowness(time.perf_counter)
    print(f"goal {VERDICT_MS} ms, {most_ms:.0f} on this machine now")
    assert verdict <= most_ms


@pytest.mark.bench
def test_containers_of_an_obsolete_run_are_gone_in_400_ms(watched, save, engine, busybox_image):
    def measure():
        gone_ms = [cancelled_ms(watched, save, engine, number) for number in range(CANCELLED)]
        median, peer = statistics.median(gone_ms), removal_ms(engine, busybox_image)
        print(
            f"\nfrom the save until the container of the obsolete run is gone, {CANCELLED} times: "
            f"median {median:.0f} ms, worst {max(gone_ms):.0f} ms, goal {GONE_MS}; `rm -f` alone {peer:.0f} ms"
        )
        return median, max(GONE_MS, 4 * peer)

    median, most = undisturbed(measure, lambda found: found[0] <= found[1])
    assert median <= most


def removal_ms(engine, image):
    """What the engine itself takes to remove a running container, p50."""
    spent_ms = []
    for _ in range(CANCELLED):
        made = engine.client.create_container(image, ["sleep", "600"])
        engine.client.start(made)
        began = time.perf_counter()
        engine.client.remove_container(made, force=True)
        spent_ms.append((time.perf_counter() - began) * 1e3)
    return statistics.median(spent_ms)


def cancelled_ms(watched, save, engine, number):
    """Save a test that runs on and on once more while it does."""
    since = len(watched.said)
    save(f"echo {number}; sleep 600")
    watched.until(lambda event: event.event == "test.start", since)
    old = set()
    while not any(sleeps(engine, one) for one in old):
        time.sleep(0.01)
        old = containers(engine)
    began = time.perf_counter()
    save(f"echo {time.perf_counter_ns()}")
    while old & containers(engine):
        time.sleep(0.005)
    spent_ms = (time.perf_counter() - began) * 1e3
    watched.until(lambda event: event.event == "test.end" and event.status == "passed", since)
    return spent_ms


def containers(engine):
    chosen = {"label": f"clnrm_nb.test={A}"}
    return {one["Id"] for one in engine.client.containers(all=True, filters=chosen)}


def sleeps(engine, container):
    """Whether the command of the test runs in it."""
    try:
        processes = engine.client.top(container)["Processes"]
    except APIError:
        return False
    return any("sleep 600" in " ".join(row) for row in processes)

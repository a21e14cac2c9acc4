"""Tests of very different lengths on few workers, beside the same sleeps under pytest-xdist (`make bench`).

No schedule is shorter than the longest test, nor than all of them shared out evenly. How close a run comes to
that depends on the order in which tests start: the longest first, where their lengths are known. The files are
named so that the order of their paths is the worst one.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time

import pytest
from yardstick import slowness, undisturbed

import clnrm_nb

pytestmark = pytest.mark.bench

MOST_OF_THE_BOUND = 1.08
WORKERS = 4
SECONDS = [0.3] * 12 + [0.6] * 5 + [1.2] * 2 + [2.4]

TEST = """
[meta]
name = "t{number:02}"
version = "1"
[[steps]]
name = "go"
command = ["sleep", "{seconds}"]
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / ".clnrm").mkdir()
    for number, seconds in enumerate(SECONDS):
        (tmp_path / f"t{number:02}.clnrm.toml").write_text(TEST.format(number=number, seconds=seconds))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def bound(durations_s):
    return max(*durations_s, sum(durations_s) / WORKERS)


def ours():
    """Makespan over its lower bound, both by the clock of this run."""
    events = []
    result = clnrm_nb.run(".", backend="process", workers=WORKERS, listener=events.append)
    assert result.ok, result
    starts = [event.at for event in events if event.event == "test.start"]
    ends = [event.at for event in events if event.event == "test.end"]
    makespan_s = (max(ends) - min(starts)).total_seconds()
    return makespan_s / bound([test["duration_ms"] / 1e3 for test in result.tests])


def peer(directory):
    """The same for xdist's default distribution: each worker is sent tests as it runs out of them."""
    file = directory / "test_sleeps.py"
    file.write_text(
        "import pathlib, time, pytest\n"
        f"@pytest.mark.parametrize('number, seconds', list(enumerate({SECONDS})))\n"
        "def test_sleep(number, seconds):\n"
        "    begun = time.time()\n"
        "    time.sleep(seconds)\n"
        f"    pathlib.Path({str(directory)!r}, f'{{number}}.times').write_text(f'{{begun}} {{time.time()}}')\n"
    )
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", str(WORKERS), "--dist", "load", str(file)]
    subprocess.run([sys.executable, *words], cwd=directory, check=True, capture_output=True)
    times = [tuple(map(float, path.read_text().split())) for path in directory.glob("*.times")]
    assert len(times) == len(SECONDS)
    makespan_s = max(end for _, end in times) - min(begun for begun, _ in times)
    return makespan_s / bound([end - begun for begun, end in times])


def test_skewed_tests_end_almost_as_soon_as_any_schedule_could(project, tmp_path_factory):
    first = ours()

    def measure():
        # The bound is sleep, the same everywhere; what is allowed beyond it is starting processes.
        return ours(), 1 + (MOST_OF_THE_BOUND - 1) * slowness(time.perf_counter)

    known, most = undisturbed(measure, lambda found: found[0] <= found[1])
    theirs = peer(tmp_path_factory.mktemp("peer"))

    print(
        f"\n{len(SECONDS)} skewed tests, {WORKERS} workers, makespan over its lower bound: "
        f"with history {known:.3f}, without {first:.3f}, pytest-xdist load {theirs:.3f}; "
        f"goal {MOST_OF_THE_BOUND}, {most:.3f} on this machine now; "
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )
    assert known <= most
    assert known <= theirs

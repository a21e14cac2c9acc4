"""What distribution costs and gains, and that a killed worker costs no verdict (`make bench`).

The peers of the first figure are the same run without a cluster, and the bare task of Dask's own that the
goal was set by; they take turns in the same run. The second is held against the least that one engine can take, which is
known without running it; the long form runs it. The third has no peer: it counts.
"""

import os
import platform
import random
import signal
import statistics
import time

import pytest
from yardstick import slowness, undisturbed

import clnrm_nb
from clnrm_nb.reaper.ownership import Owner

pytestmark = [pytest.mark.docker]

MOST_ADDED_MS = 20.0
MOST_TIMES_BARE, MOST_TIMES_LOCAL = 2.3, 1.5
"""Of a bare task and of the same test here, where the machine needs more than the 10.8 ms of the bare task the
goal was set on. Measured on a quiet machine: 0.7 and 1.4, 7.5 ms in all; on one with five times the work it
can do: 2.3 and 0.9. A release of each task between two tests alone adds nine milliseconds."""
LEAST_GAIN = 1.8
GONE_WITHIN_S = 10.0
SMALL_TESTS, ROUNDS, BARE_TASKS = 20, 5, 30
WAITING_TESTS, WAIT_S = 8, 3
PLACES = 2
"""Tests at one time on an engine."""
LEAST_ONE_ENGINE_S = WAITING_TESTS * WAIT_S / PLACES
TRIALS, MANY_TRIALS = 3, 50


def machine():
    return f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Write a project of `count` tests with one command, and what the user has configured."""

    def make(count, script, *, inner, image="ignored:1"):
        user = tmp_path / "user" / "cleanroom"
        user.mkdir(parents=True, exist_ok=True)
        (user / "cleanroom.toml").write_text(
            f'[executor.dask]\ninner = "{inner}"\n[containers]\ndefault_image = "{image}"\npull_policy = "never"\n'
        )
        monkeypatch.setenv("XDG_CONFIG_HOME", str(user.parent))
        root = tmp_path / "project"
        (root / ".clnrm").mkdir(parents=True)
        for number in range(count):
            (root / f"t{number:02}.clnrm.toml").write_text(
                f'[meta]\nname = "t{number}"\nversion = "1"\n[[steps]]\nname = "go"\ncommand = ["sh", "-c", "{script}"]\n'
            )
        monkeypatch.chdir(root)
        return root

    return make


def run_timed(isolation="fresh", **options):
    """Milliseconds of each test as the run saw it, and seconds of the whole run."""
    events = []
    started_s = time.perf_counter()
    result = clnrm_nb.run(".", isolation=isolation, listener=events.append, **options)
    spent_s = time.perf_counter() - started_s
    assert result.ok, result
    begun = {event.test: event.at for event in events if event.event == "test.start"}
    ended = {event.test: event.at for event in events if event.event == "test.end"}
    return [(ended[test] - begun[test]).total_seconds() * 1e3 for test in begun], spent_s


def bare_task_ms(address):
    """From submitting a task that does nothing to its result, p50."""
    from distributed import Client

    spent_ms = []
    with Client(address, set_as_default=False) as client:
        for _ in range(BARE_TASKS):
            started_s = time.perf_counter()
            client.submit(len, "abc", pure=False).result()
            spent_ms.append((time.perf_counter() - started_s) * 1e3)
    return statistics.median(spent_ms)


@pytest.mark.bench
def test_bench_a_cluster_adds_little_to_each_test(dask_cluster, project):
    project(SMALL_TESTS, "echo hello", inner="process")
    with dask_cluster("bench") as cluster:
        cluster.worker()
        cluster.ready()
        here = {"backend": "process", "workers": 1}
        there = {"scheduler": cluster.address, "workers": 1}
        run_timed(**here), run_timed(**there)
        pairs, bare_ms = [], []
        for _ in range(ROUNDS):
            pairs.append((run_timed(**here)[0], run_timed(**there)[0]))
            bare_ms.append(bare_task_ms(cluster.address))

    bare = statistics.median(bare_ms)
    added_ms = [statistics.median(theirs) - statistics.median(ours) for ours, theirs in pairs]
    local_ms, dask_ms = (statistics.median(ms for pair in pairs for ms in pair[side]) for side in (0, 1))
    print(f"\n{SMALL_TESTS} small tests: local p50 {local_ms:.1f} ms, dask p50 {dask_ms:.1f} ms")
    print(
        f"added per test, p50: {statistics.median(added_ms):.1f} ms (best round {min(added_ms):.1f}); "
        f"goal {MOST_ADDED_MS:.0f} ms"
    )
    print(f"a bare task of Dask: p50 {bare:.1f} ms; added is {statistics.median(added_ms) / bare:.2f} of it")
    print(f"{ROUNDS} rounds, interleaved; {machine()}")
    assert statistics.median(added_ms) <= max(
        MOST_ADDED_MS, MOST_TIMES_BARE * bare, MOST_TIMES_LOCAL * local_ms
    )


def waited_s(dask_cluster, engines):
    """Seconds that tests which wait take with so many engines, a few at a time on each, and may take at most.

    What they do beside waiting takes longer on a slower machine.
    """
    shared_s = LEAST_ONE_ENGINE_S / len(engines)
    with dask_cluster(f"engines{len(engines)}") as cluster:
        for each in engines:
            cluster.worker("--resources", f"containers={PLACES}", docker_host=each.url)
        cluster.ready()
        # Once before, so that each worker has what it uses again: the waiting is what is shared out.
        run_timed("verified", scheduler=cluster.address)
        return undisturbed(
            lambda: (
                run_timed("verified", scheduler=cluster.address)[1],
                shared_s + (LEAST_ONE_ENGINE_S / LEAST_GAIN - shared_s) * slowness(time.perf_counter),
            ),
            lambda found: found[0] <= found[1],
        )


@pytest.mark.bench
def test_bench_two_engines_are_nearly_twice_as_fast_on_waiting_tests(
    dask_cluster, two_engines, busybox_image, project
):
    project(WAITING_TESTS, f"sleep {WAIT_S}", inner="docker", image=busybox_image)

    two_s, most_s = waited_s(dask_cluster, two_engines)

    print(f"\n{WAITING_TESTS} tests that wait {WAIT_S} s, {PLACES} at a time on each engine:")
    gain = LEAST_ONE_ENGINE_S / two_s
    print(f"two engines {two_s:.2f} s, one at least {LEAST_ONE_ENGINE_S} s: {gain:.2f} times; {machine()}")
    print(f"goal {LEAST_GAIN}, {LEAST_ONE_ENGINE_S / most_s:.2f} on this machine now")
    assert two_s <= most_s


@pytest.mark.bench_full
def test_bench_full_two_engines_beside_one(dask_cluster, two_engines, busybox_image, project):
    project(WAITING_TESTS, f"sleep {WAIT_S}", inner="docker", image=busybox_image)

    (one_s, _), (two_s, _) = waited_s(dask_cluster, two_engines[:1]), waited_s(dask_cluster, two_engines)

    print(f"\none engine {one_s:.2f} s, two engines {two_s:.2f} s: {one_s / two_s:.2f} times; {machine()}")
    assert one_s / two_s >= LEAST_GAIN


@pytest.mark.bench
def test_bench_a_worker_killed_in_mid_test_costs_no_verdict(
    dask_cluster, two_engines, busybox_image, project
):
    kill_workers(dask_cluster, two_engines, busybox_image, project, TRIALS)


@pytest.mark.bench_full
def test_bench_full_fifty_workers_killed_in_mid_test(dask_cluster, two_engines, busybox_image, project):
    kill_workers(dask_cluster, two_engines, busybox_image, project, MANY_TRIALS)


def kill_workers(dask_cluster, engines, image, project, trials):
    project(4, "sleep 1", inner="docker", image=image)
    chance, gone_s, run_s = random.Random(5), [], []
    with dask_cluster("killed") as cluster:
        for each in engines:
            cluster.worker("--resources", "containers=2", docker_host=each.url)
        cluster.ready()
        for _ in range(trials):
            events = []
            run = clnrm_nb.run(".", scheduler=cluster.address, listener=events.append, detach=True)
            victims = until(lambda: of_tests(engines, "running"))
            owner = Owner.parse(chance.choice(victims)["Labels"]["clnrm_nb.owner"])
            time.sleep(chance.uniform(0, 0.8))
            started_s = time.perf_counter()
            os.kill(owner.pid, signal.SIGKILL)
            until(lambda owner=owner: not of_tests(engines, owner=str(owner)))
            gone_s.append(time.perf_counter() - started_s)
            result = run.wait(120)
            run_s.append(time.perf_counter() - started_s)

            verdicts = [event.test for event in events if event.event == "test.end"]
            assert result.ok, result
            assert sorted(verdicts) == sorted(test.id for test in result.outcomes)
            until(lambda: not of_tests(engines))

    print(f"\n{trials} workers killed in mid-test: every verdict once, {trials * 4} of {trials * 4} passed")
    print(f"orphans gone after p50 {statistics.median(gone_s):.1f} s, at most {max(gone_s):.1f} s")
    print(f"run over after p50 {statistics.median(run_s):.1f} s, at most {max(run_s):.1f} s; {machine()}")
    assert max(gone_s) <= GONE_WITHIN_S


def of_tests(engines, status=None, owner=None):
    wanted = {"label": "clnrm_nb.test" if owner is None else f"clnrm_nb.owner={owner}"}
    if status:
        wanted["status"] = status
    return [found for each in engines for found in each.client.containers(all=status is None, filters=wanted)]


def until(condition, within_s=60.0):
    deadline_s = time.monotonic() + within_s
    while not (found := condition()):
        assert time.monotonic() < deadline_s, "it did not happen in time"
        time.sleep(0.02)
    return found

from __future__ import annotations

import heapq
import os
import random
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clnrm_nb.executor.admission import (
    LEAST_AVAILABLE_MB,
    MOST_OVERTAKEN,
    Admission,
    Capacity,
    TestHistory,
    available_memory_mb,
    queue_order,
)
from clnrm_nb.scenario.model import Limits, Service, TestLimits

PLENTY = Capacity(workers=100, containers=1000, memory_mb=10**6, cpu_millicores=10**6, groups={})


@pytest.fixture
def plans(a_test, plan_for):
    def make(*names, **fields):
        return [replace(plan_for(a_test(name)), **fields) for name in names]

    return make


def ids(plans):
    return [plan.id.removesuffix(".clnrm.toml") for plan in plans]


def test_the_queue_is_ordered_by_priority_failure_novelty_duration_and_path(plans):
    urgent = plans("urgent", priority=1)
    rest = plans("b_quick", "a_slow", "failed", "z_new", "y_new")
    history = {
        "urgent.clnrm.toml": TestHistory("passed", 1.0),
        "b_quick.clnrm.toml": TestHistory("passed", 10.0),
        "a_slow.clnrm.toml": TestHistory("flaky", 900.0),
        "failed.clnrm.toml": TestHistory("failed", 1.0),
    }

    order = queue_order([*rest, *urgent], history)

    assert ids(order) == ["urgent", "failed", "y_new", "z_new", "a_slow", "b_quick"]


def test_the_queue_does_not_depend_on_the_order_of_the_plans(plans):
    many = plans(*"abcdef")
    shuffled = random.Random(3).sample(many, len(many))

    assert queue_order(shuffled, {}) == queue_order(many, {})


def test_no_more_tests_than_workers_run(plans):
    admission = Admission(plans(*"abc"), replace(PLENTY, workers=2))

    first, second, third = admission.next(), admission.next(), admission.next()

    assert third is None
    admission.release(first)
    assert ids([second, admission.next()]) == ["b", "c"]


def test_a_group_without_a_limit_holds_one_test(plans):
    admission = Admission(plans("a", "b", groups=frozenset({"db"})), PLENTY)

    assert (ids([admission.next()]), admission.next()) == (["a"], None)


def test_a_group_holds_as_many_as_its_limit(plans):
    admission = Admission(plans(*"abc", groups=frozenset({"gpu"})), replace(PLENTY, groups={"gpu": 2}))

    assert [bool(admission.next()) for _ in range(3)] == [True, True, False]


def test_tests_that_fix_the_same_host_port_never_overlap(plans):
    admission = Admission(plans("a", "b", host_ports=frozenset({(80, "tcp")})), PLENTY)

    first = admission.next()
    assert admission.next() is None
    admission.release(first)
    assert ids([admission.next()]) == ["b"]


def test_one_that_fits_overtakes_one_that_does_not(plans):
    queue = [*plans("a", memory_mb=600), *plans("b", memory_mb=600), *plans("c", memory_mb=100)]
    admission = Admission(queue, replace(PLENTY, memory_mb=1000))

    assert ids([admission.next(), admission.next()]) == ["a", "c"]


def test_a_test_that_needs_more_than_there_is_runs_alone(plans):
    admission = Admission(
        [*plans("big", container_count=50), *plans("small")], replace(PLENTY, containers=20)
    )

    big = admission.next()
    assert ids([big]) == ["big"]
    assert admission.next() is None
    admission.release(big)
    assert ids([admission.next()]) == ["small"]


def test_a_test_that_does_not_fit_is_not_overtaken_for_ever(plans):
    small = plans(*(f"s{number:02}" for number in range(40)), memory_mb=100)
    big = plans("a_big", memory_mb=950)
    admission = Admission([small[0], *big, *small[1:]], replace(PLENTY, memory_mb=1000))
    running = [admission.next()]
    started = []
    while running or admission.waiting:
        while plan := admission.next():
            started.append(plan)
            running.append(plan)
        admission.release(running.pop(0))

    assert ids(started).index("a_big") < 20


def test_without_containers_only_workers_and_groups_count(plans):
    capacity = replace(PLENTY, containers=1, memory_mb=1, counts_containers=False)
    admission = Admission(plans("a", "b", memory_mb=512), capacity)

    assert [bool(admission.next()) for _ in range(2)] == [True, True]


def test_processor_time_that_files_ask_for_is_never_promised_twice(plans):
    queue = [*plans("a", "b", cpu_millicores=1500), *plans("c", cpu_millicores=500), *plans("d")]
    admission = Admission(queue, replace(PLENTY, cpu_millicores=2000))

    assert ids([admission.next(), admission.next(), admission.next()]) == ["a", "c", "d"]
    assert admission.next() is None


def test_only_what_a_file_asks_for_counts_as_processor_time(a_test, plan_for):
    services = (
        Service(name="db", limits=Limits(cpu_millicores=700)),
        Service(name="web"),
        Service(name="host", plugin="network_service"),
    )
    silent = plan_for(a_test(services=services[1:]), executor__limits__container_cpu_limit=4.0)
    asking = plan_for(a_test(services=services, limits=TestLimits(cpu_millicores=300)))

    assert silent.cpu_millicores == 0
    # Its own request, that of `web` and that of the runner container of its step.
    assert asking.cpu_millicores == 700 + 300 + 300


def test_nothing_more_starts_beside_others_while_memory_is_short(plans):
    free_mb = [LEAST_AVAILABLE_MB - 1]
    admission = Admission(plans(*"ab"), PLENTY, lambda: free_mb[0])

    first = admission.next()
    assert ids([first]) == ["a"]
    assert admission.next() is None
    free_mb[0] = LEAST_AVAILABLE_MB
    assert ids([admission.next()]) == ["b"]


def test_memory_that_stays_short_lets_tests_run_one_by_one(plans):
    admission = Admission(plans(*"ab"), PLENTY, lambda: 0.0)

    first = admission.next()
    assert admission.next() is None
    admission.release(first)
    assert ids([admission.next()]) == ["b"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's estimate stands in /proc")
def test_available_memory_is_part_of_all_memory():
    whole_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**20

    assert 0 < available_memory_mb() <= whole_mb


needs = st.tuples(
    st.integers(0, 5),
    st.integers(0, 800),
    st.integers(0, 2500),
    st.sets(st.sampled_from(["x", "y"])),
    st.sets(st.sampled_from([80, 81])),
    st.integers(1, 3),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(needs, min_size=1, max_size=40), st.randoms(use_true_random=False))
def test_every_attempt_runs_no_limit_is_exceeded_and_nobody_starves(a_plan, wanted, order):
    capacity = Capacity(workers=3, containers=6, memory_mb=1000, cpu_millicores=2000, groups={"x": 2})
    queue = [
        replace(
            a_plan,
            id=str(number),
            container_count=containers,
            memory_mb=memory_mb,
            cpu_millicores=millicores,
            groups=frozenset(groups),
            host_ports=frozenset((port, "tcp") for port in ports),
        )
        for number, (containers, memory_mb, millicores, groups, ports, _) in enumerate(wanted)
    ]
    attempts = {str(number): need[-1] for number, need in enumerate(wanted)}
    admission = Admission(queue, capacity)
    running, started = [], []
    while admission.waiting or running:
        while plan := admission.next():
            running.append(plan)
            started.append(plan.id)
        assert 0 < len(running) <= capacity.workers
        if len(running) > 1:
            assert sum(plan.container_count for plan in running) <= capacity.containers
            assert sum(plan.memory_mb for plan in running) <= capacity.memory_mb
            assert sum(plan.cpu_millicores for plan in running) <= capacity.cpu_millicores
        assert sum("x" in plan.groups for plan in running) <= 2
        assert sum("y" in plan.groups for plan in running) <= 1
        ports = [port for plan in running for port in plan.host_ports]
        assert len(ports) == len(set(ports))
        done = running.pop(order.randrange(len(running)))
        admission.release(done)
        attempts[done.id] -= 1
        if attempts[done.id]:
            admission.put_back(done)

    assert sorted(started) == sorted(str(n) for n, need in enumerate(wanted) for _ in range(need[-1]))
    for number, plan in enumerate(queue):
        later = [name for name in started[: started.index(plan.id)] if int(name) > number]
        assert len(set(later)) <= MOST_OVERTAKEN


@pytest.mark.parametrize("workers", [2, 4, 8])
@settings(max_examples=60, deadline=None)
@given(durations=st.lists(st.floats(0.1, 60.0), min_size=1, max_size=60))
def test_longest_first_is_over_at_most_one_short_test_after_all_work_is_shared_evenly(
    a_plan, workers, durations
):
    names = {str(number): duration for number, duration in enumerate(durations)}
    history = {name: TestHistory("passed", duration * 1e3) for name, duration in names.items()}
    queue = queue_order([replace(a_plan, id=name) for name in names], history)
    admission = Admission(queue, replace(PLENTY, workers=workers))
    now, running = 0.0, []
    while admission.waiting or running:
        while plan := admission.next():
            heapq.heappush(running, (now + names[plan.id], plan.id, plan))
        now, _, plan = heapq.heappop(running)
        admission.release(plan)

    # Graham's bound, which holds as long as no worker is idle while a test waits.
    last = names[plan.id]
    assert now <= sum(durations) / workers + (1 - 1 / workers) * last + 1e-6


@pytest.fixture(scope="module")
def a_plan(tmp_path_factory):
    from clnrm_nb.config.project import Project
    from clnrm_nb.config.settings import load_settings
    from clnrm_nb.executor.plan import make_plan
    from clnrm_nb.scenario.model import Metadata, TestFile

    root = tmp_path_factory.mktemp("project")
    project = Project(root, root / ".clnrm")
    chosen = load_settings(project, environ={})
    return make_plan(
        TestFile(file="f", metadata=Metadata(name="f")), directory=root, project=project, settings=chosen
    )

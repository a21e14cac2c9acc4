from __future__ import annotations

import pytest

from clnrm_nb.scenario.model import (
    Limits,
    Metadata,
    NetworkPolicy,
    PortMapping,
    Scenario,
    Service,
    Step,
    TestLimits,
)


def test_limits_come_from_the_service_then_the_file_then_the_settings(a_test, plan_for):
    test = a_test(
        services=[Service(name="own", limits=Limits(memory_mb=64)), Service(name="files")],
        limits=TestLimits(memory_mb=128),
    )

    plan = plan_for(test, executor__limits__container_cpu_limit=0.5)

    assert plan.services["own"].limits == Limits(memory_mb=64, cpu_millicores=500)
    assert plan.services["files"].limits == Limits(memory_mb=128, cpu_millicores=500)


def test_memory_and_containers_include_the_runner_only_where_a_command_needs_it(a_test, plan_for):
    in_service = Step(name="x", command=("x",), service="db")

    assert plan_for(a_test(services=["db"], steps=[in_service])).container_count == 1
    with_runner = plan_for(a_test(services=["db"], steps=[in_service, "y"]))
    assert (with_runner.container_count, with_runner.memory_mb) == (2, 1024)


def test_external_services_need_no_container_and_are_not_hermetic(a_test, plan_for):
    external = Service(name="api", plugin="network_service", endpoint="h:1")
    plan = plan_for(a_test(services=[external], steps=[Step(name="x", command=("x",), service="api")]))

    assert (plan.container_count, plan.memory_mb, plan.is_hermetic_by_file) == (0, 0, False)


@pytest.mark.parametrize("policy", [{"mode": "host"}, {"mode": "bridge"}, {"external_access": True}])
def test_a_way_out_of_the_network_is_not_hermetic(a_test, plan_for, policy):
    plan = plan_for(a_test(services=[Service(name="a", network=NetworkPolicy(**policy))]))

    assert not plan.is_hermetic_by_file


def test_priority_and_groups_include_the_scenarios(a_test, plan_for):
    test = a_test(
        meta={"priority": 1, "groups": ("gpu",)},
        scenarios=(Scenario(name="s", priority=5, groups=("db",), run=(Step(name="r", command=("r",)),)),),
    )

    plan = plan_for(test)

    assert (plan.priority, plan.groups) == (5, {"gpu", "db"})


def test_a_negative_priority_is_kept(a_test, plan_for):
    assert plan_for(a_test(meta={"priority": -3})).priority == -3


@pytest.mark.parametrize(
    ("meta", "limits", "expected"),
    [({}, {}, 300.0), ({"timeout_s": 10.0}, {}, 10.0), ({"timeout_s": 10.0}, {"max_duration_s": 4.0}, 4.0)],
)
def test_the_limit_of_a_test_is_its_own_else_the_settings_and_never_above_the_cap(
    a_test, plan_for, meta, limits, expected
):
    assert plan_for(a_test(meta=meta, limits=TestLimits(**limits))).timeout_s == expected


def test_only_fixed_host_ports_count(a_test, plan_for):
    ports = (PortMapping(host=80, container=80), PortMapping(host=0, container=81, fixed=False))

    assert plan_for(a_test(services=[Service(name="a", ports=ports)])).host_ports == {(80, "tcp")}


def test_the_service_name_of_spans_is_what_the_file_sets(a_test, plan_for):
    named = Service(name="a", env={"OTEL_SERVICE_NAME": "mine"})
    plan = plan_for(a_test(services=[named, Service(name="b")]))

    assert [plan.service_name(name) for name in ("a", "b", None)] == ["mine", "b", "runner"]


def test_the_id_carries_the_matrix_combination(a_test, plan_for):
    test = a_test().model_copy(update={"matrix": {"db": "redis"}, "metadata": Metadata(name="a")})

    assert plan_for(test).id == "a.clnrm.toml[db=redis]"

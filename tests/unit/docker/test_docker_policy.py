"""What a project's own files may not ask for, and the word that allows it."""

from __future__ import annotations

import socket

import pytest

from clnrm_nb.executor.backends.docker.mounts import resolve
from clnrm_nb.executor.backends.docker.policy import policy_findings
from clnrm_nb.executor.backends.protocol import UnitSpec
from clnrm_nb.scenario.model import NetworkPolicy, Service, Volume


@pytest.fixture
def project(tmp_path):
    """A project in a directory that has something outside too."""
    (tmp_path / "project" / "scenarios").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    return tmp_path / "project"


@pytest.fixture
def check(project):
    """Findings about one service, as (code, message, hint)."""

    def run(service, *, allow=(), environ=None, **options):
        spec = UnitSpec(
            run_id="r",
            test_id="t",
            services={service.name: service},
            directory=project / "scenarios",
            project_root=project,
            runner_image="i",
            memory_mb=64,
            cpu_millicores=1000,
            allow=allow,
        )
        return policy_findings(spec, environ={} if environ is None else environ, **options)

    return run


def mounting(*paths):
    volumes = tuple(Volume(host_path=str(path), container_path=f"/v{i}") for i, path in enumerate(paths))
    return Service(name="web", volumes=volumes)


@pytest.mark.parametrize(
    ("service", "word"),
    [
        (Service(name="web", privileged=True), "privileged"),
        (Service(name="web", devices=("/dev/fuse",)), "device:/dev/fuse"),
        (Service(name="web", devices=("/dev/fuse:/dev/x:r",)), "device:/dev/fuse"),
        (Service(name="web", capabilities=("SYS_ADMIN",)), "capability:SYS_ADMIN"),
        (Service(name="web", capabilities=("cap_net_raw",)), "capability:NET_RAW"),
        (Service(name="web", capabilities=("ALL",)), "capability:ALL"),
        (Service(name="web", network=NetworkPolicy(mode="host")), "host-network"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_option_is_refused_until_its_word_allows_it(check, service, word):
    (refused,) = check(service)

    assert refused.code == "CLN616"
    assert "service `web`" in refused.message
    assert f"`--allow {word}`" in refused.hint
    assert check(service, allow=[word]) == []
    assert check(service, allow=["something-else"]) != []


def test_each_refused_option_is_a_finding_of_its_own(check):
    found = check(
        Service(name="web", privileged=True, devices=("/dev/a", "/dev/b"), capabilities=("SYS_PTRACE",))
    )

    assert len(found) == 4


def test_capabilities_that_containers_have_anyway_need_no_word(check):
    assert check(Service(name="web", capabilities=("CHOWN", "cap_kill"))) == []


def test_allowed_capability_may_be_spelt_as_elsewhere(check):
    assert check(Service(name="web", capabilities=("SYS_NICE",)), allow=["capability:CAP_SYS_NICE"]) == []


# -------------------------------------------------------------------------------------------- mounts


def test_mounts_within_the_project_are_free(check, project):
    (project / "data").mkdir()

    assert check(mounting("../data", "."), allow=[]) == []


@pytest.mark.parametrize("path", ["../../outside", "{outside}", "link", "${WHERE}/outside", "~/outside"])
def test_mount_outside_the_project_needs_its_path_allowed(check, project, monkeypatch, path):
    outside = project.parent / "outside"
    (project / "scenarios" / "link").symlink_to(outside)
    monkeypatch.setenv("HOME", str(project.parent))
    service = mounting(path.replace("{outside}", str(outside)))
    environ = {"WHERE": str(project.parent)}

    (refused,) = check(service, environ=environ)

    assert refused.code == "CLN616"
    assert f"`--allow mount:{outside}`" in refused.hint
    assert check(service, allow=[f"mount:{outside}"], environ=environ) == []
    assert check(service, allow=[f"mount:{outside.parent}"], environ=environ) == []
    assert check(service, allow=[f"mount:{outside}/deeper"], environ=environ) != []


def test_engines_socket_is_never_mounted(check, project):
    path = project / "engine"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))

        found = [
            check(mounting(path), engine_socket=path, allow=["mount:/"]),
            check(mounting(project), engine_socket=path, allow=["mount:/"]),
            check(mounting("/"), environ={"DOCKER_HOST": f"unix://{path}"}, allow=["mount:/"]),
        ]

    assert [[each.code for each in one] for one in found] == [["CLN411"]] * 3


@pytest.mark.parametrize("name", ["docker.sock", "podman.sock", "containerd.sock"])
def test_socket_of_an_engine_is_known_by_its_name_even_where_it_is_not(check, name):
    (refused,) = check(mounting(f"/nowhere/{name}"), allow=["mount:/"])

    assert refused.code == "CLN411"


def test_link_to_an_engines_socket_is_seen_through(check, project):
    (project / "scenarios" / "harmless").symlink_to("/nowhere/docker.sock")

    assert [each.code for each in check(mounting("harmless"), allow=["mount:/"])] == ["CLN411"]


def test_unset_variable_in_a_path_is_named(check):
    (unset,) = check(mounting("${DATA_DIRECTORY}/x"))

    assert unset.code == "CLN106"
    assert "`DATA_DIRECTORY`" in unset.message


def test_path_that_does_not_exist_is_found_before_anything_starts(check, project):
    (missing,) = check(mounting("nothing-here"))

    assert missing.code == "CLN001"
    assert check(mounting("nothing-here"), is_local=False) == []


def test_default_of_a_variable_is_used(project):
    volume = Volume(host_path="${DATA:-data}/x", container_path="/x", read_only=True)

    mount = resolve(volume, project, {})

    assert (mount.source, mount.target, mount.read_only) == (project / "data" / "x", "/x", True)
    assert resolve(volume, project, {"DATA": "other"}).source == project / "other" / "x"

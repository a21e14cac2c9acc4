"""What one test needs, worked out before anything is started.

A :class:`TestPlan` is a validated file with every default resolved from the settings, plus the figures the
queue admits tests by: containers, memory, groups, fixed host ports.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from clnrm_nb.config.project import test_id as id_of
from clnrm_nb.errors import RefusedError
from clnrm_nb.scenario.model import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from clnrm_nb.config.project import Project
    from clnrm_nb.config.settings import Settings
    from clnrm_nb.errors import Location
    from clnrm_nb.scenario.model import KeyPath, Scenario, Service, Step, TestFile

__all__ = ["STEPS", "TestPlan", "make_plan", "refuse"]

STEPS = "steps"
"""Name of the scenario that the top-level steps are reported as."""


@dataclass(frozen=True, slots=True)
class TestPlan:
    """One test, ready to be run.

    Parameters
    ----------
    id : str
        Test id (``format.md`` 1.1).
    directory : Path
        Of the scenario file; relative host paths start here.
    services : mapping of str to Service
        As in the file, with image, limits and readiness limit resolved.
    priority : int
        The highest of the test and its scenarios.
    groups : frozenset of str
        Of the test and its scenarios.
    timeout_s, step_timeout_s : float
        Limit of the whole test; limit of a step that sets none.
    memory_mb : int
        Sum of the memory limits of all containers it may start.
    cpu_millicores : int
        Sum of the CPU limits that the file itself sets for these containers; settings and defaults are no
        request.
    container_count : int
        How many these are, a runner container included.
    host_ports : frozenset of (int, str)
        Fixed host ports with their protocol.
    commands_in : frozenset of (str or None)
        Services that commands run in; ``None``: the runner container.
    locate : callable, optional
        Where a block stands in the file a person edits.
    """

    __test__ = False

    id: str
    test: TestFile
    directory: Path
    project_root: Path
    services: Mapping[str, Service]
    priority: int
    groups: frozenset[str]
    timeout_s: float
    step_timeout_s: float
    isolation: str
    runner_image: str
    runner_memory_mb: int
    runner_cpu_millicores: int
    memory_mb: int
    container_count: int
    host_ports: frozenset[tuple[int, str]]
    commands_in: frozenset[str | None] = frozenset()
    cpu_millicores: int = 0
    allow: Sequence[str] = ()
    hash: str | None = None
    locate: Callable[[KeyPath], Location | None] | None = field(default=None, compare=False)

    @property
    def images(self) -> tuple[str, ...]:
        """Names of the images its containers come from, each once, in file order."""
        named = [one.image for one in self.services.values() if one.plugin != "network_service" and one.image]
        has_runner = any(step.service is None for step in _all_steps(self.test))
        return tuple(dict.fromkeys([*named, *([self.runner_image] if has_runner else [])]))

    @property
    def is_hermetic_by_file(self) -> bool:
        """Whether the file itself asks for nothing outside the test's network."""
        return not any(
            service.plugin == "network_service"
            or service.network.external_access
            or service.network.mode in ("bridge", "host")
            for service in self.services.values()
        )

    def service_name(self, service: str | None) -> str:
        """``service.name`` of the spans of programs in a service, as far as the file decides it.

        The file's ``OTEL_SERVICE_NAME``, else its resource attribute, else the name of the service.
        """
        env = self.services[service].env if service is not None and service in self.services else {}
        resources = self.test.otel.resources
        return env.get("OTEL_SERVICE_NAME") or resources.get("service.name") or service or "runner"


def make_plan(
    test: TestFile,
    *,
    directory: Path,
    project: Project,
    settings: Settings,
    test_id: str | None = None,
    hash: str | None = None,  # noqa: A002  # The name of the field in every report.
    locate: Callable[[KeyPath], Location | None] | None = None,
) -> TestPlan:
    """Resolve a validated test file against the settings.

    Parameters
    ----------
    test : TestFile
        One matrix combination, free of errors.
    directory : Path
        Of the scenario file.
    test_id : str, optional
        Default: from the file's name and the matrix combination.
    """
    limits = settings.executor.limits
    memory_mb = test.limits.memory_mb or limits.container_memory_mb
    cpu_millicores = test.limits.cpu_millicores or round(limits.container_cpu_limit * 1000)
    services = {
        name: _resolved(service, memory_mb, cpu_millicores, settings.service_timeout_s)
        for name, service in test.services.items()
    }
    containers = [service for service in services.values() if service.plugin != "network_service"]
    commands_in = frozenset(step.service for step in _all_steps(test))
    has_runner = None in commands_in
    timeout_s = test.metadata.timeout_s or settings.executor.test_timeout_s
    return TestPlan(
        id=test_id or id_of(test.file, test.matrix),
        test=test,
        directory=directory,
        project_root=project.root,
        services=services,
        priority=max(test.metadata.priority, *(scenario.priority for scenario in test.scenarios), 0)
        if test.scenarios
        else test.metadata.priority,
        groups=frozenset(test.metadata.groups).union(*(scenario.groups for scenario in test.scenarios)),
        timeout_s=min(timeout_s, test.limits.max_duration_s or timeout_s),
        step_timeout_s=settings.executor.step_timeout_s,
        isolation=test.metadata.isolation or settings.executor.isolation,
        runner_image=settings.containers.default_image,
        runner_memory_mb=memory_mb,
        runner_cpu_millicores=cpu_millicores,
        memory_mb=sum(service.limits.memory_mb or 0 for service in containers) + memory_mb * has_runner,
        container_count=len(containers) + has_runner,
        host_ports=frozenset(
            (port.host, port.protocol)
            for service in containers
            for port in service.ports
            if port.fixed and port.host
        ),
        commands_in=commands_in,
        cpu_millicores=_asked_millicores(test, has_runner=has_runner),
        allow=tuple(settings.security.allow),
        hash=hash,
        locate=locate,
    )


def refuse(plan: TestPlan, *, backend: str, is_hermetic: bool) -> None:
    """Refuse a test that its own file says must not run like this.

    Raises
    ------
    RefusedError
        CLN617: it is to be hermetic and would not be. CLN307: it needs more containers than it allows itself.
    """
    if plan.test.metadata.hermetic and not is_hermetic:
        why = "" if plan.is_hermetic_by_file else ", and its services must stay in the test's network"
        raise RefusedError(f"`hermetic = true` needs a container backend{why}; this is `{backend}`", "CLN617")
    most, needed = plan.test.limits.max_containers, plan.container_count
    if most is not None and needed > most:
        raise RefusedError(f"`limits.max_containers` is {most}, but the test needs {needed}", "CLN307")


def _resolved(service: Service, memory_mb: int, cpu_millicores: int, timeout_s: float) -> Service:
    return service.model_copy(
        update={
            "limits": Limits(
                memory_mb=service.limits.memory_mb or memory_mb,
                cpu_millicores=service.limits.cpu_millicores or cpu_millicores,
            ),
            "timeout_s": service.timeout_s or timeout_s,
        }
    )


def _asked_millicores(test: TestFile, *, has_runner: bool) -> int:
    of_each = test.limits.cpu_millicores or 0
    services = (service for service in test.services.values() if service.plugin != "network_service")
    return sum(service.limits.cpu_millicores or of_each for service in services) + of_each * has_runner


def _all_steps(test: TestFile) -> list[Step]:
    return [*test.steps, *(step for scenario in test.scenarios for step in _steps_of(scenario))]


def _steps_of(scenario: Scenario) -> tuple[Step, ...]:
    return (*scenario.run, *scenario.steps)

"""What a run would do, worked out without an engine (``clnrm dry-run``).

The plan is the executor's own: services in the order they start, commands in the order they run, limits as
resolved, the names of the variables programs would find. Nothing is started, pulled, written or looked up in
an engine. What a run here and now would be refused for (an unset secret, a mounted file that is not there)
is a finding; what needs a person's permission is a *warning*, because permission is given to the run.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.errors import Diagnostic, RefusedError
from clnrm_nb.executor.backends import has_containers
from clnrm_nb.executor.backends.docker.mounts import mount_findings
from clnrm_nb.executor.backends.docker.policy import permissions
from clnrm_nb.executor.backends.protocol import UnitSpec
from clnrm_nb.executor.environment import Telemetry, injected, is_exporter_variable, read_secrets
from clnrm_nb.executor.plan import make_plan, refuse
from clnrm_nb.executor.scenarios import scenarios_of
from clnrm_nb.executor.services import start_order
from clnrm_nb.scenario.model import Service

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from clnrm_nb.config.project import Project
    from clnrm_nb.config.settings import Settings
    from clnrm_nb.executor.plan import TestPlan
    from clnrm_nb.pipeline.load import LoadedTest
    from clnrm_nb.scenario.model import KeyPath, Scenario, Step

__all__ = ["Planned", "look_ahead"]

_NOWHERE: Final = Telemetry("", "", "", None)


@dataclass(frozen=True, slots=True)
class Planned:
    """One test that was looked at, not run.

    Parameters
    ----------
    document : dict
        The plan as ``data.plans[]`` of the report.
    diagnostics : list of Diagnostic
        What a run would be refused for, and what needs permission.
    """

    document: dict[str, Any]
    diagnostics: list[Diagnostic] = field(default_factory=list)


def look_ahead(
    loaded: LoadedTest, *, project: Project, settings: Settings, environ: Mapping[str, str]
) -> Planned:
    """Plan a valid test.

    Parameters
    ----------
    loaded : LoadedTest
        Holds no errors.
    environ : mapping
        The environment of the runner: secrets and host paths are looked up in it.
    """
    assert loaded.test is not None
    plan = make_plan(
        loaded.test,
        directory=loaded.directory,
        project=project,
        settings=settings,
        test_id=loaded.test_id,
        locate=loaded.locate,
    )
    backend = settings.executor.backend
    document = _document(plan, backend)
    _, findings = read_secrets(plan, environ)
    findings += _refusals(plan, backend)
    if has_containers(backend):
        document["permissions"], more = _permissions(plan, environ)
        findings += more
    return Planned(document, [replace(finding, test=plan.id) for finding in findings])


# -------------------------------------------------------------------------------------------- the document


def _document(plan: TestPlan, backend: str) -> dict[str, Any]:
    return {
        "id": plan.id,
        "name": plan.test.metadata.name,
        "backend": backend,
        "hermetic": _is_hermetic(plan, backend),
        "isolation": plan.isolation,
        "timeout_s": plan.timeout_s,
        "priority": plan.priority,
        "groups": sorted(plan.groups),
        "containers": plan.container_count,
        "memory_mb": plan.memory_mb,
        "services": [_service(plan, plan.services[name]) for name in start_order(plan.services)],
        "scenarios": [_scenario(plan, scenario) for scenario in scenarios_of(plan.test)],
        "injected": sorted(injected(plan, replace(_NOWHERE, scenario=""), None)),
        "secrets": list(plan.test.secrets.env),
        "permissions": [],
    }


def _service(plan: TestPlan, service: Service) -> dict[str, Any]:
    is_external = service.plugin == "network_service"
    return {
        "name": service.name,
        "image": None if is_external else service.image,
        "endpoint": service.endpoint if is_external else None,
        "argv": list(service.args) if service.args else None,
        "after": list(service.depends_on),
        "ready": list(_readiness(service)),
        "env": _own_names(service.env),
        "ports": [_port(port) for port in service.ports],
        "volumes": [
            f"{volume.host_path}:{volume.container_path}{':ro' if volume.read_only else ''}"
            for volume in service.volumes
        ],
        "memory_mb": None if is_external else service.limits.memory_mb,
        "cpu_millicores": None if is_external else service.limits.cpu_millicores,
        "timeout_s": min(service.timeout_s or plan.timeout_s, plan.timeout_s),
    }


def _readiness(service: Service) -> Iterator[str]:
    """What the service is waited for, by the rules of :mod:`clnrm_nb.executor.readiness`."""
    only = service.wait_strategy
    if not service.wait_for_ready or only == "none":
        return
    if service.plugin == "network_service":
        yield "its endpoint accepts"
        return
    if only in (None, "port"):
        ports = [port.container for port in service.ports if port.protocol == "tcp"]
        yield from (f"port {port} accepts" for port in dict.fromkeys([*ports, *_preset_port(service)]))
        if service.ready_http:
            yield f"HTTP {service.ready_http[1]} on port {service.ready_http[0]} answers 200"
    if only in (None, "healthcheck") and service.health_check and service.health_check.cmd:
        yield "its health command succeeds"
    if only in (None, "log") and service.wait_log_message:
        yield f"a log line matches `{service.wait_log_message}`"
    if only in (None, "span") and service.wait_for_span:
        yield f"a span `{service.wait_for_span}` came"


def _preset_port(service: Service) -> list[int]:
    return [service.ready_port] if service.ready_port else []


def _port(port: Any) -> str:
    host = f"{port.ip or '127.0.0.1'}:{port.host}" if port.host else "a free port of this machine"
    return f"{port.container}/{port.protocol} at {host}"


def _scenario(plan: TestPlan, scenario: Scenario) -> dict[str, Any]:
    return {
        "name": scenario.name,
        "concurrent": scenario.runs_commands_at_once,
        "overlaps": scenario.concurrent,
        "timeout_s": scenario.timeout_s,
        "commands": [_command(plan, step) for step in (*scenario.run, *scenario.steps)],
    }


def _command(plan: TestPlan, step: Step) -> dict[str, Any]:
    return {
        "name": step.name,
        "argv": list(step.command),
        "service": step.service,
        "image": plan.runner_image if step.service is None else None,
        "env": _own_names(step.env),
        "workdir": step.workdir,
        "timeout_s": step.timeout_s or plan.step_timeout_s,
        "attempts": step.retry.max_attempts,
        "expects": list(_expected(step)),
    }


def _expected(step: Step) -> Iterator[str]:
    yield "a failure" if step.should_fail else f"exit {step.expected_exit_code}"
    if step.expected_output_regex is not None:
        yield f"stdout matches `{step.expected_output_regex}`"
    if step.expected_output_regex_not is not None:
        yield f"stdout does not match `{step.expected_output_regex_not}`"
    yield from (f"stdout contains {text!r}" for text in step.expected_output_contains)


def _own_names(env: Mapping[str, str]) -> list[str]:
    """Names only: values may be secret, and those of the exporter's variables do not count anyhow."""
    return sorted(name for name in env if not is_exporter_variable(name))


# -------------------------------------------------------------------------------------------- what is refused


def _is_hermetic(plan: TestPlan, backend: str) -> bool:
    return has_containers(backend) and plan.is_hermetic_by_file


def _refusals(plan: TestPlan, backend: str) -> list[Diagnostic]:
    try:
        refuse(plan, backend=backend, is_hermetic=_is_hermetic(plan, backend))
    except RefusedError as error:
        finding = replace(error.diagnostic, file=plan.test.file)
        path = ("meta", "hermetic") if error.code == "CLN617" else ("limits", "max_containers")
        return [_at(plan, finding, path)]
    return []


def _permissions(plan: TestPlan, environ: Mapping[str, str]) -> tuple[list[dict[str, Any]], list[Diagnostic]]:
    """What needs permission, and the findings: a warning for each that is not given, errors for the rest."""
    rows: list[dict[str, Any]] = []
    findings: list[Diagnostic] = []
    for service in plan.services.values():
        if service.plugin == "network_service":
            continue
        for part, path in _parts(service):
            spec = _spec(plan, part)
            for each in permissions(spec, part, environ=environ):
                rows.append(
                    {"service": service.name, "what": each.what, "word": each.word, "granted": each.granted}
                )
                if not each.granted:
                    findings.append(_at(plan, _needs(service, each.what, each.word), path))
            refused = mount_findings(spec, part, environ=environ)
            findings += [_at(plan, one, path) for one in refused if one.code != "CLN616"]
    return rows, findings


def _parts(service: Service) -> Iterator[tuple[Service, KeyPath]]:
    """The service without its volumes, and each volume, with the place to point at."""
    yield service.model_copy(update={"volumes": ()}), service.source
    for volume in service.volumes:
        yield Service(name=service.name, volumes=(volume,)), volume.source or service.source


def _needs(service: Service, what: str, word: str) -> Diagnostic:
    return Diagnostic(
        "CLN616",
        f"{what} of service `{service.name}` needs permission",
        hint=f"give it to the run by `--allow {word}`, or in `security.allow` of your own cleanroom.toml",
        severity="warning",
    )


def _at(plan: TestPlan, finding: Diagnostic, path: KeyPath) -> Diagnostic:
    place = plan.locate(path) if plan.locate else None
    return finding.at(place) if place else replace(finding, file=plan.test.file)


def _spec(plan: TestPlan, service: Service) -> UnitSpec:
    return UnitSpec(
        run_id="",
        test_id=plan.id,
        services={service.name: service},
        directory=plan.directory,
        project_root=plan.project_root,
        runner_image=plan.runner_image,
        memory_mb=plan.runner_memory_mb,
        cpu_millicores=plan.runner_cpu_millicores,
        allow=plan.allow,
    )

"""``[[steps]]`` and ``[[scenario]]`` as models, and where each command runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from clnrm_nb.scenario.expectations import build_expect
from clnrm_nb.scenario.model import Policy, Retry, Scenario, Step
from clnrm_nb.scenario.records import Record
from clnrm_nb.scenario.services import NETWORK_SERVICE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clnrm_nb.scenario.findings import Findings
    from clnrm_nb.scenario.model import KeyPath, Service

__all__ = ["build_scenarios", "build_steps"]

_MAX_RETRIES: Final = 3
_OUTCOMES: Final[dict[str, Literal["success", "failure", "partial_failure"]]] = {
    "expect_success": "success",
    "expect_failure": "failure",
    "expect_partial_failure": "partial_failure",
}


class _Places:
    """Decides in which service a command runs (``format.md`` 1.5)."""

    def __init__(self, services: Mapping[str, Service], findings: Findings) -> None:
        # A network service has no container, so no command can run in it unless it is asked for by name.
        self._with_container = [
            name for name, service in services.items() if service.plugin != NETWORK_SERVICE
        ]
        self._findings = findings

    def of(self, path: KeyPath, *asked: str | None) -> str | None:
        """The first service asked for, else the only one, else ``None``: the runner container."""
        for name in asked:
            if name is not None:
                return name
        if len(self._with_container) == 1:
            return self._with_container[0]
        if self._with_container:
            self._findings.add(
                "CLN402", path, "several services; runs in the runner container", part="header",
                hint="name a `service` to run it there",
            )  # fmt: skip
        return None


def build_steps(
    records: Sequence[Record], services: Mapping[str, Service], findings: Findings
) -> tuple[Step, ...]:
    """The top-level steps."""
    places = _Places(services, findings)
    return tuple(_step(record, None, places) for record in records)


def build_scenarios(
    records: Sequence[Record],
    services: Mapping[str, Service],
    allowed_hosts: Sequence[str],
    findings: Findings,
) -> tuple[Scenario, ...]:
    """The scenarios in file order; `allowed_hosts` are those of the services' network policies."""
    places = _Places(services, findings)
    return tuple(_scenario(record, places, allowed_hosts, findings) for record in records)


def _step(record: Record, inherited: str | None, places: _Places) -> Step:
    timeout_s = record.get("timeout")
    if "timeout_ms" in record.values:
        timeout_s = record["timeout_ms"] / 1_000
    return Step(
        name=record.get("name", ""),
        command=record.get("command", ()),
        source=record.path,
        written=record.respelled,
        service=places.of(record.path, record.get("service"), inherited),
        timeout_s=timeout_s,
        retry=_retry(record),
        **record.some(
            "env", "workdir", "expected_exit_code", "should_fail", "expected_output_regex",
            "expected_output_regex_not", "expected_output_contains", "continue_on_failure", "description",
        ),
    )  # fmt: skip


def _retry(record: Record) -> Retry:
    table: Record | None = record.get("retry")
    if table is not None:
        return Retry(max_attempts=max(1, table.get("max_attempts", 1)), delay_s=table.get("delay", 0.0))
    if record.get("retry_on_failure", False):
        return Retry(max_attempts=1 + record.get("max_retries", _MAX_RETRIES))
    return Retry()


def _scenario(record: Record, places: _Places, allowed_hosts: Sequence[str], findings: Findings) -> Scenario:
    if "run" not in record and "steps" not in record:
        findings.add("CLN304", record.path, "`[[scenario]]` needs `run` or steps", part="header")
    elif "run" not in record and record.get("steps") == ():
        findings.add("CLN304", record.at("steps"), "`[[scenario]]` needs `run` or at least one step")
    service = record.get("service")
    values: dict[str, Any] = record.some(
        "service", "concurrent", "priority", "groups", "parallel_services", "timeout_strategy", "description"
    )
    if "timeout_ms" in record.values:
        values["timeout_s"] = record["timeout_ms"] / 1_000
    if "grace_period_ms" in record.values:
        values["grace_period_s"] = record["grace_period_ms"] / 1_000
    if "expect" in record.values:
        values["expect"] = build_expect(record["expect"], allowed_hosts, findings)
    return Scenario(
        name=record.get("name", ""),
        source=record.path,
        written=record.respelled,
        run=_runs(record, service, places),
        steps=tuple(_step(step, service, places) for step in record.get("steps", ())),
        outcome=_outcome(record, findings),
        policy=_policy(record.get("policy")),
        artifacts=record["artifacts"].get("collect", ()) if "artifacts" in record.values else (),
        **values,
    )


def _runs(record: Record, service: str | None, places: _Places) -> tuple[Step, ...]:
    """``run`` as steps: one command is the step ``run``, sub-runs are ``run-1``, … unless named."""
    run = record.get("run")
    path = record.at("run")
    if run is None:
        return ()
    if not any(isinstance(item, Record) for item in run):
        return (Step(name="run", command=run, source=path, service=places.of(path, service)),)
    return tuple(
        Step(
            name=sub.get("name", f"run-{number}"),
            command=sub.get("command", ()),
            source=sub.path,
            service=places.of(sub.path, sub.get("service"), service),
            timeout_s=sub["timeout_ms"] / 1_000 if "timeout_ms" in sub.values else None,
            env=sub.get("env", {}),
        )
        for number, sub in enumerate(run, start=1)
    )


def _outcome(record: Record, findings: Findings) -> Literal["success", "failure", "partial_failure"] | None:
    asked = [key for key in record.written if key in _OUTCOMES and record.get(key)]
    for other in asked[1:]:
        findings.add("CLN309", record.at(other), f"`{asked[0]}` and `{other}` both given", part="key")
    return _OUTCOMES[asked[0]] if asked else None


def _policy(record: Record | None) -> Policy:
    if record is None:
        return Policy()
    values = dict(record.values)
    if "max_execution_time" in values:
        values["max_execution_time_s"] = values.pop("max_execution_time")
    return Policy(**values)

"""What programs under test find in their environment (``format.md`` 5.3), and which secrets are given to it.

The file's own variables win over everything injected, except the exporter's: a program that sent its spans
elsewhere would not be seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from clnrm_nb.errors import Diagnostic
from clnrm_nb.secrets import SHORTEST, is_too_short

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clnrm_nb.executor.plan import TestPlan
    from clnrm_nb.scenario.model import Otel

__all__ = [
    "Telemetry",
    "combined",
    "injected",
    "is_exporter_variable",
    "read_secrets",
]

_EXPORTER_WORDS: Final = {
    "otlp": "otlp",
    "otlp-http": "otlp",
    "otlp-grpc": "otlp",
    "stdout": "console",
    "stdout-ndjson": "console",
}
_BSP_SCHEDULE_DELAY_MS: Final = 100
_BSP_EXPORT_TIMEOUT_MS: Final = 5000


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Where the spans of some programs go, and what they belong to.

    Parameters
    ----------
    endpoint : str
        Base URL of the receiver, token included (for gRPC: without it).
    token : str
        The same token, for exporters that take only headers.
    traceparent : str
        W3C context of the span they run under.
    scenario : str or None
        ``None`` for services.
    """

    endpoint: str
    token: str
    traceparent: str
    scenario: str | None = None


def is_exporter_variable(name: str) -> bool:
    """Whether a variable decides where spans go, so that the file's value does not count (CLN324)."""
    return name == "OTEL_TRACES_EXPORTER" or name.startswith("OTEL_EXPORTER_OTLP_")


def injected(plan: TestPlan, telemetry: Telemetry, service: str | None) -> dict[str, str]:
    """Everything the runner sets for a program of `service` (``None``: the runner container)."""
    otel, determinism = plan.test.otel, plan.test.determinism
    headers = {**otel.headers, "x-clnrm-token": telemetry.token}
    resources = {**otel.resources, "clnrm.test.id": plan.id}
    if telemetry.scenario is not None:
        resources["clnrm.scenario"] = telemetry.scenario
    env = {
        "OTEL_TRACES_EXPORTER": _EXPORTER_WORDS.get(otel.exporter, "none"),
        "OTEL_EXPORTER_OTLP_ENDPOINT": telemetry.endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": _protocol(otel),
        "OTEL_EXPORTER_OTLP_HEADERS": _pairs(headers),
        "OTEL_BSP_SCHEDULE_DELAY": str(_BSP_SCHEDULE_DELAY_MS),
        "OTEL_BSP_EXPORT_TIMEOUT": str(_BSP_EXPORT_TIMEOUT_MS),
        "OTEL_RESOURCE_ATTRIBUTES": _pairs(resources),
        "OTEL_PROPAGATORS": ",".join(otel.propagators),
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": repr(float(otel.sample_ratio)),
        "TRACEPARENT": telemetry.traceparent,
    }
    # It would win over a service.name among the resource attributes, which the file wrote.
    if "service.name" not in otel.resources:
        env["OTEL_SERVICE_NAME"] = service or "runner"
    if determinism.seed is not None:
        env["CLNRM_SEED"] = str(determinism.seed)
    if determinism.freeze_clock is not None:
        env["CLNRM_FREEZE_CLOCK"] = determinism.freeze_clock
        env["SOURCE_DATE_EPOCH"] = str(_epoch_s(determinism.freeze_clock))
    return env


def _protocol(otel: Otel) -> str:
    if otel.uses_grpc:
        return "grpc"
    return "http/json" if otel.protocol == "http/json" else "http/protobuf"


def _pairs(values: Mapping[str, str]) -> str:
    """``k=v,k2=v2`` with percent-encoded values, as the SDKs read headers and resource attributes."""
    return ",".join(f"{key}={quote(str(value), safe='/:._-~')}" for key, value in values.items())


def _epoch_s(timestamp: str) -> int:
    moment = datetime.fromisoformat(timestamp)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def combined(
    given: Mapping[str, str], *of_file: Mapping[str, str], secrets: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Injected variables, then secrets, then the file's layers, each winning over the ones before.

    Parameters
    ----------
    given : mapping
        Of :func:`injected` and of the unit (where the services are found).
    *of_file : mapping
        ``env`` of the service, then of the step.
    """
    env = {**given, **(secrets or {})}
    for layer in of_file:
        env.update({key: value for key, value in layer.items() if not is_exporter_variable(key)})
    return env


def read_secrets(plan: TestPlan, environ: Mapping[str, str]) -> tuple[dict[str, str], list[Diagnostic]]:
    """Values of ``[secrets] env``; a CLN106 for each that is not set, a CLN413 for each too short to mask.

    Findings stand at the name, as far as the plan knows where that is.
    """
    names = plan.test.secrets.env
    secrets = {name: environ[name] for name in names if name in environ}
    findings = []
    for index, name in enumerate(names):
        if name not in environ:
            text, hint = (
                f"environment variable `{name}` is not set",
                "[secrets] reads it when the test starts",
            )
            finding = Diagnostic("CLN106", text, plan.test.file, hint=hint, test=plan.id)
        elif is_too_short(environ[name]):
            text = f"the secret `{name}` is not masked: it has fewer than {SHORTEST} characters"
            hint = "masked, every place where they stand by chance would be gone too; use a longer value"
            finding = Diagnostic("CLN413", text, plan.test.file, hint=hint, test=plan.id)
        else:
            continue
        place = plan.locate(("secrets", "env", index)) if plan.locate else None
        findings.append(finding.at(place))
    return secrets, findings

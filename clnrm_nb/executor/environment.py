"""What programs under test find in their environment (``format.md`` 5.3), and the secrets among it.

The file's own variables win over everything injected, except the exporter's: a program that sent its spans
elsewhere would not be seen.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from clnrm_nb.errors import Diagnostic

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from clnrm_nb.executor.plan import TestPlan
    from clnrm_nb.scenario.model import Otel, TestFile

__all__ = [
    "MASK",
    "Masker",
    "Telemetry",
    "combined",
    "injected",
    "is_exporter_variable",
    "masker_of",
    "read_secrets",
]

MASK: Final = "•••"

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
    """Values of ``[secrets] env``, and a CLN106 for each that is not set."""
    names = plan.test.secrets.env
    findings = [
        Diagnostic(
            "CLN106",
            f"environment variable `{name}` is not set",
            file=plan.test.file,
            hint="[secrets] reads it when the test starts",
            test=plan.id,
        )
        for name in names
        if name not in environ
    ]
    return {name: environ[name] for name in names if name in environ}, findings


@dataclass(frozen=True, slots=True)
class Masker:
    """Puts ``•••`` where a secret stands, plain or as base64, URL or JSON text.

    Parameters
    ----------
    values : sequence of str
        The secrets; empty ones are left out.
    """

    values: Sequence[str] = ()
    _texts: list[str] = field(init=False)

    def __post_init__(self) -> None:
        texts = {form for value in self.values if value for form in _forms(value)}
        # Longest first, so that no part of a longer secret stays behind.
        object.__setattr__(self, "_texts", sorted(texts, key=len, reverse=True))

    def text(self, text: str) -> str:
        """`text` without secrets."""
        for secret in self._texts:
            text = text.replace(secret, MASK)
        return text

    def data(self, data: bytes) -> bytes:
        """`data` without secrets."""
        for secret in self._texts:
            data = data.replace(secret.encode(), MASK.encode())
        return data


def masker_of(tests: Iterable[TestFile], environ: Mapping[str, str]) -> Masker:
    """What hides the values of all ``[secrets]`` of some tests."""
    return Masker([environ[name] for test in tests for name in test.secrets.env if name in environ])


def _forms(value: str) -> set[str]:
    raw = value.encode()
    plain = base64.b64encode(raw).decode()
    web = base64.urlsafe_b64encode(raw).decode()
    return {
        value,
        plain,
        plain.rstrip("="),
        web,
        web.rstrip("="),
        quote(value),
        quote(value, safe=""),
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
    }

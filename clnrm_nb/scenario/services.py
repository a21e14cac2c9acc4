"""``[services.NAME]`` as :class:`~clnrm_nb.scenario.model.Service`: plugins, presets, probes, limits."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.scenario.model import HealthCheck, Limits, NetworkPolicy, Service
from clnrm_nb.scenario.offers import better_spelling, meant_word
from clnrm_nb.scenario.records import Record

if TYPE_CHECKING:
    from clnrm_nb.scenario.findings import Findings
    from clnrm_nb.scenario.model import KeyPath

__all__ = ["GENERIC", "NETWORK_SERVICE", "SERVICE_NAME", "build_services"]

GENERIC: Final = "generic_container"
NETWORK_SERVICE: Final = "network_service"

SERVICE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True, slots=True)
class Preset:
    """What a plugin brings: its image, and what must answer before it is ready."""

    image: str
    ready_port: int | None = None
    ready_http: tuple[int, str] | None = None


PRESETS: Final[dict[str, Preset]] = {
    "surrealdb": Preset("surrealdb/surrealdb:v2", ready_port=8_000),
    "otel_collector": Preset("otel/opentelemetry-collector:latest", ready_port=4_318),
    "ollama": Preset("ollama/ollama:latest", ready_http=(11_434, "/")),
    "vllm": Preset("vllm/vllm-openai:latest", ready_http=(8_000, "/health")),
    "tgi": Preset("ghcr.io/huggingface/text-generation-inference:latest", ready_http=(80, "/health")),
}


def build_services(file: Record, findings: Findings) -> dict[str, Service]:
    """The services of ``services`` and ``service`` together, in file order."""
    services: dict[str, Service] = {}
    for table in (name for name in file.written if name in ("services", "service")):
        for name, record in file.get(table, {}).items():
            if name in services:
                findings.add(
                    "CLN309",
                    record.path,
                    f"service `{name}` is given in `services` and in `service`",
                    part="header",
                    related=((services[name].source, "the other definition"),),
                )
                continue
            if SERVICE_NAME.fullmatch(name) is None:
                findings.add(
                    "CLN307", record.path, f"`{name}` is not a service name", part="key",
                    hint="letters, digits, `_`, `.` and `-`; it is the host name in the test's network",
                )  # fmt: skip
            services[name] = _service(name, record, findings)
    return services


def _service(name: str, record: Record, findings: Findings) -> Service:
    plugin = _plugin(record, findings)
    preset = PRESETS.get(plugin)
    values: dict[str, Any] = record.some(
        "image", "args", "entrypoint", "env", "ports", "volumes", "workdir", "wait_for_span",
        "wait_log_message", "wait_strategy", "wait_for_ready", "capabilities", "privileged", "devices",
        "username", "password", "strict", "endpoint", "description",
    )  # fmt: skip
    if preset is not None:
        values.setdefault("image", preset.image)
        values |= {"ready_port": preset.ready_port, "ready_http": preset.ready_http}
    if plugin == "surrealdb":
        values.setdefault("args", _surreal_args(values))
    if "wait_for_span_timeout_secs" in record.values:
        values["wait_for_span_timeout_s"] = record["wait_for_span_timeout_secs"]
    if "network" in record.values:
        values["network"] = NetworkPolicy(**record["network"].values)
    return Service(
        name=name,
        plugin=plugin,
        source=record.path,
        written=record.respelled,
        timeout_s=record.get("timeout"),
        depends_on=tuple(record.get("depends_on", ())),
        health_check=_health_check(record.get("health_check")),
        limits=_limits(record),
        **values,
    )


def _plugin(record: Record, findings: Findings) -> str:
    """The canonical plugin word; checks what each plugin needs."""
    key = "plugin" if "plugin" in record else "type"
    word = record.get(key, GENERIC)
    if word != NETWORK_SERVICE and "endpoint" in record:
        findings.add("CLN302", record.at("endpoint"), "`endpoint` has no effect", part="key")
    if word in PRESETS:
        return str(word)
    if word == NETWORK_SERVICE:
        if "endpoint" not in record:
            _missing(record.path, "endpoint", findings)
        return NETWORK_SERVICE
    if word == GENERIC:
        if "image" not in record:
            _missing(record.path, "image", findings)
    elif "image" in record:
        repair = better_spelling(record.at(key), word, GENERIC)
        findings.add("CLN321", record.at(key), f"plugin `{word}` is run as `{GENERIC}`", repair=repair)
    else:
        repair = meant_word(record.at(key), word, [*PRESETS, NETWORK_SERVICE])
        findings.add("CLN322", record.at(key), f"unknown plugin `{word}` and no `image`", repair=repair)
    return GENERIC


def _missing(path: KeyPath, key: str, findings: Findings) -> None:
    findings.add("CLN304", path, f"service `{path[-1]}` needs `{key}`", part="header")


def _surreal_args(values: dict[str, Any]) -> tuple[str, ...]:
    strict = ("--strict",) if values.get("strict") else ()
    return (
        "start",
        "--user",
        values.get("username", "root"),
        "--pass",
        values.get("password", "root"),
        *strict,
    )


def _health_check(value: Any) -> HealthCheck | None:
    if value is None:
        return None
    if not isinstance(value, Record):
        return HealthCheck(cmd=_probe(value))
    pace = {f"{key}_s": value[key] for key in ("interval", "timeout", "start_period") if key in value.values}
    cmd = _probe(value["cmd"]) if "cmd" in value.values else None
    return HealthCheck(cmd=cmd, **pace, **value.some("retries"))


def _probe(command: str | tuple[str, ...]) -> tuple[str, ...]:
    return ("sh", "-c", command) if isinstance(command, str) else command


def _limits(record: Record) -> Limits:
    if "limits" in record.values:
        return Limits(**record["limits"].values)
    older: Record | None = record.get("resources")
    if older is None:
        return Limits()
    return Limits(memory_mb=older.get("memory_limit"), cpu_millicores=older.get("cpu_limit"))

"""What each table of a scenario file may hold, as data (``format.md`` 1.2 to 1.8).

One declaration for each table: names, aliases, kinds, what is required, what is known without effect. What
the values mean together is the business of :mod:`~clnrm_nb.scenario.services`,
:mod:`~clnrm_nb.scenario.commands` and :mod:`~clnrm_nb.scenario.build`; expectations are declared in
:mod:`~clnrm_nb.scenario.expect_tables`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.scenario.expect_tables import ASSERTIONS, EXPECT, OTEL_EXPECTATIONS, OTEL_VALIDATION
from clnrm_nb.scenario.kinds import (
    DURATION,
    INSTANT,
    INVALID,
    REGEX,
    ArrayOf,
    Choice,
    Command,
    Environment,
    Flag,
    Free,
    FreeTable,
    Num,
    Pattern,
    Spelled,
    Text,
    TextMap,
    Whole,
    Word,
)
from clnrm_nb.scenario.model import Volume
from clnrm_nb.scenario.offers import as_limits, better_artifact, better_image
from clnrm_nb.scenario.records import Ignored, Key, Record, Table, TableOf, TablesByName, TablesOf
from clnrm_nb.scenario.spelling import (
    parse_artifact,
    parse_cpu_millicores,
    parse_image,
    parse_memory_mb,
    parse_port,
    parse_volume_text,
)

if TYPE_CHECKING:
    from clnrm_nb.scenario.findings import Findings
    from clnrm_nb.scenario.model import KeyPath

__all__ = ["EXPORTERS", "EXPORTERS_NOT_IMPLEMENTED", "FILE", "METADATA", "SERVICE"]

UINT: Final = Whole(minimum=0)
TEXTS: Final = ArrayOf(Text(), expected="array of strings")
NAMES: Final = ArrayOf(Text(blank=False), expected="array of strings")

EXPORTERS_NOT_IMPLEMENTED: Final = ("jaeger", "zipkin", "datadog", "newrelic", "file")
EXPORTERS: Final = (
    "none",
    "stdout",
    "stdout-ndjson",
    "otlp",
    "otlp-http",
    "otlp-grpc",
    *EXPORTERS_NOT_IMPLEMENTED,
)

# ------------------------------------------------------------------------------------------- metadata

_METADATA_KEYS: Final = (
    Key("description", Text()),
    Key("author", Text()),
    Key("tags", TEXTS),
    Key("timeout", DURATION),
    Key("timeout_seconds", Num(minimum=0)),
    Key("hermetic", Flag()),
    Key("priority", Whole()),
    Key("groups", NAMES),
    Key("isolation", Word(("fresh", "warm", "verified"), "isolation level")),
)
_ONE_TIMEOUT: Final = (("timeout", "timeout_seconds"),)

META: Final = Table(
    "meta",
    (Key("name", Text(blank=False)), Key("version", Text(blank=False)), *_METADATA_KEYS),
    ignored=(Ignored(("created_at", "home", "user")),),
    exclusive=_ONE_TIMEOUT,
)
METADATA: Final = Table(
    "test.metadata",
    (Key("name", Text(blank=False)), Key("version", Text(blank=False)), *_METADATA_KEYS),
    ignored=(Ignored(("fake_mode",)),),
    exclusive=_ONE_TIMEOUT,
)
TEST: Final = Table(
    "test",
    (
        Key("metadata", TableOf(METADATA)),
        Key("assertions", ASSERTIONS),
        *(Key(key.name, key.kind, older=f"metadata.{key.name}") for key in METADATA.keys),
    ),
    ignored=(Ignored(("cleanup", "benchmarks", "security")),),
    exclusive=_ONE_TIMEOUT,
)

# ------------------------------------------------------------------------------------------- services

LIMITS: Final = Table("limits", (Key("memory_mb", UINT), Key("cpu_millicores", UINT)))
RESOURCES: Final = Table(
    "resources",
    (
        Key("memory_limit", Spelled((str, int), "string", parse_memory_mb)),
        Key("cpu_limit", Spelled((str, int, float), "string", parse_cpu_millicores)),
    ),
)
HEALTH_COMMAND: Final = Choice(((str, Text(blank=False)), (list, Command())), "string or array of strings")
HEALTH_CHECK: Final = Table(
    "health_check",
    (
        Key("cmd", HEALTH_COMMAND, aliases=("command",)),
        Key("interval", DURATION),
        Key("timeout", DURATION),
        Key("retries", UINT),
        Key("start_period", DURATION),
    ),
)
VOLUME: Final = Table(
    "",
    (
        Key("host_path", Text(blank=False), required=True),
        Key("container_path", Text(blank=False), required=True),
        Key("read_only", Flag()),
        Key("description", Text()),
    ),
)


class VolumeOf:
    """A volume: a table, or ``"host:container[:ro|rw]"``."""

    def read(self, value: object, path: KeyPath, findings: Findings) -> Any:
        """The :class:`~clnrm_nb.scenario.model.Volume`."""
        kind = Choice(
            ((dict, TableOf(VOLUME)), (str, Spelled((str,), "string", parse_volume_text))), "table or string"
        )
        read = kind.read(value, path, findings)
        if read is INVALID:
            return INVALID
        values = read.values if isinstance(read, Record) else read
        if not {"host_path", "container_path"} <= set(values):
            return INVALID
        if not values["container_path"].startswith("/"):
            where = read.at("container_path") if isinstance(read, Record) else path
            findings.add("CLN307", where, f"container path `{values['container_path']}` must be absolute")
            return INVALID
        return Volume(source=path, **values)


NETWORK: Final = Table(
    "network",
    (
        Key("mode", Word(("internal", "bridge", "none", "host"), "network mode")),
        Key("external_access", Flag()),
        Key("allowed_hosts", NAMES),
    ),
)
SERVICE: Final = Table(
    "",
    (
        Key("plugin", Text(blank=False)),
        Key("type", Text(blank=False), older="plugin"),
        Key("image", Spelled((str,), "string", parse_image, better_image)),
        Key("args", Command(), aliases=("command",)),
        Key("entrypoint", Command()),
        Key("env", Environment(), aliases=("environment", "env_vars")),
        Key("ports", ArrayOf(Spelled((str, int), "integer or string", parse_port))),
        Key("volumes", ArrayOf(VolumeOf())),
        Key("workdir", Text(blank=False), aliases=("working_dir",)),
        Key("depends_on", Choice(((list, NAMES), (dict, Free())), "array of strings or table")),
        Key(
            "health_check",
            Choice(
                ((dict, TableOf(HEALTH_CHECK)), (str, Text(blank=False)), (list, Command())),
                "table, string or array of strings",
            ),
            aliases=("healthcheck",),
        ),
        Key("wait_for_span", Pattern()),
        Key("wait_for_span_timeout_secs", Num(minimum=0)),
        Key("wait_log_message", REGEX),
        Key("wait_strategy", Word(("log", "port", "healthcheck", "span", "none"), "wait strategy")),
        Key("wait_for_ready", Flag()),
        Key("timeout", DURATION, aliases=("startup_timeout",)),
        Key("limits", TableOf(LIMITS)),
        Key("resources", TableOf(RESOURCES), older="limits", lower=as_limits),
        Key("capabilities", NAMES),
        Key("privileged", Flag()),
        Key("devices", NAMES),
        Key("network", TableOf(NETWORK)),
        Key("username", Text()),
        Key("password", Text()),
        Key("strict", Flag()),
        Key("endpoint", Text()),
        Key("description", Text()),
    ),
    ignored=(
        Ignored(
            (
                "model", "model_id", "default_model", "personality", "context", "tensor_parallel_size",
                "max_*", "gpu_*",
            )
        ),
    ),
    exclusive=(("limits", "resources"),),
)  # fmt: skip

# ---------------------------------------------------------------------------------- steps and scenarios

RETRY: Final = Table("retry", (Key("max_attempts", UINT), Key("delay", DURATION)))
STEP: Final = Table(
    "steps",
    (
        Key("name", Text(blank=False), required=True),
        Key("command", Command(), aliases=("run",), required=True),
        Key("service", Text(blank=False)),
        Key("env", Environment()),
        Key("workdir", Text(blank=False)),
        Key("expected_exit_code", Whole()),
        Key("should_fail", Flag()),
        Key("expected_output_regex", REGEX),
        Key("expected_output_regex_not", REGEX),
        Key("expected_output_contains", ArrayOf(Text(), expected="string or array of strings", single=True)),
        Key("timeout", DURATION),
        Key("timeout_ms", UINT),
        Key("retry_on_failure", Flag()),
        Key("max_retries", UINT),
        Key("retry", TableOf(RETRY)),
        Key("continue_on_failure", Flag()),
        Key("description", Text()),
    ),
    ignored=(Ignored(("capture_stdout", "capture_stderr")),),
    exclusive=(("timeout", "timeout_ms"), ("retry", "retry_on_failure"), ("retry", "max_retries")),
)
SUB_RUN: Final = Table(
    "",
    (
        Key("service", Text(blank=False)),
        Key("command", Command(), required=True),
        Key("timeout_ms", UINT),
        Key("name", Text(blank=False)),
        Key("env", Environment()),
    ),
)
POLICY: Final = Table(
    "policy",
    (
        Key("security_level", Word(("low", "medium", "high"), "security level")),
        Key("max_execution_time", UINT),
        Key("max_memory_mb", UINT),
        Key("max_cpu_usage", Num(minimum=0, maximum=1)),
        Key("allowed_network_hosts", NAMES),
        Key("disallowed_commands", NAMES),
    ),
)
ARTIFACTS: Final = Table(
    "artifacts",
    (Key("collect", ArrayOf(Spelled((str,), "string", parse_artifact, better_artifact)), required=True),),
)


class Run:
    """``scenario.run``: a command, or an array of sub-runs."""

    def read(self, value: object, path: KeyPath, findings: Findings) -> Any:
        """A tuple of words, or a tuple of records."""
        if isinstance(value, list) and any(isinstance(item, dict) for item in value):
            return TablesOf(SUB_RUN).read(value, path, findings)
        return Command().read(value, path, findings)


SCENARIO: Final = Table(
    "scenario",
    (
        Key("name", Text(blank=False), required=True),
        Key("service", Text(blank=False)),
        Key("run", Run()),
        Key("steps", TablesOf(STEP)),
        Key("concurrent", Flag()),
        Key("priority", Whole()),
        Key("groups", NAMES),
        Key("parallel_services", NAMES),
        Key("timeout_ms", UINT, aliases=("deadline_ms",)),
        Key("timeout_strategy", Word(("graceful", "immediate"), "timeout strategy")),
        Key("grace_period_ms", UINT),
        Key("expect_failure", Flag()),
        Key("expect_success", Flag()),
        Key("expect_partial_failure", Flag()),
        Key("policy", TableOf(POLICY)),
        Key("artifacts", TableOf(ARTIFACTS)),
        Key("expect", TableOf(EXPECT)),
        Key("description", Text()),
    ),
    ignored=(Ignored(("chaos_injection",)),),
)

# ---------------------------------------------------------------------------------------- other tables

_PROPAGATOR: Final = Word(
    ("tracecontext", "baggage", "b3", "b3multi", "jaeger", "xray", "none"), "propagator"
)
PROPAGATORS: Final = Choice(
    (
        (dict, TableOf(Table("otel.propagators", (Key("use", ArrayOf(_PROPAGATOR), required=True),)))),
        (list, ArrayOf(_PROPAGATOR)),
    ),
    "table or array of strings",
)
OTEL: Final = Table(
    "otel",
    (
        Key(
            "exporter",
            Word(
                EXPORTERS,
                "exporter",
                any_case=True,
            ),
            required=True,
        ),
        Key("endpoint", Text()),
        Key("forward", Flag()),
        Key(
            "protocol",
            Word(("http/protobuf", "http/json", "grpc"), "protocol", also=(("json", "http/json"),)),
        ),
        Key("sample_ratio", Num(minimum=0, maximum=1)),
        Key("resources", TextMap()),
        Key("headers", TextMap()),
        Key("propagators", PROPAGATORS),
        Key("description", Text()),
    ),
)
DETERMINISM: Final = Table("determinism", (Key("seed", UINT), Key("freeze_clock", INSTANT)))
TEMPLATE: Final = Table(
    "template", (Key("vars", FreeTable()), Key("otel", FreeTable()), Key("matrix", FreeTable()))
)
FILE_LIMITS: Final = Table(
    "limits",
    (
        Key("cpu_millicores", UINT),
        Key("memory_mb", UINT),
        Key("max_containers", UINT),
        Key("max_duration_seconds", Num(minimum=0)),
    ),
)
SECRETS: Final = Table("secrets", (Key("env", NAMES, required=True), Key("services", NAMES)))
DIGEST: Final = Table(
    "report.digest",
    (Key("path", Text(blank=False), required=True), Key("algorithm", Word(("sha256",), "digest algorithm"))),
)
REPORT: Final = Table(
    "report",
    (
        *(Key(name, Text(blank=False)) for name in ("json", "junit", "html", "markdown")),
        Key("digest", Choice(((str, Text(blank=False)), (dict, TableOf(DIGEST))), "string or table")),
    ),
    ignored=(Ignored(("cleanup_verification", "stress_metrics", "timeout_metrics")),),
)
_WHEN: Final = Word(("always", "on-success", "never"), "clean-up rule")
CLEANUP: Final = Table(
    "cleanup",
    (
        *(Key(name, _WHEN) for name in ("containers", "networks", "volumes")),
        Key("verify_cleanup", Flag()),
        Key("parallel_cleanup", Flag()),
        Key("cleanup_timeout_ms", UINT),
        Key("kill_timeout_ms", UINT),
        Key("on_failure", Text()),
    ),
)

FILE: Final = Table(
    "",
    (
        Key("meta", TableOf(META)),
        Key("test", TableOf(TEST)),
        Key("services", TablesByName(SERVICE)),
        Key("service", TablesByName(SERVICE)),
        Key("steps", TablesOf(STEP)),
        Key("scenario", TablesOf(SCENARIO)),
        Key("vars", FreeTable()),
        Key("matrix", FreeTable()),
        Key("template", TableOf(TEMPLATE)),
        Key("determinism", TableOf(DETERMINISM)),
        Key("otel", TableOf(OTEL)),
        Key("otel_headers", TextMap(), older="otel.headers"),
        Key("otel_propagators", PROPAGATORS, older="otel.propagators"),
        Key("expect", TableOf(EXPECT)),
        Key("assertions", ASSERTIONS),
        Key("otel_validation", TableOf(OTEL_VALIDATION)),
        Key("otel_expectations", TableOf(OTEL_EXPECTATIONS)),
        Key("limits", TableOf(FILE_LIMITS)),
        Key("secrets", TableOf(SECRETS)),
        Key("tolerance", ArrayOf(Free(), expected="array of tables")),
        Key("report", TableOf(REPORT)),
        Key("cleanup", TableOf(CLEANUP)),
    ),
    ignored=(Ignored(("ai_management", "metrics", "output", "validation", "generated")),),
)

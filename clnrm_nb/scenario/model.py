"""The typed test file: what a scenario file *means*, after every spelling has been normalised.

One canonical shape (``format.md`` section 1 and 7) that the executor and the expectations read. Aliases,
older forms, command strings and durations are gone by the time these models exist: ``parse`` lowers them.
Every block that can be reported on keeps ``source``, its key path in the parsed document, so that a finding
or a verdict can be located in the file a person edits, and only when somebody asks.

It is one long module on purpose: the whole vocabulary of a file in one place, each part some lines.

Units are in the names; durations are seconds, memory is mebibytes, CPU is thousandths of a core.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from clnrm_nb.patterns import compiled

__all__ = [
    "ArtifactSpec",
    "AssertionExpectation",
    "AttributeCheck",
    "Bound",
    "Cleanup",
    "CountsExpectation",
    "Determinism",
    "Edge",
    "Expect",
    "GraphExpectation",
    "HealthCheck",
    "HermeticityExpectation",
    "KeyPath",
    "Limits",
    "Metadata",
    "NamePattern",
    "NetworkPolicy",
    "NotEvaluated",
    "OrderExpectation",
    "Otel",
    "Policy",
    "PortMapping",
    "Report",
    "ResourceExpectation",
    "Retry",
    "Scenario",
    "Secrets",
    "Service",
    "SpanExpectation",
    "StatusExpectation",
    "Step",
    "TestFile",
    "TestLimits",
    "TraceExpectation",
    "Volume",
    "WindowExpectation",
]

KeyPath = tuple[str | int, ...]
"""A key path in the parsed document, such as ``("expect", "span", 0, "attrs")``."""

Kind = Literal["unspecified", "internal", "server", "client", "producer", "consumer"]
StatusWord = Literal["unset", "ok", "error"]
Isolation = Literal["fresh", "warm", "verified"]


class Model(BaseModel):
    """Frozen, closed: a key that is not a field is a bug of the parser, not of the person."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Block(Model):
    """Part of a file that findings and verdicts point at."""

    source: KeyPath = ()
    description: str | None = None
    written: dict[str, KeyPath] = Field(default_factory=dict)
    """Keys that stand in the file under another path than ``(*source, key)``: aliases and older forms."""

    def path_of(self, key: str, *inner: str | int) -> KeyPath:
        """Where `key` (its canonical name), or a thing in it, is written: ``path_of("must_include", 0)``."""
        return (*self.written.get(key, (*self.source, key)), *inner)


# ---------------------------------------------------------------------------------------------- values


class NamePattern(Model):
    """A name to match: exact, glob (``*`` any run, ``?`` one, ``[a-z]``, ``[!a]``) or regex."""

    text: str
    mode: Literal["exact", "glob", "regex"] = "exact"

    @classmethod
    def of(cls, text: str) -> Self:
        """A plain string: a glob iff it contains ``*``, ``?`` or ``[``."""
        return cls(text=text, mode="glob" if set(text) & set("*?[") else "exact")

    def matches(self, name: str) -> bool:
        """Whether the whole of `name` matches (a regex: is found in it), case-sensitive."""
        if self.mode == "exact":
            return name == self.text
        if self.mode == "glob":
            return fnmatchcase(name, self.text)
        return compiled(self.text).search(name)

    def __str__(self) -> str:
        """The text as written."""
        return self.text


class Bound(Model):
    """Limits on a number; all that are set must hold (inclusive as named)."""

    eq: float | None = None
    gt: float | None = None
    gte: float | None = None
    lt: float | None = None
    lte: float | None = None

    def holds(self, number: float) -> bool:
        """Whether `number` keeps within every limit that is set."""
        return (
            (self.eq is None or number == self.eq)
            and (self.gt is None or number > self.gt)
            and (self.gte is None or number >= self.gte)
            and (self.lt is None or number < self.lt)
            and (self.lte is None or number <= self.lte)
        )

    def __str__(self) -> str:
        """``= 3``, or ``>= 1 and <= 5``."""
        words = {"eq": "=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
        parts = [
            f"{sign} {getattr(self, key):g}" for key, sign in words.items() if getattr(self, key) is not None
        ]
        return " and ".join(parts) or "any"


class AttributeCheck(Model):
    """What one attribute must be: operators that are set must all hold (``format.md`` 1.9, 7.2).

    A plain value in the file is ``eq``. Fields that are ``None`` ask for nothing, so a check on null does not
    exist; ``exists`` alone asks whether the key is there.
    """

    key: str
    eq: Any = None
    ne: Any = None
    gt: float | None = None
    gte: float | None = None
    lt: float | None = None
    lte: float | None = None
    is_in: tuple[Any, ...] | None = None
    glob: str | None = None
    regex: str | None = None
    exists: bool | None = None


Edge = tuple[NamePattern, NamePattern]


# ------------------------------------------------------------------------------------------- execution


class Metadata(Model):
    """``[meta]`` and ``[test.metadata]`` together."""

    name: str
    version: str | None = None
    description: str | None = None
    author: str | None = None
    tags: tuple[str, ...] = ()
    timeout_s: float | None = None
    hermetic: bool = False
    priority: int = 0
    groups: tuple[str, ...] = ()
    isolation: Isolation | None = None


class Limits(Model):
    """What one container may use; ``None`` leaves it to the next level (file, then configuration)."""

    memory_mb: int | None = None
    cpu_millicores: int | None = None


class TestLimits(Limits):
    """``[limits]``: defaults for each container, and caps on the test."""

    __test__ = False

    max_containers: int | None = None
    max_duration_s: float | None = None


class PortMapping(Model):
    """A published port. ``host`` 0: a free one is taken."""

    host: int
    container: int
    protocol: Literal["tcp", "udp"] = "tcp"
    ip: str | None = None
    fixed: bool = True


class Volume(Block):
    """A mounted directory or file; ``host_path`` as written, relative to the file, nothing expanded."""

    host_path: str
    container_path: str
    read_only: bool = False


class HealthCheck(Model):
    """A readiness command, or (without ``cmd``) the pace of the other probes."""

    cmd: tuple[str, ...] | None = None
    interval_s: float = 5.0
    timeout_s: float = 10.0
    retries: int = 3
    start_period_s: float = 0.0


class NetworkPolicy(Model):
    """``services.NAME.network``."""

    mode: Literal["internal", "bridge", "none", "host"] = "internal"
    external_access: bool = False
    allowed_hosts: tuple[str, ...] = ()


class Service(Block):
    """One service of the system under test; its name is its host name in the test's network."""

    name: str
    plugin: str = "generic_container"
    image: str | None = None
    args: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    env: dict[str, str] = Field(default_factory=dict)
    ports: tuple[PortMapping, ...] = ()
    volumes: tuple[Volume, ...] = ()
    workdir: str | None = None
    depends_on: tuple[str, ...] = ()
    health_check: HealthCheck | None = None
    ready_port: int | None = None
    """TCP port of the plugin's preset that must accept (a generic container: its published ports)."""
    ready_http: tuple[int, str] | None = None
    """``(port, path)`` of the plugin's preset that must answer 200."""
    wait_for_span: NamePattern | None = None
    wait_for_span_timeout_s: float = 30.0
    wait_log_message: str | None = None
    wait_strategy: Literal["log", "port", "healthcheck", "span", "none"] | None = None
    wait_for_ready: bool = True
    timeout_s: float | None = None
    limits: Limits = Limits()
    capabilities: tuple[str, ...] = ()
    privileged: bool = False
    devices: tuple[str, ...] = ()
    network: NetworkPolicy = NetworkPolicy()
    username: str = "root"
    password: str = "root"  # noqa: S105  # The preset of a database that lives for one test.
    strict: bool = False
    endpoint: str | None = None
    """``network_service`` only: the external ``host:port`` or URL; such a service has no container."""


class Retry(Model):
    """How often a failed command is tried in all, and the pause between."""

    max_attempts: int = 1
    delay_s: float = 0.0


class Step(Block):
    """One command and what it must do. Sub-runs of ``scenario.run`` are steps too."""

    name: str
    command: tuple[str, ...]
    service: str | None = None
    """The service it runs in; ``None``: the runner container of the test (already resolved by the parser:
    the scenario's service, the only service, or none)."""
    env: dict[str, str] = Field(default_factory=dict)
    workdir: str | None = None
    expected_exit_code: int = 0
    should_fail: bool = False
    expected_output_regex: str | None = None
    expected_output_regex_not: str | None = None
    expected_output_contains: tuple[str, ...] = ()
    timeout_s: float | None = None
    retry: Retry = Retry()
    continue_on_failure: bool = False


class Policy(Model):
    """``scenario.policy``."""

    security_level: Literal["low", "medium", "high"] | None = None
    max_execution_time_s: float | None = None
    max_memory_mb: int | None = None
    max_cpu_usage: float | None = None
    allowed_network_hosts: tuple[str, ...] = ()
    disallowed_commands: tuple[str, ...] = ()


class ArtifactSpec(Block):
    """``spans:NAME``, ``logs:stdout|stderr|all`` or ``files:GLOB``."""

    kind: Literal["spans", "logs", "files"]
    value: str


class Scenario(Block):
    """One scenario: the commands of ``run``, then its steps, and what its spans must be."""

    name: str
    service: str | None = None
    run: tuple[Step, ...] = ()
    steps: tuple[Step, ...] = ()
    concurrent: bool = False
    parallel_services: tuple[str, ...] = ()
    priority: int = 0
    groups: tuple[str, ...] = ()
    timeout_s: float | None = None
    timeout_strategy: Literal["graceful", "immediate"] = "graceful"
    grace_period_s: float = 2.0
    outcome: Literal["success", "failure", "partial_failure"] | None = None
    """``expect_success``, ``expect_failure`` or ``expect_partial_failure``, whichever is true."""
    policy: Policy = Policy()
    artifacts: tuple[ArtifactSpec, ...] = ()
    expect: Expect | None = None

    @property
    def runs_commands_at_once(self) -> bool:
        """Whether sub-runs and steps start together; neighbour scenarios overlap by ``concurrent`` alone."""
        return self.concurrent or bool(self.parallel_services)


class Otel(Block):
    """``[otel]``."""

    exporter: str = "otlp"
    """Lower case; ``stdout`` and ``stdout-ndjson`` make programs print their spans."""
    endpoint: str | None = None
    forward: bool = False
    protocol: Literal["http/protobuf", "http/json", "grpc"] = "http/protobuf"
    sample_ratio: float = 1.0
    resources: dict[str, str] = Field(default_factory=dict)
    headers: dict[str, str] = Field(default_factory=dict)
    propagators: tuple[str, ...] = ("tracecontext", "baggage")

    @property
    def uses_grpc(self) -> bool:
        """Whether programs send spans over gRPC; what the exporter is called decides before `protocol`."""
        return self.exporter == "otlp-grpc" or (self.exporter == "otlp" and self.protocol == "grpc")


class Determinism(Model):
    """``[determinism]``."""

    seed: int | None = None
    freeze_clock: str | None = None


class Secrets(Model):
    """``[secrets]``: names only; empty ``services`` means all."""

    env: tuple[str, ...] = ()
    services: tuple[str, ...] = ()


class Report(Model):
    """``[report]``: paths relative to the project root."""

    json_path: str | None = None
    junit: str | None = None
    digest: str | None = None
    html: str | None = None
    markdown: str | None = None


class Cleanup(Model):
    """``[cleanup]``."""

    containers: Literal["always", "on-success", "never"] = "always"
    networks: Literal["always", "on-success", "never"] = "always"
    volumes: Literal["always", "on-success", "never"] = "always"
    verify_cleanup: bool = False
    parallel_cleanup: bool = True
    cleanup_timeout_ms: int | None = None
    kill_timeout_ms: int | None = None
    on_failure: str | None = None


# ---------------------------------------------------------------------------------------- expectations


class SpanExpectation(Block):
    """``[[expect.span]]``: see ``format.md`` 7.2."""

    name: NamePattern
    parent: NamePattern | None = None
    is_root: bool | None = None
    kind: Kind | None = None
    status: StatusWord | None = None
    attrs_all: tuple[AttributeCheck, ...] = ()
    attrs_any: tuple[AttributeCheck, ...] = ()
    events_all: tuple[NamePattern, ...] = ()
    events_any: tuple[NamePattern, ...] = ()
    duration_ms: Bound | None = None
    count: Bound | None = None
    exists: bool | None = None
    match: Literal["any", "all"] = "any"
    required: bool = True
    """False (older form): not-evaluated where no span has the name."""


class CountsExpectation(Block):
    """``[expect.counts]``."""

    spans_total: Bound | None = None
    events_total: Bound | None = None
    errors_total: Bound | None = None
    by_name: dict[str, Bound] = Field(default_factory=dict)
    by_kind: dict[str, Bound] = Field(default_factory=dict)
    by_service: dict[str, Bound] = Field(default_factory=dict)


class GraphExpectation(Block):
    """``[expect.graph]``."""

    must_include: tuple[Edge, ...] = ()
    descendant: bool = False
    must_not_cross: tuple[Edge, ...] = ()
    mode: Literal["path", "edge"] = "path"
    allow_missing: bool = False
    acyclic: bool | None = None
    max_depth: int | None = None
    must_be_connected: bool | None = None


class WindowExpectation(Block):
    """``[[expect.window]]``: ``outer`` with ``contains``, or two span names, or the whole trace."""

    outer: NamePattern | None = None
    contains: tuple[NamePattern, ...] = ()
    start_span: NamePattern | None = None
    end_span: NamePattern | None = None
    min_duration_ms: float | None = None
    max_duration_ms: float | None = None
    min_span_count: int | None = None
    max_span_count: int | None = None


class OrderExpectation(Block):
    """``[expect.order]``; ``[[expect.temporal]]`` is lowered onto ``must_precede``."""

    must_precede: tuple[Edge, ...] = ()
    must_follow: tuple[Edge, ...] = ()
    match: Literal["all", "any"] = "all"


class StatusExpectation(Block):
    """``[expect.status]``; ``all_ok`` and ``errors_allowed`` are lowered onto ``all`` and ``none``."""

    all: StatusWord | None = None
    none: StatusWord | None = None
    by_name: dict[str, StatusWord] = Field(default_factory=dict)
    failed_spans: tuple[str, ...] | None = None
    cleanup_must_succeed: bool | None = None


class HermeticityExpectation(Block):
    """``[expect.hermeticity]``: see ``format.md`` 7.8."""

    no_external_services: bool | None = None
    """Also for ``network_isolation`` and ``allow_network = false``."""
    allow_hosts: tuple[str, ...] = ()
    resource_attrs: tuple[AttributeCheck, ...] = ()
    sdk_resource_attrs: tuple[AttributeCheck, ...] = ()
    forbid_keys: tuple[str, ...] = ()
    no_container_leakage: bool | None = None
    no_network_leakage: bool | None = None
    no_volume_leakage: bool | None = None
    no_process_leakage: bool | None = None
    allowed_images: tuple[str, ...] | None = None


class ResourceExpectation(Block):
    """``[[expect.resource]]``, looked up among the test's objects just before teardown."""

    type: Literal["container", "network", "volume", "service"]
    name: NamePattern
    exists: bool = True


class TraceExpectation(Block):
    """``otel_validation.expected_traces[]`` (older form, ``format.md`` 7.9)."""

    span_names: tuple[str, ...]
    parent_child: tuple[Edge, ...] = ()
    complete: bool = False
    is_tree: bool = False
    ordered: bool = False
    trace_id: str | None = None
    trace_count: Bound | None = None


class AssertionExpectation(Block):
    """One evaluated key of ``[assertions]`` (older form)."""

    key: Literal["container_should_have_executed_commands", "execution_should_be_hermetic"]
    value: Any


class NotEvaluated(Block):
    """Something the file asks for that is accepted and not evaluated: reported, never passed."""

    id: str
    reason: str


class Expect(Model):
    """All expectations of a test or of one scenario, in file order within each kind."""

    spans: tuple[SpanExpectation, ...] = ()
    counts: tuple[CountsExpectation, ...] = ()
    graph: tuple[GraphExpectation, ...] = ()
    windows: tuple[WindowExpectation, ...] = ()
    order: tuple[OrderExpectation, ...] = ()
    status: tuple[StatusExpectation, ...] = ()
    hermeticity: tuple[HermeticityExpectation, ...] = ()
    resources: tuple[ResourceExpectation, ...] = ()
    traces: tuple[TraceExpectation, ...] = ()
    assertions: tuple[AssertionExpectation, ...] = ()
    required_events: tuple[str, ...] = ()
    """``otel_expectations.required_events``: some span has each."""
    should_have_parent_child_edges: bool = False
    """``otel_expectations``: at least one direct edge."""
    not_evaluated: tuple[NotEvaluated, ...] = ()
    framework_spans: bool = True
    """False: own spans cannot be named by these expectations."""


class TestFile(Model):
    """A whole scenario file, normalised. One matrix combination of it is a *test*."""

    __test__ = False

    file: str
    """POSIX path from the project root (or ``cell:NAME``)."""
    metadata: Metadata
    services: dict[str, Service] = Field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    scenarios: tuple[Scenario, ...] = ()
    otel: Otel = Otel()
    expect: Expect = Expect()
    limits: TestLimits = TestLimits()
    secrets: Secrets = Secrets()
    tolerance: tuple[dict[str, Any], ...] = ()
    report: Report = Report()
    cleanup: Cleanup = Cleanup()
    determinism: Determinism = Determinism()
    matrix: dict[str, Any] = Field(default_factory=dict)
    """The combination this test was rendered with; empty without a matrix."""

    @property
    def has_expectations(self) -> bool:
        """Whether anything at all is expected beyond the commands' own rules."""
        blocks = [self.expect, *(s.expect for s in self.scenarios if s.expect)]
        return any(block != Expect() for block in blocks)


Scenario.model_rebuild()

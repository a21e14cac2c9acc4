"""Every configuration key with its type and default (``format.md`` 10). No other module lists them.

Sections are attributes of :class:`Settings`, keys attributes of their section. Two names differ from the key:
durations carry their unit (``step_timeout`` is ``step_timeout_s``, seconds), and ``raise`` is ``raise_``.
"""

from __future__ import annotations

import os
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationInfo,
    field_validator,
)

from clnrm_nb.codes import CODES
from clnrm_nb.config.duration import parse_duration
from clnrm_nb.errors import Diagnostic

__all__ = ["WITHOUT_EFFECT", "Settings"]

LARGEST_DEFAULT_BUDGET_MB: Final = 9216
SHARE_OF_MEMORY: Final = 0.6

WITHOUT_EFFECT: Final = frozenset(
    {
        "cli.interactive",
        "containers.cleanup_policy",
        "containers.reuse_enabled",
        "observability.enable_logging",
        "observability.enable_metrics",
        "observability.enable_tracing",
        "observability.metrics_port",
        "performance.cache_compiled_tests",
        "performance.lazy_initialization",
        "performance.parallel_step_execution",
        "plugins",
        "project",
        "reporting.include_logs",
        "reporting.include_timestamps",
        "security.file_system_isolation",
    }
)
"""Keys of other people's cleanroom.toml files that are known here and change nothing."""


def _allowed(words: tuple[str, ...]) -> tuple[str, ...]:
    for word in words:
        kind, colon, value = word.partition(":")
        bare = word in {"process", "host-network", "privileged"}
        if not bare and not (kind in {"capability", "device", "mount"} and colon and value):
            raise ValueError(
                f"{word!r} is not one of process, host-network, privileged, "
                "capability:NAME, device:PATH, mount:PATH"
            )
    return words


def _known_codes(words: tuple[str, ...]) -> tuple[str, ...]:
    for word in words:
        if word not in CODES:
            raise ValueError(f"{word!r} is not a code")
    return words


def _level(word: Any) -> Any:
    return "warning" if word == "warn" else word


Seconds = Annotated[float, BeforeValidator(parse_duration)]
Words = Annotated[tuple[str, ...], Field(strict=False)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """Frozen and strict: ``"4"`` is no number, ``1`` no truth value."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)


class Watch(Section):
    """``[watch]``."""

    enabled: bool = True
    debounce_ms: Count = 300
    settle_ms: Count = 50
    max_concurrent: Positive = 10
    recursive: bool = True
    patterns: Words = ("**/*.clnrm.toml.tera", "**/*.clnrm.toml")
    ignore_patterns: Words = (".clnrm/cache/**", ".git/**", "target/**")


SHORTEST_KEY: Final = 16
"""Characters of the shortest key that is no use to try out."""


def _http_address(url: str) -> str:
    if not url:
        return url
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("give http://HOST:PORT/PATH, or https://")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("it must hold no name, password, query or fragment")
    _ = parts.port  # Raises for what is no port.
    return url


def _long_enough(key: str) -> str:
    # The message must not show it.
    if 0 < len(key) < SHORTEST_KEY:
        raise ValueError(f"a key needs at least {SHORTEST_KEY} characters")
    return key


class SharedCache(Section):
    """``[cache.shared]``. ``key``: what entries are signed with; never from the project's files."""

    url: Annotated[str, AfterValidator(_http_address)] = ""
    dir: str = ""
    read: bool = True
    write: bool = False
    key: Annotated[str, AfterValidator(_long_enough)] = Field(default="", repr=False)

    @field_validator("dir")
    @classmethod
    def _one_of_two(cls, directory: str, info: ValidationInfo) -> str:
        if directory and info.data.get("url"):
            raise ValueError("give `url` or `dir`, not both")
        return directory


class Cache(Section):
    """``[cache]``."""

    enabled: bool = True
    hash_algorithm: Literal["sha256"] = "sha256"
    max_entries: Positive = 10_000
    max_size_mb: Positive = 2_048
    cache_dir: str = ".clnrm/cache"
    audit_percent: Annotated[float, Field(ge=0, le=100)] = 0.0
    shared: SharedCache = SharedCache()


def usable_cpus() -> int:
    """CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class ContainerLimits(Section):
    """``[executor.limits]``: defaults for one container."""

    container_memory_mb: Annotated[int, Field(ge=6)] = 512
    container_cpu_limit: Annotated[float, Field(gt=0)] = 1.0


class Pool(Section):
    """``[executor.pool]``. ``size`` 0: from the plan."""

    size: Count = 0


class Dask(Section):
    """``[executor.dask]``."""

    address: str = ""
    inner: Literal["docker", "process"] = "docker"


class Executor(Section):
    """``[executor]``."""

    backend: Literal["docker", "auto", "process", "replay", "dask"] = "docker"
    docker_host: str = ""
    worker_count: Count = 0
    max_concurrent_containers: Positive = 20
    memory_budget_mb: Count = 0
    step_timeout_s: Seconds = Field(default=60.0, alias="step_timeout")
    test_timeout_s: Seconds = Field(default=300.0, alias="test_timeout")
    isolation: Literal["fresh", "warm", "verified"] = "warm"
    flush_max_ms: Count = 5_000
    fail_fast: bool = False
    max_fail: Count = 0
    retries: Count = 0
    flaky: Literal["pass", "fail"] = "pass"
    allow_not_evaluated: bool = False
    replay: str = ""
    limits: ContainerLimits = ContainerLimits()
    groups: dict[str, Positive] = Field(default_factory=dict)
    """``{name: most tests at once}``; a group that is not listed: 1."""
    pool: Pool = Pool()
    dask: Dask = Dask()

    @property
    def effective_worker_count(self) -> int:
        """Workers to start: ``worker_count``, or the CPUs this process may use."""
        return self.worker_count or usable_cpus()

    @property
    def effective_memory_budget_mb(self) -> int:
        """Memory limits that may run at once, summed: the key, or 60 % of RAM, at most 9216."""
        if self.memory_budget_mb:
            return self.memory_budget_mb
        ram_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**20
        return min(int(ram_mb * SHARE_OF_MEMORY), LARGEST_DEFAULT_BUDGET_MB)

    @property
    def effective_max_fail(self) -> int:
        """Failures after which no further test starts; 0: no limit."""
        return 1 if self.fail_fast else self.max_fail


class Containers(Section):
    """``[containers]``."""

    default_image: Annotated[str, Field(min_length=1)] = "alpine:latest"
    pull_policy: Literal["if-not-present", "always", "never"] = "if-not-present"
    max_containers: Positive | None = None
    """Older name of ``executor.max_concurrent_containers``, which see."""
    startup_timeout_s: Seconds = Field(default=60.0, alias="startup_timeout")
    """Readiness limit of a service that sets none."""


class Services(Section):
    """``[services]``: defaults for services that set none of their own."""

    default_timeout_s: Seconds | None = Field(default=None, alias="default_timeout")
    health_check_interval_s: Seconds = Field(default=5.0, alias="health_check_interval")
    health_check_timeout_s: Seconds = Field(default=10.0, alias="health_check_timeout")
    max_retries: Count = 3
    """Health command failures in a row that are borne."""


class Security(Section):
    """``[security]``."""

    allow: Annotated[Words, AfterValidator(_allowed)] = ()
    """What the person permits (``format.md`` 5.2); user level only."""
    hermetic_isolation: bool = False
    network_isolation: bool = True
    security_level: Literal["low", "medium", "high"] = "medium"


class Receiver(Section):
    """``[receiver]``. ``port`` 0: a free one; ``max_request_mb``: unpacked."""

    port: Annotated[int, Field(ge=0, le=65_535)] = 0
    max_request_mb: Positive = 20


class Discovery(Section):
    """``[discovery]``."""

    ignore: Words = ()


class Template(Section):
    """``[template]``. ``macros``: extra library files."""

    macros: Words = ()
    strict_toml: Literal["1.0", "1.1"] = "1.1"


NotNegative = Annotated[float, Field(ge=0)]


class Tolerance(Section):
    """``[diff.tolerance]``: a duration counts as changed if it exceeds both bounds."""

    duration_ms: NotNegative | None = None
    duration_ratio: Annotated[float, Field(ge=1)] | None = None
    attributes: dict[str, dict[Literal["abs", "rel"], NotNegative]] = Field(default_factory=dict)


class Diff(Section):
    """``[diff]``."""

    baseline_path: str = ".clnrm/trace.json"
    ignore_timestamps: bool = True
    show_only_diffs: bool = False
    max_display_depth: Count = 10
    order_sensitive: bool = False
    own_spans: bool = False
    ignore_attributes: Words = ()
    volatile_defaults: bool = True
    tolerance: Tolerance = Tolerance()


class Baseline(Section):
    """``[baseline]``. ``keep_versions`` 0: all."""

    compare: bool = False
    require: bool = False
    keep_versions: Count = 0


class Lint(Section):
    """``[lint]``."""

    disable: Annotated[Words, AfterValidator(_known_codes)] = ()
    deny_warnings: bool = False


class Output(Section):
    """``[output]``."""

    color: Literal["auto", "always", "never"] = "auto"
    emoji: bool = True
    log_format: Literal["text", "json"] = "text"
    debug: bool = False
    timings: bool = False


class Notebook(Section):
    """``[notebook]``."""

    theme: Literal["auto", "light", "dark"] = "auto"
    max_rows: Positive = 1_000
    live: bool = True
    widgets: bool = True
    raise_: Literal["auto", "always", "never"] = Field(default="auto", alias="raise")


class Cli(Section):
    """``[cli]``. ``jobs``: older name of ``executor.worker_count``; ``parallel = false``: one worker."""

    parallel: bool = True
    jobs: Positive | None = None
    output_format: Literal["human", "json", "junit", "tap", "github"] = "human"
    fail_fast: bool = False
    watch: bool = False


class Observability(Section):
    """``[observability]``. ``traces_endpoint``: where clnrm_nb's own spans are sent as well."""

    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_level)] = "warning"
    """``warn`` is read as ``warning``."""
    traces_endpoint: str = ""


class Performance(Section):
    """``[performance]``: the older name of ``executor.pool.size``."""

    container_pool_size: Count | None = None


class Execution(Section):
    """``[test_execution]``: older names of ``executor`` keys, and the default path."""

    default_timeout_s: Seconds | None = Field(default=None, alias="default_timeout")
    step_timeout_s: Seconds | None = Field(default=None, alias="step_timeout")
    retry_on_failure: bool = False
    retry_count: Count = 3
    test_dir: str = ""


class Reporting(Section):
    """``[reporting]``: a path, or true for a file of the usual name in ``report_dir``."""

    generate_html: bool | str = False
    generate_junit: bool | str = False
    report_dir: str = "reports"


class Settings(Section):
    """All settings of one command, and where each value came from.

    Made by :func:`clnrm_nb.config.settings.load_settings`; ``Settings()`` has the defaults.
    """

    watch: Watch = Watch()
    cache: Cache = Cache()
    executor: Executor = Executor()
    containers: Containers = Containers()
    services: Services = Services()
    security: Security = Security()
    receiver: Receiver = Receiver()
    discovery: Discovery = Discovery()
    template: Template = Template()
    diff: Diff = Diff()
    baseline: Baseline = Baseline()
    lint: Lint = Lint()
    output: Output = Output()
    notebook: Notebook = Notebook()
    cli: Cli = Cli()
    observability: Observability = Observability()
    performance: Performance = Performance()
    test_execution: Execution = Execution()
    reporting: Reporting = Reporting()

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)
    _diagnostics: tuple[Diagnostic, ...] = PrivateAttr(default=())

    def origin(self, key: str) -> str:
        """Where the value of a dotted key came from.

        Returns
        -------
        str
            ``default``, a file, ``environment NAME``, or ``command line``.
        """
        return self._origins.get(key, "default")

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Findings that stop nothing: unknown keys (CLN801)."""
        return self._diagnostics

    @property
    def service_timeout_s(self) -> float:
        """Readiness limit of a service that sets none, seconds."""
        if self.services.default_timeout_s is not None:
            return self.services.default_timeout_s
        return self.containers.startup_timeout_s

    def value(self, key: str) -> Any:
        """The value of a dotted key, such as ``executor.step_timeout``; durations in seconds.

        Raises
        ------
        KeyError
            If there is no such key.
        """
        place: Any = self
        for part in key.split("."):
            names = {field.alias or name: name for name, field in type(place).model_fields.items()}
            place = getattr(place, names[part])
        return place

"""What happened: the plain records a run leaves behind, before anybody judges or shows them.

The executor fills commands, timings and findings; ``expect`` adds verdicts; ``pipeline`` sets the final
status. ``to_json`` is the form of ``format.md`` 11.3 and of the state store; ``from_json`` reads it back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from clnrm_nb.codes import Status
from clnrm_nb.errors import Diagnostic

if TYPE_CHECKING:
    from clnrm_nb.config.keys import Executor
    from clnrm_nb.spans.table import SpanTable

__all__ = [
    "AttemptOutcome",
    "CommandOutcome",
    "ExpectationResult",
    "ScenarioOutcome",
    "TestOutcome",
    "fails_run",
    "worst",
]

_PRECEDENCE: tuple[Status, ...] = (
    "interrupted",
    "error",
    "failed",
    "incomplete",
    "flaky",
    "cached",
    "passed",
)

Verdict = Literal["passed", "failed", "not-evaluated"]


def worst(statuses: list[Status]) -> Status:
    """The first of interrupted, error, failed, incomplete, flaky, passed that occurs (``format.md`` 5.1).

    Only skipped parts make a skipped whole; nothing at all is passed. A cached test stays one until something
    that is found without running it says otherwise.
    """
    for status in _PRECEDENCE:
        if status in statuses:
            return status
    return "skipped" if statuses else "passed"


def fails_run(status: Status, settings: Executor) -> bool:
    """Whether a test with this status fails the run (``format.md`` 5.1), as far as settings decide it."""
    match status:
        case "incomplete":
            return not settings.allow_not_evaluated
        case "flaky":
            return settings.flaky == "fail"
        case _:
            return status in ("failed", "error", "interrupted")


@dataclass(slots=True)
class CommandOutcome:
    """One command of a step or of ``scenario.run``, after its last attempt."""

    name: str
    argv: list[str]
    service: str | None
    status: Status
    exit_code: int | None = None
    attempts: int = 1
    duration_ms: float = 0.0
    stdout: str = ""
    stderr: str = ""
    truncated: bool = False
    reason: str | None = None
    code: str | None = None
    """Code of the failure ``reason`` tells of; kept out of the JSON form."""

    def to_json(self) -> dict[str, Any]:
        """See the module."""
        return {
            "name": self.name,
            "argv": self.argv,
            "service": self.service,
            "exit_code": self.exit_code,
            "attempts": self.attempts,
            "duration_ms": round(self.duration_ms, 3),
            "status": self.status,
            "reason": self.reason,
            "stdout": self.stdout,
            "stderr": self.stderr,
            "truncated": self.truncated,
        }


@dataclass(slots=True)
class ExpectationResult:
    """The verdict on one block, bound, edge or pattern (``format.md`` 7.1)."""

    id: str
    kind: str
    status: Verdict
    message: str
    reason: str | None = None
    expected: Any = None
    actual: Any = None
    spans: list[tuple[str, str]] = field(default_factory=list)
    """(trace_id, span_id) of the spans the verdict rests on."""
    source: tuple[str | int, ...] = ()
    """Key path of the block in the parsed document; ``pipeline`` turns it into file and line."""
    file: str | None = None
    line: int | None = None
    scenario: str | None = None
    """The scenario whose ``expect`` it stands in; ``None`` for the test's."""

    def to_json(self) -> dict[str, Any]:
        """See the module."""
        return {
            "id": self.id,
            "kind": self.kind,
            "status": self.status,
            "reason": self.reason,
            "message": self.message,
            "expected": self.expected,
            "actual": self.actual,
            "spans": [list(pair) for pair in self.spans],
            "file": self.file,
            "line": self.line,
            "scenario": self.scenario,
        }


@dataclass(slots=True)
class ScenarioOutcome:
    """One scenario (``steps`` for the top-level steps)."""

    name: str
    status: Status = "passed"
    duration_ms: float = 0.0
    commands: list[CommandOutcome] = field(default_factory=list)
    span_count: int = 0
    trace_digest: str | None = None
    reason: str | None = None

    def to_json(self) -> dict[str, Any]:
        """See the module."""
        return {
            "name": self.name,
            "status": self.status,
            "duration_ms": round(self.duration_ms, 3),
            "span_count": self.span_count,
            "trace_digest": self.trace_digest,
            "reason": self.reason,
            "commands": [command.to_json() for command in self.commands],
        }


@dataclass(frozen=True, slots=True)
class AttemptOutcome:
    """One of several attempts of a test, numbered from 1."""

    number: int
    status: Status
    reason: str | None = None
    duration_ms: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """See the module."""
        return {
            "number": self.number,
            "status": self.status,
            "reason": self.reason,
            "duration_ms": round(self.duration_ms, 3),
        }


@dataclass(slots=True)
class TestOutcome:
    """One test: one scenario file × one matrix combination."""

    __test__ = False

    id: str
    name: str
    status: Status = "passed"
    stored_status: Status | None = None
    duration_ms: float = 0.0
    cached: bool = False
    backend: str = "docker"
    hermetic: bool = True
    replayed: bool = False
    isolation: str = "fresh"
    matrix: dict[str, Any] = field(default_factory=dict)
    hash: str | None = None
    """Semantic hash of its inputs (``format.md`` 9); ``None`` if it did not run, or there can be none."""
    hash_reason: str | None = None
    """Why a test that ran has no hash."""
    reason: str | None = None
    scenarios: list[ScenarioOutcome] = field(default_factory=list)
    expectations: list[ExpectationResult] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    spans: SpanTable | None = None
    """All spans of the test, own spans included; kept out of the JSON form."""
    complete: bool = True
    objects: dict[str, list[str]] = field(default_factory=dict)
    """Names of the test's objects by type just before teardown, for ``expect.resource``."""
    leftovers: list[tuple[str, str]] = field(default_factory=list)
    """(type, name) of what outlived teardown."""
    images: list[str] = field(default_factory=list)
    """Images really used, for ``allowed_images``."""
    addresses: list[str] = field(default_factory=list)
    """Host names, addresses and CIDR networks that are the test's own (its networks, the receiver), for
    ``no_external_services``; empty where they are not known."""
    trace_digest: str | None = None
    """Of all spans of the programs under test together."""
    timings_ms: dict[str, float] = field(default_factory=dict)
    """Where the time went, by phase."""
    was_ready: bool | None = None
    """Whether what it needs had been made when its turn came; ``None`` where nothing is made ahead."""
    attempts: list[AttemptOutcome] = field(default_factory=list)
    """All attempts, where there was more than one."""
    taken_over_from: str | None = None
    """The broken-off run in which it really ran (``--resume``)."""

    @property
    def why(self) -> str | None:
        """One sentence on why it did not pass, from whatever says so first."""
        failed = (result.message for result in self.expectations if result.status != "passed")
        errors = (finding.message for finding in self.diagnostics if finding.severity == "error")
        return self.reason or next(failed, None) or next(errors, None)

    @property
    def span_count(self) -> int:
        """Spans of the programs under test."""
        return (
            sum(scenario.span_count for scenario in self.scenarios)
            if self.spans is None
            else (len(self.spans) - sum(self.spans.own))
        )

    @property
    def is_unread(self) -> bool:
        """Whether most of it is still in the store, to be read when somebody looks."""
        return False

    def head_json(self) -> dict[str, Any]:
        """As :meth:`to_json`; of a test that is unread only what is known without reading it."""
        return self.to_json()

    def to_json(self) -> dict[str, Any]:
        """See the module."""
        return {
            "id": self.id,
            "name": self.name,
            "status": self.status,
            "stored_status": self.stored_status,
            "duration_ms": round(self.duration_ms, 3),
            "cached": self.cached,
            "backend": self.backend,
            "hermetic": self.hermetic,
            "replayed": self.replayed,
            "isolation": self.isolation,
            "matrix": self.matrix,
            "hash": self.hash,
            "hash_reason": self.hash_reason,
            "reason": self.reason,
            "span_count": self.span_count,
            "complete": self.complete,
            "trace_digest": self.trace_digest,
            "timings_ms": {phase: round(spent, 3) for phase, spent in self.timings_ms.items()},
            "scenarios": [scenario.to_json() for scenario in self.scenarios],
            "expectations": [result.to_json() for result in self.expectations],
            "diagnostics": [finding.to_json() for finding in self.diagnostics],
            **({"attempts": [one.to_json() for one in self.attempts]} if self.attempts else {}),
            **({"taken_over_from": self.taken_over_from} if self.taken_over_from else {}),
        }

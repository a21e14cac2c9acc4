"""What a backend is: the few things the executor cannot do itself.

The executor knows the order of a test (services, readiness, steps, scenarios, the end of the trace,
teardown) and every rule of ``format.md`` 5; a backend only starts, runs, copies and removes. It is found by
entry point (group ``clnrm_nb.backends``) or by name.

Lifetimes: one :class:`Backend` a run; one :class:`Unit` a test attempt, holding its network and everything
started in it; ``Unit.close`` removes all of it, always, in any state, and may be called twice. All methods
are coroutines of the engine's own event loop and may be cancelled at any await: after cancellation ``close``
still works.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from clnrm_nb.errors import Diagnostic
    from clnrm_nb.executor.attempt import RunContext
    from clnrm_nb.executor.outcome import TestOutcome
    from clnrm_nb.executor.plan import TestPlan
    from clnrm_nb.scenario.model import Service
    from clnrm_nb.spans.table import SpanTable

__all__ = [
    "Backend",
    "CommandResult",
    "CommandSpec",
    "Distributing",
    "IsolationHeld",
    "KnowsImages",
    "Leftover",
    "PoolReport",
    "Pooling",
    "Replaying",
    "RunningService",
    "Unit",
    "UnitSpec",
    "Waking",
]


IsolationHeld = Literal["fresh", "verified"]
"""Made for one test, or used again after a proof; whether ahead of need is the executor's matter."""


@dataclass(frozen=True, slots=True)
class UnitSpec:
    """Everything about a test attempt that its network and containers depend on.

    Parameters
    ----------
    run_id, test_id : str
        Go onto every object as labels.
    services : mapping of str to Service
        The services of the file, resolved defaults (images, limits) included.
    directory : Path
        Directory of the scenario file: relative host paths start here.
    project_root : Path
        Mounts outside it need permission.
    runner_image : str
        Image of the runner container (``containers.default_image``), should a command need it.
    memory_mb, cpu_millicores : int
        Default limits for each container.
    allow : sequence of str
        What the user permitted (``format.md`` 5.2), such as ``privileged`` or ``mount:/data``.
    scenarios : sequence of str
        Names of the scenarios that will be run.
    commands_in : collection of (str or None)
        Services that commands will be run in; ``None``: the runner container.
    attempt : str
        Goes onto every object as a label too, where somebody tells attempts apart.
    files_of : collection of (str or None)
        Services whose files will be copied out; ``None``: the runner container.
    isolation : {"fresh", "warm", "verified"}
        ``verified`` permits to use network and runner container again; :attr:`Unit.isolation` says what came
        of it.
    """

    run_id: str
    test_id: str
    services: Mapping[str, Service]
    directory: Path
    project_root: Path
    runner_image: str
    memory_mb: int
    cpu_millicores: int
    allow: Sequence[str] = ()
    scenarios: Sequence[str] = ()
    commands_in: Collection[str | None] = ()
    attempt: str = ""
    files_of: Collection[str | None] = ()
    isolation: str = "fresh"


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """One command.

    Parameters
    ----------
    argv : sequence of str
        Run as it is, without a shell.
    service : str or None
        ``None``: the runner container of the test.
    env : mapping
        Added to the container's environment (the injected variables are in it).
    timeout_s : float or None
        Hard limit: TERM, `grace_s` later KILL, for the whole process tree.
    max_output_bytes : int
        Of each stream; what is beyond is dropped and ``truncated`` says so.
    scenario : str or None
        Whose command it is; a backend that runs things need not look at it.
    """

    name: str
    argv: Sequence[str]
    service: str | None
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    workdir: str | None = None
    timeout_s: float | None = None
    grace_s: float = 2.0
    max_output_bytes: int = 10 * 1024 * 1024
    scenario: str | None = None


@dataclass(frozen=True, slots=True)
class CommandResult:
    """How a command ended. ``exit_code`` is ``None`` if it never started or its end was not seen.

    ``error`` says in one sentence why there is no exit code (program not found, container gone, …).
    ``is_known`` is false where a replay holds no result of the command; ``attempts`` is how many attempts a
    recorded result stands for.
    """

    exit_code: int | None
    stdout: bytes
    stderr: bytes
    duration_ms: float
    truncated: bool = False
    timed_out: bool = False
    oom_killed: bool = False
    error: str | None = None
    is_known: bool = True
    attempts: int = 1


@dataclass(frozen=True, slots=True)
class Leftover:
    """An object of this test that outlived its teardown (CLN610)."""

    type: Literal["container", "network", "volume", "process"]
    name: str


class RunningService(Protocol):
    """One started service."""

    name: str

    def address(self, container_port: int) -> tuple[str, int] | None:
        """Where *this process* reaches a TCP port of the service, for readiness probes."""

    async def exited(self) -> int:
        """Wait until its main process has ended; its exit code (137 after a kill)."""

    async def oom_killed(self) -> bool:
        """Whether it was ended for using too much memory."""

    def log_tail(self, lines: int = 20) -> list[str]:
        """Its last log lines, stdout and stderr in order of arrival."""

    def on_log_line(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """Call `listener` with each log line, those already printed first; returns what ends that."""

    def stdout(self) -> bytes:
        """Everything it has printed on stdout so far (capped as commands are)."""

    def stderr(self) -> bytes:
        """Everything it has printed on stderr so far."""


class Unit(Protocol):
    """The network of one test attempt and what runs in it."""

    receiver_host: str
    """Address under which the programs of this unit reach the host's OTLP receiver. The executor makes the
    receiver listen there (``listen_address``) before it starts anything."""
    listen_address: str
    """Address of this machine the receiver must be bound to for that."""
    hermetic: bool
    """Whether isolation is proved by construction (an internal network)."""
    isolation: IsolationHeld

    def addresses(self) -> list[str]:
        """Networks (CIDR) and host names that are this unit's own; none where it has no network."""

    def environment(self) -> dict[str, str]:
        """``CLNRM_HOST_<SERVICE>`` and ``CLNRM_PORT_<SERVICE>_<PORT>`` for this unit."""

    async def start_service(self, name: str, env: Mapping[str, str]) -> RunningService:
        """Start a service of the spec. Raises ClnrmError CLN602 (image) or CLN603 (cannot start)."""

    async def warm_up(self, service: str | None) -> None:
        """Make ready ahead what commands in a started service (``None``: in no service) will be run in.

        Raises as :meth:`execute` does.
        """

    async def execute(self, command: CommandSpec) -> CommandResult:
        """Run a command to its end. Never raises for what the command does.

        Raises :class:`~clnrm_nb.errors.ClnrmError` where the place it should run in cannot be made (CLN602,
        CLN603) or is gone with the whole backend (CLN601).
        """

    async def stop_services(self, grace_s: float) -> list[str]:
        """TERM all services, await their exit at most `grace_s`, KILL the rest; names of the killed."""

    async def read_files(self, service: str | None, pattern: str, target: Path) -> list[Path]:
        """Copy the regular files matching a container path or glob below `target`; what was written."""

    async def objects(self) -> dict[str, list[str]]:
        """Names of the test's present objects by type (container, network, volume, service)."""

    def diagnostics(self) -> list[Diagnostic]:
        """Findings about what this backend could not apply (CLN611 and the like)."""

    async def close(self) -> list[Leftover]:
        """Remove everything; what had to be removed although it should have been gone.

        Raises :class:`~clnrm_nb.errors.BackendUnavailableError` (CLN601) where nobody can say any more.
        """


@runtime_checkable
class Replaying(Protocol):
    """What a unit of a backend with ``replayed`` has besides: spans that were recorded."""

    async def play(self, scenario: str | None, deliver: Callable[[SpanTable], None]) -> None:
        """Hand over the spans of one scenario (``None``: of the test itself) with their relative timing."""


@runtime_checkable
class KnowsImages(Protocol):
    """What a backend has besides whose containers come from images."""

    async def image_ids(self, names: Sequence[str]) -> dict[str, str | None]:
        """Content addresses of what this run used under these names, or would; ``None``: not there.

        Raises :class:`~clnrm_nb.errors.BackendUnavailableError` (CLN601).
        """


@runtime_checkable
class Distributing(Protocol):
    """What a backend has besides that runs whole tests elsewhere, and is asked for no unit."""

    @property
    def capacity(self) -> int:
        """Tests that run at once; what each of them needs is the matter of where they run."""

    async def run_test(self, plan: TestPlan, context: RunContext, attempt: int) -> TestOutcome:
        """Run one attempt of one test, as :func:`~clnrm_nb.executor.test_run.run_test` does here."""


@dataclass(slots=True)
class PoolReport:
    """What became of things that are used again.

    Parameters
    ----------
    made, uses, reused : int
        Made new; handed to a test; of these, used before.
    discards : dict of str to int
        Not used again, by what spoke against it.
    audited, differing : int
        Tests run again as ``fresh``; of these, with another trace.
    """

    made: int = 0
    uses: int = 0
    reused: int = 0
    discards: dict[str, int] = field(default_factory=dict)
    audited: int = 0
    differing: int = 0

    def discard(self, reason: str) -> None:
        """Count one."""
        self.discards[reason] = self.discards.get(reason, 0) + 1

    def to_json(self) -> dict[str, Any]:
        """As it stands in the report of a run."""
        return asdict(self)


@runtime_checkable
class Pooling(Protocol):
    """What a backend has besides that uses things again."""

    def pool_report(self) -> PoolReport:
        """The counts so far."""


@runtime_checkable
class Waking(Protocol):
    """What a backend has besides that may stay open between runs."""

    async def wake(self, *, is_shared: bool = False) -> bool:
        """Begin another run: what may have changed meanwhile is forgotten, counts begin anew.

        Whether it still answers; if not, it can only be closed. Beside a run that goes on (`is_shared`)
        counts go on too: they are those of both.
        """


class Backend(Protocol):
    """A place where tests run. Constructed as ``Backend(settings)``."""

    name: str
    hermetic: bool
    replayed: bool

    async def open(self) -> None:
        """Reach the engine. Raises :class:`~clnrm_nb.errors.BackendUnavailableError` (CLN601)."""

    def policy_findings(self, spec: UnitSpec) -> list[Diagnostic]:
        """What is refused before anything is created (CLN616)."""

    async def open_unit(self, spec: UnitSpec) -> Unit:
        """Create the network of one test attempt."""

    async def close(self) -> None:
        """Let go of the engine. Removes nothing that a unit should have removed."""

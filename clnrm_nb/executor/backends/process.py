"""The backend that runs commands on this machine: explicit opt-in, convenient, and proving nothing.

Each service has a scratch directory of its own (one more for commands without a service) which is its working
directory, its ``HOME`` and holds its ``TMPDIR``, as a container would have its own files. Of the runner's
environment only ``PATH`` (the directory of this Python first, so that a project's own environment is found)
and ``LANG`` are passed on. Services with ``args`` or ``entrypoint`` are background processes; others are only
a place for commands. Images and limits are ignored (CLN611).

Mounts: nothing can be mounted, so paths are translated. Where the container path of a volume stands in an
argument, an ``env`` value or ``workdir`` of the service that mounts it, the host path is put in its place:
with ``volumes = ["./services:/app:ro"]``, ``args = ["python3", "/app/gateway.py"]`` runs the file in place.
A container path counts where it stands as a whole path or its beginning (``/app/x``, within a shell command,
``PYTHONPATH=/app:/lib``), not inside a longer name (``/application``). Commands of the runner, and services
without volumes, reach the scenario file's directory by ``CLNRM_TEST_DIR``. Other absolute ``workdir``s are
directories below the scratch directory.

Ports: each declared port has a free port of 127.0.0.1 reserved, which everybody, the service itself included,
reads from ``CLNRM_PORT_<SERVICE>_<PORT>``.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import shutil
import socket
import sys
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Final

from clnrm_nb.config.project import safe_name
from clnrm_nb.errors import ClnrmError, Diagnostic
from clnrm_nb.executor import reaper
from clnrm_nb.executor.backends.process_paths import PathMap, copy_files
from clnrm_nb.executor.backends.process_tree import Captured, MarkedProcess, end_marked
from clnrm_nb.executor.backends.protocol import CommandResult, Leftover
from clnrm_nb.executor.leftovers import sweep_local
from clnrm_nb.executor.scratch import make_scratch, remove_scratch
from clnrm_nb.executor.together import together
from clnrm_nb.reaper.ownership import this_process

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from clnrm_nb.config.settings import Settings
    from clnrm_nb.executor.backends.protocol import CommandSpec, IsolationHeld, UnitSpec
    from clnrm_nb.scenario.model import Service

__all__ = ["ProcessBackend", "ProcessService", "ProcessUnit"]

_RUNNER: Final = "_runner"
_SERVICE_OUTPUT_BYTES: Final = 10 * 1024 * 1024
_MOST_LOG_LINES: Final = 10_000
_IGNORED: Final = ("image", "volumes", "capabilities", "devices", "privileged")


class ProcessBackend:
    """Runs tests as processes of this machine."""

    name = "process"
    hermetic = False
    replayed = False

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._sweep: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Nothing to reach; what dead owners left is removed in the background."""
        self._sweep = asyncio.ensure_future(sweep_local())

    def policy_findings(self, spec: UnitSpec) -> list[Diagnostic]:  # noqa: ARG002  # The protocol's.
        """Nothing is refused: whoever asks for this backend lets the commands do what the user may."""
        return []

    async def open_unit(self, spec: UnitSpec) -> ProcessUnit:
        """Make the scratch directory and reserve the ports."""
        reaper.keep({"marked": f"{this_process()}/"})
        return ProcessUnit(spec, make_scratch("clnrm-process-"))

    async def close(self) -> None:
        """Nothing is held."""
        if self._sweep is not None:
            await asyncio.gather(self._sweep, return_exceptions=True)


class ProcessService:
    """A service: a background process, or (``process`` is None) just a place for commands."""

    def __init__(self, name: str, ports: Mapping[int, int]) -> None:
        self.name = name
        self.process: MarkedProcess | None = None
        self.output = Captured(_SERVICE_OUTPUT_BYTES, lambda data: self._log("stdout", data))
        self.errors = Captured(_SERVICE_OUTPUT_BYTES, lambda data: self._log("stderr", data))
        self._ports = ports
        self._lines: deque[str] = deque(maxlen=_MOST_LOG_LINES)
        self._rest = {"stdout": b"", "stderr": b""}
        self._listeners: list[Callable[[str], None]] = []

    def _log(self, stream: str, data: bytes) -> None:
        *whole, rest = (self._rest[stream] + data).split(b"\n")
        self._rest[stream] = rest
        for line in whole:
            text = line.decode("utf-8", "replace").rstrip("\r")
            self._lines.append(text)
            for listener in self._listeners:
                listener(text)

    def address(self, container_port: int) -> tuple[str, int] | None:
        """127.0.0.1 and the port reserved for `container_port`."""
        port = self._ports.get(container_port)
        return ("127.0.0.1", port) if port else None

    async def exited(self) -> int:
        """Wait for the end of the process; for ever if there is none."""
        if self.process is None:
            await asyncio.Event().wait()
        assert self.process is not None
        code = await self.process.ended()
        await self.process.drained()
        return code

    async def oom_killed(self) -> bool:
        """Unknown here, as no limit is applied."""
        return False

    def log_tail(self, lines: int = 20) -> list[str]:
        """Its last lines; unfinished ones count."""
        rest = [part.decode("utf-8", "replace") for part in self._rest.values() if part]
        return [*self._lines, *rest][-lines:]

    def on_log_line(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """Call `listener` with each line, those already printed first."""
        for line in list(self._lines):
            listener(line)
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def stdout(self) -> bytes:
        """Everything printed on stdout so far."""
        return self.output.data

    def stderr(self) -> bytes:
        """Everything printed on stderr so far."""
        return self.errors.data


class ProcessUnit:
    """The scratch directory, ports and processes of one test attempt."""

    receiver_host = "127.0.0.1"
    listen_address = "127.0.0.1"
    hermetic = False
    isolation: IsolationHeld = "fresh"

    def __init__(self, spec: UnitSpec, scratch: Path) -> None:
        self._spec = spec
        self._scratch = scratch
        self._mark = f"{this_process()}/{secrets.token_hex(16)}."
        self._started = 0
        self._services: dict[str, ProcessService] = {}
        self._starting: list[asyncio.Future[MarkedProcess]] = []
        self._teardown: asyncio.Task[list[Leftover]] | None = None
        self._paths = {name: PathMap(service, spec.directory) for name, service in spec.services.items()}
        self._reserved: dict[str, dict[int, socket.socket]] = {}
        for name, service in spec.services.items():
            self._reserved[name] = {port: _reserve() for port in _declared_ports(service)}
        self._ports = {
            name: {port: sock.getsockname()[1] for port, sock in ports.items()}
            for name, ports in self._reserved.items()
        }

    def addresses(self) -> list[str]:
        """None: there is no network of the test's own."""
        return []

    def environment(self) -> dict[str, str]:
        """Where the services are found, and the directory of the scenario file."""
        env = {"CLNRM_TEST_DIR": str(self._spec.directory)}
        for name, ports in self._ports.items():
            word = _variable(name)
            env[f"CLNRM_HOST_{word}"] = "127.0.0.1"
            env.update({f"CLNRM_PORT_{word}_{port}": str(real) for port, real in ports.items()})
        return env

    # --------------------------------------------------------------------------------------- running

    async def start_service(self, name: str, env: Mapping[str, str]) -> ProcessService:
        """Start a service's process if it has one.

        Raises
        ------
        ClnrmError
            CLN603: the program cannot be started.
        """
        spec = self._spec.services[name]
        service = ProcessService(name, self._ports[name])
        # Released at the last moment, so that nobody else is given them meanwhile.
        for sock in self._reserved.pop(name, {}).values():
            sock.close()
        argv = [*(spec.entrypoint or ()), *(spec.args or ())]
        if argv:
            try:
                service.process = await self._start(
                    argv, name, env=env, workdir=spec.workdir, stdout=service.output, stderr=service.errors
                )
            except (OSError, ValueError) as error:
                raise ClnrmError(f"`{name}` cannot be started: {_why(argv[0], error)}", "CLN603") from error
        self._services[name] = service
        return service

    async def warm_up(self, service: str | None) -> None:  # The protocol's.
        """Nothing: a process of this machine starts at once."""

    async def execute(self, command: CommandSpec) -> CommandResult:
        """Run a command to its end, or to the end of its time."""
        workdir = command.workdir
        if workdir is None and command.service is not None:
            workdir = self._spec.services[command.service].workdir
        stdout, stderr = Captured(command.max_output_bytes), Captured(command.max_output_bytes)
        started = time.perf_counter()
        try:
            process = await self._start(
                command.argv, command.service, env=command.env, workdir=workdir, stdout=stdout, stderr=stderr
            )
        except (OSError, ValueError) as error:
            spent_ms = (time.perf_counter() - started) * 1e3
            return CommandResult(None, b"", b"", spent_ms, error=_why(command.argv[0], error))
        exit_code: int | None = None
        try:
            async with asyncio.timeout(command.timeout_s):
                exit_code = await process.ended()
        except TimeoutError:
            await process.end(command.grace_s)
        await process.drained()
        return CommandResult(
            exit_code=exit_code,
            stdout=stdout.data,
            stderr=stderr.data,
            duration_ms=(time.perf_counter() - started) * 1e3,
            truncated=stdout.truncated or stderr.truncated,
            timed_out=exit_code is None,
        )

    async def _start(
        self,
        argv: Sequence[str],
        service: str | None,
        *,
        env: Mapping[str, str],
        workdir: str | None,
        stdout: Captured,
        stderr: Captured,
    ) -> MarkedProcess:
        paths = self._paths.get(service or "", PathMap(None, self._spec.directory))
        home = self._home(service)
        whole = {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
            "LANG": os.environ.get("LANG", "C.UTF-8"),
            "HOME": str(home),
            "TMPDIR": str(home / "tmp"),
            **{key: paths.translated(value) for key, value in env.items()},
        }
        self._started += 1
        starting = asyncio.ensure_future(
            MarkedProcess.start(
                [_program(paths.translated(argv[0]), whole["PATH"]), *map(paths.translated, argv[1:])],
                env=whole,
                directory=self._directory(home, workdir, paths),
                mark=f"{self._mark}{self._started}.",
                stdout=stdout,
                stderr=stderr,
            )
        )
        # Cancelled in mid-start there would be a process that nobody holds: `close` waits for these.
        self._starting.append(starting)
        return await asyncio.shield(starting)

    def _home(self, service: str | None) -> Path:
        home = self._scratch / (safe_name(service) if service else _RUNNER)
        (home / "tmp").mkdir(parents=True, exist_ok=True)
        return home

    @staticmethod
    def _directory(home: Path, workdir: str | None, paths: PathMap) -> Path:
        if workdir is None:
            return home
        translated = paths.translated(workdir)
        if translated != workdir:
            return Path(translated)
        directory = home / workdir.lstrip("/")
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    # --------------------------------------------------------------------------------------- the end

    async def stop_services(self, grace_s: float) -> list[str]:
        """TERM every service's tree, KILL what is left after `grace_s`; names of those killed."""

        async def stop(service: ProcessService) -> str | None:
            if service.process is None or not service.process.is_running:
                return None
            is_killed = await service.process.end(grace_s)
            await service.process.drained()
            return service.name if is_killed else None

        names = await together([stop(service) for service in self._services.values()])
        return [name for name in names if name]

    async def read_files(self, service: str | None, pattern: str, target: Path) -> list[Path]:
        """Copy regular files out of the scratch directory or a mounted one, 100 MiB each at most."""
        paths = self._paths.get(service or "", PathMap(None, self._spec.directory))
        home = self._home(service)
        translated = paths.translated(pattern)
        if translated == pattern:
            translated = str(home / pattern.removeprefix("/"))
        roots = [home.resolve(), *paths.roots]
        return await asyncio.to_thread(copy_files, translated, roots, target)

    async def objects(self) -> dict[str, list[str]]:
        """Services with a process; there is nothing else."""
        return {"service": sorted(self._services), "container": [], "network": [], "volume": []}

    def diagnostics(self) -> list[Diagnostic]:
        """One CLN611 for each set of service keys that have no effect here."""
        services: dict[tuple[str, ...], list[str]] = {}
        for name, service in self._spec.services.items():
            ignored = tuple(key for key in _IGNORED if getattr(service, key))
            if ignored:
                services.setdefault(ignored, []).append(f"`{name}`")
        return [_ignored_finding(keys, names) for keys, names in services.items()]

    async def close(self) -> list[Leftover]:
        """End everything, remove the scratch directory; processes that should have been gone.

        A cancelled wait does not stop it: a second call awaits the same removal.
        """
        if self._teardown is None:
            self._teardown = asyncio.ensure_future(self._remove())
        return await asyncio.shield(self._teardown)

    async def _remove(self) -> list[Leftover]:
        started = await asyncio.gather(*self._starting, return_exceptions=True)
        processes = [process for process in started if isinstance(process, MarkedProcess)]
        await together([process.end(0.0) for process in processes if process.is_running])
        strays = await end_marked(self._mark)
        for process in processes:
            process.release()
        self._starting.clear()
        for ports in self._reserved.values():
            for sock in ports.values():
                sock.close()
        self._reserved.clear()
        await asyncio.to_thread(remove_scratch, self._scratch)
        return [Leftover("process", name) for name in strays]


def _ignored_finding(keys: Sequence[str], names: Sequence[str]) -> Diagnostic:
    what = ", ".join(f"`{key}`" for key in keys)
    text = f"service{'s' if len(names) > 1 else ''} {', '.join(names)}: {what} and limits have no effect"
    mounts = "; container paths of volumes are read where they really are" if "volumes" in keys else ""
    return Diagnostic("CLN611", f"{text} on the process backend{mounts}")


def _declared_ports(service: Service) -> list[int]:
    ports = [port.container for port in service.ports if port.protocol == "tcp"]
    ports += [port for port in (service.ready_port, service.ready_http and service.ready_http[0]) if port]
    return list(dict.fromkeys(ports))


def _reserve() -> socket.socket:
    """A bound socket: its port is given to nobody else while it is open."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.bind(("127.0.0.1", 0))
    return sock


def _variable(name: str) -> str:
    return re.sub(r"[^A-Z0-9]", "_", name.upper())


def _program(name: str, path: str) -> str:
    """Found on the PATH the program is given, not on that of this process."""
    return name if "/" in name else shutil.which(name, path=path) or name


def _why(program: str, error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return f"program `{program}` not found"
    return f"`{program}`: {getattr(error, 'strerror', None) or error}"

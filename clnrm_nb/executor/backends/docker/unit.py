"""One test attempt in an engine: its network, its containers, and their end.

Everything created is known by id the moment the engine names it, in the very thread that asked, so that a
cancelled wait loses nothing: :meth:`DockerUnit.close` first awaits calls that are still under way, removes
what they made, and then looks by label whether anything is left.
"""

from __future__ import annotations

import asyncio
import secrets
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from docker.errors import APIError, ImageNotFound

from clnrm_nb.errors import BackendUnavailableError, ClnrmError, Diagnostic
from clnrm_nb.executor import reaper
from clnrm_nb.executor.backends.docker import create
from clnrm_nb.executor.backends.docker.command import failed_to_start, run_command
from clnrm_nb.executor.backends.docker.engine import engine_says
from clnrm_nb.executor.backends.docker.files import Copying
from clnrm_nb.executor.backends.docker.gc import give_up
from clnrm_nb.executor.backends.docker.labels import UNIT, unit_labels
from clnrm_nb.executor.backends.docker.mounts import checked_mounts
from clnrm_nb.executor.backends.docker.network import HOST_NAME, Network, create_network
from clnrm_nb.executor.backends.docker.places import environment_of, is_reached, publish
from clnrm_nb.executor.backends.docker.removal import (
    Found,
    find_labelled,
    remove_all,
    remove_container,
    remove_network,
)
from clnrm_nb.executor.backends.docker.service import Container, Reach
from clnrm_nb.executor.backends.docker.stream import FrameStream
from clnrm_nb.executor.backends.protocol import CommandSpec
from clnrm_nb.reaper.ownership import this_process

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping
    from pathlib import Path

    from clnrm_nb.executor.backends.docker.engine import Engine
    from clnrm_nb.executor.backends.docker.images import Image, Images
    from clnrm_nb.executor.backends.docker.mounts import Mount
    from clnrm_nb.executor.backends.docker.proxy import PortProxy
    from clnrm_nb.executor.backends.protocol import CommandResult, IsolationHeld, Leftover, UnitSpec
    from clnrm_nb.scenario.model import Service

__all__ = ["DockerUnit"]

P = ParamSpec("P")
T = TypeVar("T")

_CALLS_END_WITHIN_S: Final = 30.0
# A resolver nobody runs: names outside the test fail at once instead of being asked of the world, which
# engines otherwise do on behalf of internal networks too (moby's CVE-2024-29018).
_NO_RESOLVER: Final = ("127.0.0.1",)


class DockerUnit:
    """See :class:`~clnrm_nb.executor.backends.protocol.Unit`."""

    isolation: IsolationHeld = "fresh"

    def __init__(self, engine: Engine, images: Images, spec: UnitSpec) -> None:
        self.id = secrets.token_hex(4)
        self.receiver_host = ""
        self.listen_address = ""
        self.hermetic = False
        self._engine = engine
        self._images = images
        self._spec = spec
        self._labels = unit_labels(spec.run_id, spec.test_id, str(this_process()), self.id, spec.attempt)
        self._network: Network | None = None
        self._containers: dict[str | None, Container] = {}
        """Those started, by service; the runner container under ``None``."""
        self._made = Found()
        self._calls: set[Future[Any]] = set()
        self._background: set[asyncio.Task[Any]] = set()
        self._proxies: list[PortProxy] = []
        self._unpublished: list[tuple[Service, Container]] = []
        self._findings: list[Diagnostic] = []
        self._unread: set[FrameStream] = set()
        self._runner_lock = asyncio.Lock()
        self._has_volumes = False
        self._teardown: asyncio.Task[list[Leftover]] | None = None

    # ------------------------------------------------------------------------------------- the network

    async def open(self, *, internal: bool, listen_address: str | None = None) -> Network:
        """Create the network.

        Parameters
        ----------
        internal : bool
            Without a route beyond this machine.
        listen_address : str, optional
            Of this machine, where containers reach it by ``host.docker.internal`` and not at the gateway.
        """
        name = f"clnrm-{self.id}"
        self._keep()

        def created(network_id: str) -> None:
            self._made.networks[network_id] = name

        network = await self._call(
            create_network, self._engine.client, name, self._labels, internal=internal, created=created
        )
        self._network = network
        self.hermetic = internal and listen_address is None
        self.listen_address = listen_address or network.gateway
        self.receiver_host = HOST_NAME if listen_address else network.gateway
        return network

    def _keep(self) -> None:
        """Have the reaper remove this unit should this process die, until it is closed."""
        engine = self._engine.address.fact(str(this_process()))
        if engine is not None:
            reaper.keep(engine)
            reaper.keep({"unit": self.id})

    def addresses(self) -> list[str]:
        """The subnets of the test's network, and the name of the receiver."""
        assert self._network is not None
        return [*self._network.subnets, self.receiver_host]

    def environment(self) -> dict[str, str]:
        """Where programs of this unit find its services: by name, at the container's own port."""
        return environment_of(self._spec.services)

    # ------------------------------------------------------------------------------------------ services

    async def start_service(self, name: str, env: Mapping[str, str]) -> Container:
        """Create and start the container of a service, its output followed from the first byte.

        Raises
        ------
        ClnrmError
            CLN602: no image. CLN603: the engine refuses to create or start it, or a port is taken.
        BackendUnavailableError
            CLN601: the engine is gone.
        """
        service = self._spec.services[name]
        image = await self._images.ensure(service.image or "")
        self._has_volumes = self._has_volumes or bool(image.volumes)
        mounts = self._mounts(service)
        body = create.service_body(
            service,
            image,
            env,
            mounts,
            self._surroundings(),
            memory_mb=service.limits.memory_mb or self._spec.memory_mb,
            cpu_millicores=service.limits.cpu_millicores or self._spec.cpu_millicores,
        )
        container = await self._start(name, service.image or "", body, image, env)
        if self._mounts(service) != mounts:
            raise ClnrmError(f"a volume of `{name}` was exchanged while its container started", "CLN616")
        if is_reached(service) or self._has_host_mode:
            container.reach = await self._reach_of(container)
        if self._spec.holds_ports:
            self._unpublished.append((service, container))
        else:
            await publish(service, container, self._proxies, self.note)
        return container

    async def publish(self) -> None:
        """See :class:`~clnrm_nb.executor.backends.protocol.Publishing`."""
        while self._unpublished:
            service, container = self._unpublished.pop()
            await publish(service, container, self._proxies, self.note)

    def _mounts(self, service: Service) -> list[Mount]:
        socket = self._engine.address.socket_path
        return checked_mounts(self._spec, service, engine_socket=socket, is_local=socket is not None)

    async def _reach_of(self, container: Container) -> Reach:
        try:
            return Reach.of(await self._call(self._engine.client.inspect_container, container.id))
        except APIError as gone:
            raise ClnrmError(f"`{container.name}` is gone: {engine_says(gone)}", "CLN603") from gone

    async def _start(
        self,
        name: str | None,
        image_name: str,
        body: dict[str, Any],
        image: Image,
        env: Iterable[str] = (),
    ) -> Container:
        """Create, attach, start."""
        # A dot, so that no service has the runner's name; a number, since a runner may have to be replaced.
        full_name = f"clnrm-{self.id}-{name}" if name else f"clnrm-{self.id}.{len(self._made.containers)}"
        try:
            container_id = await self._call(self._create, full_name, body)
            container = Container(
                self._engine, container_id, name or "runner", image.stop_signal, (*image.environment, *env)
            )
            stream = await self._call(self._attach, container_id, stdin=name is None)
            (container.follow if name else container.command)(stream)
            self._unread.discard(stream)
            self._containers[name] = container
            await self._call(self._engine.client.start, container_id)
        except ImageNotFound as gone:
            self._images.forget(image_name)
            raise ClnrmError(f"cannot pull `{image_name}`: it was removed during the run", "CLN602") from gone
        except APIError as refused:
            what = f"`{name}`" if name else "the runner container"
            raise ClnrmError(f"{what} cannot start: {engine_says(refused)}", "CLN603") from refused
        return container

    def _create(self, name: str, body: dict[str, Any]) -> str:
        create_container: Any = self._engine.client.create_container_from_config
        container_id: str = create_container(body, name)["Id"]
        self._made.containers[container_id] = name
        return container_id

    def _attach(self, container_id: str, *, stdin: bool) -> FrameStream:
        wanted = {"stdin": int(stdin), "stdout": 1, "stderr": 1, "stream": 1}
        stream = FrameStream(self._engine.client.attach_socket(container_id, params=wanted))
        self._unread.add(stream)
        return stream

    @property
    def _has_host_mode(self) -> bool:
        return any(service.network.mode == "host" for service in self._spec.services.values())

    def _surroundings(self) -> create.Surroundings:
        assert self._network is not None
        hosts = {
            name: self._network.gateway
            for name, service in self._spec.services.items()
            if service.network.mode == "host"
        }
        for name, container in self._containers.items():
            if name and self._has_host_mode and container.reach.address and name not in hosts:
                hosts[name] = container.reach.address
        if self.receiver_host == HOST_NAME:
            hosts[HOST_NAME] = "host-gateway"
        # Podman's resolver would be replaced, not only cut off from the world, by a resolver of ours.
        cut_off = self._network.is_internal and not self._engine.facts.is_podman
        return create.Surroundings(
            network_id=self._network.id,
            labels=self._labels,
            extra_hosts=hosts,
            resolver=_NO_RESOLVER if cut_off else (),
            publish=self.receiver_host == HOST_NAME,
            missing_limits=self._engine.facts.missing_limits,
        )

    def note(self, message: str) -> None:
        """Add a finding about what could not be applied."""
        self._findings.append(Diagnostic("CLN611", message))

    # ------------------------------------------------------------------------------------------ commands

    async def warm_up(self, service: str | None) -> None:
        """Have a shell wait in the container of a service, or start the runner container, which is one."""
        container = await self._runner() if service is None else self._containers.get(service)
        if container is not None:
            await container.shells.warm_up()

    async def execute(self, command: CommandSpec) -> CommandResult:
        """Run a command in its service's container, or in the runner container.

        Raises
        ------
        ClnrmError
            CLN602 or CLN603: there is no runner container for it.
        BackendUnavailableError
            CLN601: the engine is gone.
        """
        container = await self._container_for(command)
        if container is None:
            return failed_to_start(f"service `{command.service}` has no running container")
        return await run_command(self._engine, container, command, in_background=self._in_background)

    async def _container_for(self, command: CommandSpec) -> Container | None:
        if command.service is not None:
            return self._containers.get(command.service)
        return await self._runner()

    async def _runner(self) -> Container:
        async with self._runner_lock:
            runner = self._containers.get(None)
            if runner is None or runner.has_ended:
                runner = await self._start_runner()
            return runner

    async def start_runner(self) -> None:
        """Have the runner container now and not with the first command."""
        await self._container_for(CommandSpec("", (), None))

    async def _start_runner(self) -> Container:
        image = await self._images.ensure(self._spec.runner_image)
        self._has_volumes = self._has_volumes or bool(image.volumes)
        return await self._start(None, self._spec.runner_image, self._runner_body(image), image)

    def _runner_body(self, image: Image) -> dict[str, Any]:
        spec = self._spec
        return create.runner_body(
            image, self._surroundings(), memory_mb=spec.memory_mb, cpu_millicores=spec.cpu_millicores
        )

    def _in_background(self, work: Coroutine[Any, Any, object]) -> None:
        """Go on with something whose waiter was cancelled, until the unit closes."""
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def stop_services(self, grace_s: float) -> list[str]:
        """End all services as their images want to be ended; names of those that had to be killed."""
        services = {name: container for name, container in self._containers.items() if name is not None}
        ended = await asyncio.gather(
            *(container.stop(grace_s) for container in services.values()), return_exceptions=True
        )
        killed: list[str] = []
        for name, outcome in zip(services, ended, strict=True):
            if isinstance(outcome, BaseException) and not isinstance(
                outcome, (APIError, BackendUnavailableError)
            ):
                raise outcome
            if services[name].has_lost_output:
                self.note(f"`{name}`: its output broke off, and what it printed after that is lost")
            # Whatever the engine did not confirm did not end by itself either.
            if outcome is not False:
                killed.append(name)
        return killed

    async def read_files(self, service: str | None, pattern: str, target: Path) -> list[Path]:
        """Copy files out; what is left out because of a limit becomes a finding."""
        container = self._containers.get(service)
        if container is None:
            return []
        copying = Copying(pattern, target)
        try:
            await self._call(copying.run, self._engine.client, container.id)
        except APIError as refused:
            self.note(f"`{pattern}` was not copied: {engine_says(refused)}")
        finally:
            copying.stop()
        for complaint in copying.complaints:
            self.note(complaint)
        return copying.written

    async def objects(self) -> dict[str, list[str]]:
        """Names of what exists now, by type."""
        found = await self._labelled()
        running = [name for name, each in self._containers.items() if name is not None and not each.has_ended]
        return {
            "container": sorted(found.containers.values()),
            "network": sorted(found.networks.values()),
            "volume": sorted(found.volumes.values()),
            "service": sorted(running),
        }

    def diagnostics(self) -> list[Diagnostic]:
        """What this engine could not apply."""
        missing = self._engine.facts.missing_limits
        unlimited = f"the engine does not limit {', '.join(missing)}"
        return [*self._findings, *([Diagnostic("CLN611", unlimited)] if missing and self._containers else [])]

    # ---------------------------------------------------------------------------------------------- end

    async def close(self) -> list[Leftover]:
        """Remove everything, in any state; the same answer when called again.

        A cancelled wait does not stop the removal: a second call awaits the same one.

        Raises
        ------
        BackendUnavailableError
            CLN601: the engine is gone, so that nobody can say what is still there. The sweep of a later run
            and ``clnrm gc`` find it by its labels.
        """
        if self._teardown is None:
            self._teardown = asyncio.ensure_future(self._remove())
            self._engine.removals.add(self._teardown)
            self._teardown.add_done_callback(self._removal_ended)
        return await asyncio.shield(self._teardown)

    def _removal_ended(self, teardown: asyncio.Task[list[Leftover]]) -> None:
        """Leave what an engine that is gone did not remove to the next collection, whoever still waits."""
        self._engine.removals.discard(teardown)
        if teardown.cancelled() or teardown.exception():
            give_up(self.id)

    async def _remove(self) -> list[Leftover]:
        for task in self._background:
            task.cancel()
        await asyncio.gather(*(proxy.close() for proxy in self._proxies))
        await self._calls_ended()
        await self._remove_made()
        for container in self._containers.values():
            container.let_go()
        for stream in self._unread:
            stream.close()
        unexpected = await self._remove_unexpected()
        reaper.drop({"unit": self.id})
        return unexpected

    async def _calls_ended(self) -> None:
        """Await what was under way when somebody was cancelled: it may be creating something."""
        if calls := [asyncio.wrap_future(call) for call in self._calls]:
            _, pending = await asyncio.wait(calls, timeout=_CALLS_END_WITHIN_S)
            for each in calls:
                if each not in pending and not each.cancelled():
                    each.exception()

    async def _remove_made(self) -> None:
        # A network whose containers have all ended can go together with them; else it must wait for them.
        ended = {each.id for each in self._containers.values() if each.has_ended}
        containers = [remove_container(self._engine, each) for each in self._made.containers]
        networks = [remove_network(self._engine, each) for each in self._made.networks]
        if ended >= self._made.containers.keys():
            await asyncio.gather(*containers, *networks)
        else:
            await asyncio.gather(*containers)
            await asyncio.gather(*networks)

    async def _remove_unexpected(self) -> list[Leftover]:
        """What carries the unit's label after all it made was removed: found, reported, removed.

        What it made itself and an engine in trouble did not remove at once is no leak, unless it stays.
        """
        if not self._made.containers and not self._made.networks:
            return []
        left = await self._labelled()
        await remove_all(self._engine, left)
        leftovers = left.without(self._made).leftovers()
        if len(leftovers) < len(left.leftovers()):
            leftovers += (await self._labelled()).leftovers()
        return leftovers

    async def _labelled(self) -> Found:
        return await find_labelled(self._engine, UNIT, self.id, volumes=True)

    async def _call(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """A call that :meth:`close` awaits even if its caller is cancelled."""
        if self._teardown is not None:
            raise ClnrmError("the test is being torn down", "CLN603")
        call = self._engine.submit(function, *args, **kwargs)
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        try:
            return await asyncio.wrap_future(call)
        except BackendUnavailableError:
            # The engine may do it all the same, and later than anybody here looks.
            give_up(self.id)
            raise

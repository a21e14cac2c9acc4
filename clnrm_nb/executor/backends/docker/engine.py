"""One connection to a container engine: a pooled client whose blocking calls run in threads.

Two kinds of threads. Short calls share a bounded pool. Whatever blocks for long (the output of a command,
the log of a service, a pull) has a daemon thread of its own, so that waiting programs can neither starve the
pool nor keep the process from ending.

An engine that no longer answers is :class:`~clnrm_nb.errors.BackendUnavailableError` wherever it is
noticed; what the engine *says* stays a :class:`docker.errors.APIError` for the caller to judge.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

import docker
import requests
from docker.errors import APIError, DockerException
from docker.transport import UnixHTTPAdapter

from clnrm_nb.errors import BackendUnavailableError
from clnrm_nb.executor.backends.docker.address import Address, candidates
from clnrm_nb.executor.backends.docker.transport import ClosingAdapter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from requests.adapters import BaseAdapter

__all__ = ["Engine", "EngineFacts", "engine_says", "in_thread"]

P = ParamSpec("P")
T = TypeVar("T")

_CONNECT_TIMEOUT_S: Final = 10
# Engines under load take seconds for a start; one that is silent this long is hung.
_CALL_TIMEOUT_S: Final = 120
_THREADS: Final = 32


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What an engine can do, asked once.

    Parameters
    ----------
    version : str
        Of the engine.
    is_podman, is_desktop, is_rootless : bool
    missing_limits : tuple of str
        Words for limits that its kernel does not apply (``memory``, ``swap``, ``cpu``, ``pids``).
    """

    version: str
    is_podman: bool = False
    is_desktop: bool = False
    is_rootless: bool = False
    missing_limits: tuple[str, ...] = ()


class Engine:
    """A connected engine. Made by :meth:`connect`, let go of by :meth:`close`."""

    def __init__(self, client: docker.APIClient, address: Address, facts: EngineFacts) -> None:
        self.client = client
        self.address = address
        self.facts = facts
        self.can_exec_privileged = True
        """Until it turns out that the engine itself lacks a capability."""
        self.removals: set[asyncio.Task[Any]] = set()
        """What is being removed, and goes on to be when nobody waits for it any more."""
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="clnrm-engine")

    @classmethod
    async def connect(cls, setting: str = "", environ: Mapping[str, str] | None = None) -> Engine:
        """Reach the engine that was chosen, or the first default socket that answers.

        Raises
        ------
        BackendUnavailableError
            CLN601, naming every address tried and what to do.
        """
        return await asyncio.wrap_future(in_thread(partial(cls._connect, setting, environ)))

    @classmethod
    def _connect(cls, setting: str, environ: Mapping[str, str] | None) -> Engine:
        failures: list[tuple[Address, Exception]] = []
        for address in candidates(setting, environ):
            try:
                return cls(*_reach(address))
            except (DockerException, requests.RequestException, OSError, ValueError) as failure:
                failures.append((address, failure))
        raise _unavailable(failures)

    async def call(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking call of the client in the pool.

        Raises
        ------
        BackendUnavailableError
            CLN601: the engine stopped answering.
        docker.errors.APIError
            What the engine says.
        """
        return await asyncio.wrap_future(self.submit(function, *args, **kwargs))

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """As :meth:`call`, for callers that must know when the call ended even if they stopped waiting."""
        return self._threads.submit(self.guarded, partial(function, *args, **kwargs))

    def guarded(self, function: Callable[[], T]) -> T:
        """Run a call in this thread, a lost connection becoming CLN601."""
        try:
            return function()
        except APIError:
            # It is a RequestException too, but one that the engine sent.
            raise
        except (requests.RequestException, ConnectionError, TimeoutError) as lost:
            raise self.lost(lost) from lost

    def lost(self, cause: BaseException) -> BackendUnavailableError:
        """The error of an engine that answered before and no longer does."""
        return BackendUnavailableError(
            f"the container engine at {self.address.url} stopped answering ({_reason(cause)})",
            "CLN601",
            hint="see the engine's own log; `clnrm gc` removes what could not be removed now",
        )

    def close_when_idle(self) -> None:
        """Let go once all removals have ended; at an interrupt nobody waits that long."""
        if self.removals:
            ended = asyncio.gather(*self.removals, return_exceptions=True)
            ended.add_done_callback(lambda _: self.close())
        else:
            self.close()

    def close(self) -> None:
        """End idle threads and connections; calls on their way end by themselves."""
        self._threads.shutdown(wait=False)
        self.client.close()


def in_thread(function: Callable[[], T]) -> Future[T]:
    """Run something that blocks for long in a daemon thread of its own."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            result = function()
        except BaseException as error:  # noqa: BLE001  # It is the awaiting side that handles it.
            future.set_exception(error)
        else:
            future.set_result(result)

    # Marked as running, so that an abandoned wait cannot cancel it under the thread's hands.
    future.set_running_or_notify_cancel()
    threading.Thread(target=run, name="clnrm-engine-stream", daemon=True).start()
    return future


def engine_says(error: APIError) -> str:
    """The engine's own sentence, without the SDK's frame around it and without a closing stop."""
    text = str(error.explanation or error)
    if "no space left on device" in text:
        return "no space left on the engine's disk"
    return " ".join(text.split()).removeprefix("Error response from daemon: ").rstrip(".")


class _Client(docker.APIClient):
    """The SDK's client, every call of which has a time limit; its own ``attach_socket`` has none."""

    def mount(self, prefix: str | bytes, adapter: BaseAdapter) -> None:
        super().mount(prefix, ClosingAdapter(adapter) if isinstance(adapter, UnixHTTPAdapter) else adapter)

    def request(self, *args: Any, **options: Any) -> requests.Response:
        options.setdefault("timeout", self.timeout)
        return super().request(*args, **options)


def _reach(address: Address) -> tuple[docker.APIClient, Address, EngineFacts]:
    client = _Client(
        base_url=address.url,
        version="auto",
        timeout=_CONNECT_TIMEOUT_S,
        tls=address.tls or False,
        max_pool_size=_THREADS,
    )
    if address.socket_path is not None:
        # Nothing of the environment (proxies, .netrc) concerns a local socket; looking costs 0.2 ms a call.
        client.trust_env = False
    try:
        facts = _facts(client.info(), client.version())
    except BaseException:
        client.close()
        raise
    client.timeout = _CALL_TIMEOUT_S
    return client, address, facts


def _facts(info: Mapping[str, Any], version: Mapping[str, Any]) -> EngineFacts:
    components = {part.get("Name") for part in version.get("Components") or ()}
    security = info.get("SecurityOptions") or ()
    limits = {"memory": "MemoryLimit", "swap": "SwapLimit", "cpu": "CpuCfsQuota", "pids": "PidsLimit"}
    return EngineFacts(
        version=str(version.get("Version", "")),
        is_podman="Podman Engine" in components,
        is_desktop="Docker Desktop" in str(info.get("OperatingSystem", "")),
        is_rootless=any("rootless" in option for option in security),
        missing_limits=tuple(word for word, key in limits.items() if info.get(key) is False),
    )


def _reason(cause: BaseException) -> str:
    """The innermost cause in a few words: wrappers of HTTP libraries say nothing a person needs."""
    if isinstance(cause, APIError):
        return engine_says(cause)
    if isinstance(cause, TimeoutError):
        return "no answer in time"
    seen: list[BaseException] = [cause]
    while (inner := seen[-1].__cause__ or seen[-1].__context__) and inner not in seen:
        seen.append(inner)
    for error in reversed(seen):
        if isinstance(error, OSError) and error.strerror:
            return error.strerror.lower()
    return "no answer in time" if "timed out" in str(cause).lower() else str(seen[-1]) or type(cause).__name__


def _unavailable(failures: Sequence[tuple[Address, Exception]]) -> BackendUnavailableError:
    if not failures:
        return BackendUnavailableError(
            "no container engine: none of the usual sockets is there, and no address is configured",
            "CLN601",
            hint="start Docker or Podman (`systemctl start docker`, `podman system service`), or name its "
            "address by `--docker-host` or DOCKER_HOST",
        )
    address, failure = failures[0]
    reason = _reason(failure)
    tried = f" (also tried: {', '.join(other.url for other, _ in failures[1:])})" if failures[1:] else ""
    return BackendUnavailableError(
        f"no container engine answers at {address.url}: {reason}{tried}",
        "CLN601",
        hint=_advice(address, reason),
    )


def _advice(address: Address, reason: str) -> str:
    if "permission denied" in reason:
        return "this user may not use the engine's socket: `sudo usermod -aG docker $USER`, then log in again"
    if address.source == "default socket":
        return (
            "the socket is there, but nothing answers: start the engine, or name another by `--docker-host`"
        )
    return f"{address.source} names this address; start the engine there, or correct or remove the address"

"""The connection to a cluster: reached, checked, and known worker by worker.

Everything that is Dask's stands here and in :mod:`~clnrm_nb.executor.backends.dask.fence`; the rest of the
package speaks of tests.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from clnrm_nb.errors import BackendUnavailableError
from clnrm_nb.executor.backends.dask.address import is_encrypted, refuse_open
from clnrm_nb.executor.backends.dask.clock import Clock
from clnrm_nb.executor.backends.dask.payload import VERSIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Cluster", "Worker", "connect"]

_log = logging.getLogger(__name__)

CONNECT_S: Final = 10.0
HELLO_S: Final = 30.0
"""A worker that is asked for the first time imports this package."""

FIRST_WORKER_S: Final = 10.0
_ASK_S: Final = 5.0
_LONGEST_TTL_S: Final = 60.0
_HELLOS: Final = 3
"""Questions to each worker at the start; the first one also opens connections, which takes longer one way."""

_MOST_OVER_BYTES: Final = 8 * 1024 * 1024
"""Of finished tasks that the scheduler keeps until :meth:`Cluster.let_go`."""


@dataclass(slots=True)
class Worker:
    """One worker of the cluster, as far as it matters here."""

    address: str
    slots: int
    resources: Mapping[str, float]
    clock: Clock = field(default_factory=Clock)


async def connect(address: str) -> Cluster:
    """Reach a scheduler and its workers.

    Parameters
    ----------
    address : str
        Of :func:`~clnrm_nb.executor.backends.dask.address.checked`.

    Raises
    ------
    BackendUnavailableError
        CLN601: the package is missing, nobody answers, there is no worker, or one has another version.
    ConfigError
        CLN802: the scheduler or a worker is open to others than this machine.
    """
    try:
        from distributed import Client, Security
    except ImportError as error:
        raise BackendUnavailableError(
            f"the dask backend needs a package that is not installed: {error.name}",
            "CLN601",
            hint="Install it: pip install 'clnrm_nb[dask]'.",
        ) from None
    # Certificates are Dask's matter: its configuration names them (distributed.comm.tls).
    security = Security(require_encryption=True) if is_encrypted(address) else None
    try:
        await _knock(address)
        # Its methods return values or awaitables depending on how it was made, which no annotation says.
        client: Any = Client(
            address,
            asynchronous=True,
            set_as_default=False,
            security=security,
            timeout=CONNECT_S,
            name="clnrm_nb",
        )
    except (OSError, TimeoutError, TypeError, ValueError) as error:
        raise _unreachable(address, error) from error
    cluster = Cluster(client, address)
    try:
        await client
        await cluster.check()
    except (OSError, TimeoutError, TypeError, ValueError) as error:
        await cluster.close()
        raise _unreachable(address, error) from error
    except BaseException:
        await cluster.close()
        raise
    return cluster


def _unreachable(address: str, error: Exception) -> BackendUnavailableError:
    return BackendUnavailableError(
        f"no scheduler answers at {address}: {str(error) or type(error).__name__}",
        "CLN601",
        hint="For tls:// Dask's own configuration must name the certificates (distributed.comm.tls).",
    )


class Cluster:
    """A cluster that was reached."""

    def __init__(self, client: Any, address: str) -> None:
        self.client = client
        self.address = address
        self.workers: dict[str, Worker] = {}
        self._over: list[Any] = []
        self._over_bytes = 0

    @property
    def capacity(self) -> int:
        """Tests that may run at once."""
        return max(sum(worker.slots for worker in self.workers.values()), 1)

    async def check(self) -> None:
        """Find out who is there and whether they are fit; raises as :func:`connect`."""
        await self._await_workers()
        await self._greet()
        await self._check_ttl()

    async def _await_workers(self) -> None:
        deadline_s = time.monotonic() + FIRST_WORKER_S
        while True:
            await self.refresh()
            if self.workers:
                return
            if time.monotonic() > deadline_s:
                raise BackendUnavailableError(
                    f"the cluster at {self.address} has no workers",
                    "CLN601",
                    hint="Start one: `dask worker URL`.",
                )
            with suppress(TimeoutError):
                await self.client.wait_for_workers(1, timeout=FIRST_WORKER_S)

    async def refresh(self) -> None:
        """Look again who is there."""
        identity = await self.client.scheduler.identity(n_workers=-1)
        refuse_open([identity["address"]], "the scheduler")
        refuse_open(identity["workers"], "a worker")
        self.workers = {
            address: self.workers.get(address) or Worker(address, _slots(found), found.get("resources") or {})
            for address, found in identity["workers"].items()
        }

    async def _greet(self) -> None:
        for _ in range(_HELLOS):
            await asyncio.gather(*map(self._say_hello, list(self.workers)))

    async def _say_hello(self, address: str) -> None:
        from clnrm_nb.executor.backends.dask.worker import hello

        sent_ns = time.time_ns()
        try:
            async with asyncio.timeout(HELLO_S):
                answers = await self.client.run(hello, workers=[address], on_error="return")
        except (OSError, TimeoutError) as error:
            answers = {address: error}
        # A worker that has left meanwhile has nothing to say, and gets nothing to do.
        answer = answers.get(address)
        if answer is not None:
            _check_answer(address, answer)
        self._observe(address, sent_ns, answer)

    async def _check_ttl(self) -> None:
        import dask.config

        # One of Dask's own functions: the scheduler need not have this package.
        ttl = await self.client.run_on_scheduler(dask.config.get, "distributed.scheduler.worker-ttl")
        from dask.utils import parse_timedelta

        if ttl is None or parse_timedelta(ttl) > _LONGEST_TTL_S:
            _log.warning(
                "the scheduler takes a worker that hangs for alive during %s; tests on it wait so long. "
                "Set distributed.scheduler.worker-ttl to 30s.",
                ttl or "ever",
            )

    # ----------------------------------------------------------------------------------------- questions

    async def ask(self, address: str, what: str, *, timeout_s: float = _ASK_S, **message: Any) -> Any:
        """Have a worker answer a question, whatever else it is doing; ``None`` if it does not.

        Its clock is read on the way where the answer has a time in it.

        Parameters
        ----------
        what : str
            A name of :data:`~clnrm_nb.executor.backends.dask.worker.HANDLERS`.
        """
        sent_ns = time.time_ns()
        try:
            async with asyncio.timeout(timeout_s):
                answers = await self.client.scheduler.broadcast(
                    msg={"op": what, **message}, workers=[address], on_error="ignore"
                )
        except (OSError, TimeoutError):
            return None
        answer = answers.get(address)
        self._observe(address, sent_ns, answer)
        return answer

    async def ask_all(self, what: str, *, timeout_s: float = _ASK_S, **message: Any) -> dict[str, Any]:
        """The same question to all workers there are now."""
        with suppress(OSError):
            await self.refresh()
        addresses = list(self.workers)
        asked = [self.ask(address, what, timeout_s=timeout_s, **message) for address in addresses]
        return dict(zip(addresses, await asyncio.gather(*asked), strict=True))

    def _observe(self, address: str, sent_ns: int, answer: Any) -> None:
        if isinstance(answer, dict) and "now_ns" in answer and address in self.workers:
            self.workers[address].clock.observe(sent_ns, answer["now_ns"], time.time_ns())

    # ----------------------------------------------------------------------------------------- resources

    def needs(self, *, containers: int, memory_mb: int) -> dict[str, float]:
        """What a test takes of the resources that workers declare.

        Parameters
        ----------
        containers, memory_mb : int
            That the test may start, and the sum of their limits.

        Returns
        -------
        dict of str to float
            ``containers`` and ``memory`` (bytes), as far as some worker has such a resource; never more
            than the largest worker has, which then runs the test alone.
        """
        wanted = {"containers": float(containers), "memory": float(memory_mb * 1024 * 1024)}
        most = {
            name: max((float(worker.resources.get(name, 0)) for worker in self.workers.values()), default=0.0)
            for name in wanted
        }
        return {name: min(amount, most[name]) for name, amount in wanted.items() if most[name] and amount}

    # ---------------------------------------------------------------------------------------------- tasks

    def over(self, future: Any, size_bytes: int) -> None:
        """A task has ended; it is let go of later, with others.

        Client and scheduler hold a message back while another has just gone the same way (10 and 5 ms): to
        release each task as it ends made the next one start 9 ms later (measured 2026-11-30).
        """
        self._over.append(future)
        self._over_bytes += size_bytes
        if self._over_bytes > _MOST_OVER_BYTES:
            self.let_go()

    def let_go(self) -> None:
        """Let the scheduler forget the tasks that are over."""
        for future in self._over:
            future.release()
        self._over.clear()
        self._over_bytes = 0

    async def close(self) -> None:
        """Let go of the cluster, which goes on."""
        self.let_go()
        with suppress(OSError, TimeoutError):
            await self.client.close()


async def _knock(address: str) -> None:
    """Find out at once that nobody is there, where Dask tries again until its time is up."""
    parts = urlsplit(address)
    async with asyncio.timeout(CONNECT_S):
        _, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.close()


def _slots(found: Mapping[str, Any]) -> int:
    threads = int(found.get("nthreads") or 1)
    containers = (found.get("resources") or {}).get("containers")
    return threads if containers is None else max(min(threads, int(containers)), 1)


def _check_answer(address: str, answer: Any) -> None:
    if isinstance(answer, ImportError):
        raise BackendUnavailableError(
            f"worker {address} has no clnrm_nb to run tests with: {answer}",
            "CLN601",
            hint="Install the same version of clnrm_nb[dask] everywhere.",
        )
    if isinstance(answer, BaseException):
        said = str(answer) or type(answer).__name__
        raise BackendUnavailableError(f"worker {address} does not answer: {said}", "CLN601")
    theirs = answer["versions"]
    if theirs != VERSIONS:
        raise BackendUnavailableError(
            f"worker {address} has another version: {_shown(theirs)}; this is {_shown(VERSIONS)}",
            "CLN601",
            hint="Install the same version of clnrm_nb everywhere.",
        )


def _shown(versions: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())

"""Images: looked up once a run, pulled as ``containers.pull_policy`` says, once for all who wait."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from docker.errors import APIError, ImageNotFound, NotFound
from docker.utils import parse_repository_tag

from clnrm_nb.errors import BackendUnavailableError, ClnrmError
from clnrm_nb.executor.backends.docker.engine import engine_says, in_thread

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clnrm_nb.executor.backends.docker.engine import Engine

__all__ = ["Image", "Images"]

# What registries and engines say, and what it means to a person.
_MEANINGS: Final = (
    ("unauthorized", "the registry wants a login (`docker login`)"),
    ("pull access denied", "not found, or the registry wants a login (`docker login`)"),
    ("manifest unknown", "not found"),
    ("not found", "not found"),
    ("no matching manifest", "there is none for this machine's architecture"),
    ("toomanyrequests", "the registry's rate limit is reached"),
    ("no such host", "the registry cannot be reached"),
    ("connection refused", "the registry cannot be reached"),
    ("i/o timeout", "the registry cannot be reached"),
    ("network is unreachable", "the registry cannot be reached"),
    ("server misbehaving", "the registry cannot be reached"),
    ("no space left on device", "no space left on the engine's disk"),
)


@dataclass(frozen=True, slots=True)
class Image:
    """What creating and stopping containers needs to know of an image.

    Parameters
    ----------
    id : str
        Content address: the same for every container of the run, whatever the tag points to later.
    stop_signal : str
        What its programs want to be ended with.
    volumes : tuple of str
        Paths for which the engine makes a volume of its own.
    environment : tuple of str
        Names of its variables.
    size_bytes : int
        All layers together, unpacked.
    """

    id: str
    stop_signal: str = "SIGTERM"
    volumes: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    size_bytes: int = 0


class Images:
    """The images of one run.

    Parameters
    ----------
    pull_policy : {"if-not-present", "always", "never"}
    """

    def __init__(self, engine: Engine, pull_policy: str) -> None:
        self._engine = engine
        self._pull_policy = pull_policy
        self._known: dict[str, asyncio.Task[Image]] = {}
        self._stopped = threading.Event()

    async def ensure(self, name: str) -> Image:
        """The image, pulled if need be.

        Raises
        ------
        ClnrmError
            CLN602 with the reason in one sentence; the same again for everyone who asks in this run, unless
            it is the engine's trouble and not the image's.
        BackendUnavailableError
            CLN601: the engine is gone.
        """
        if name not in self._known:
            self._known[name] = asyncio.ensure_future(self._find(name))
            self._known[name].add_done_callback(partial(self._keep_answer, name))
        try:
            return await asyncio.shield(self._known[name])
        except APIError as refused:
            raise _cannot_pull(name, _meaning(engine_says(refused))) from refused

    async def look_up(self, name: str) -> Image | None:
        """The image this run has used under a name, else the one on this machine; nothing is pulled.

        Raises
        ------
        BackendUnavailableError
            CLN601: the engine is gone.
        """
        search = self._known.get(name)
        if search is not None and search.done() and not search.cancelled() and search.exception() is None:
            return search.result()
        return await self._inspect(name)

    def forget(self, name: str) -> None:
        """Look an image up anew the next time: somebody removed it."""
        self._known.pop(name, None)

    def _keep_answer(self, name: str, search: asyncio.Task[Image]) -> None:
        """Keep what was answered for the run; where no answer was to be had, the next one asks anew."""
        # Looking at the outcome also keeps asyncio from complaining where everybody stopped waiting.
        if not search.cancelled() and isinstance(search.exception(), (APIError, BackendUnavailableError)):
            self.forget(name)

    def forget_all(self) -> None:
        """Look every image up anew: another run may find others under the same names."""
        self._known.clear()

    def close(self) -> None:
        """Stop pulling."""
        self._stopped.set()
        for task in self._known.values():
            task.cancel()

    async def _find(self, name: str) -> Image:
        if self._pull_policy == "always":
            await self._pull(name)
        found = await self._inspect(name)
        if found is None and self._pull_policy == "if-not-present":
            await self._pull(name)
            found = await self._inspect(name)
        if found is None:
            never = self._pull_policy == "never"
            why = 'it is not on this machine, and `pull_policy` is "never"' if never else "not found"
            raise _cannot_pull(name, why)
        return found

    async def _inspect(self, name: str) -> Image | None:
        try:
            found: Mapping[str, Any] = await self._engine.call(self._engine.client.inspect_image, name)
        except (ImageNotFound, NotFound):
            return None
        config = found.get("Config") or {}
        return Image(
            id=found["Id"],
            stop_signal=config.get("StopSignal") or "SIGTERM",
            volumes=tuple(config.get("Volumes") or ()),
            environment=tuple(each.partition("=")[0] for each in config.get("Env") or ()),
            size_bytes=int(found.get("Size") or 0),
        )

    async def _pull(self, name: str) -> None:
        try:
            error = await asyncio.wrap_future(
                in_thread(partial(self._engine.guarded, partial(self._load, name)))
            )
        except APIError as refused:
            error = engine_says(refused)
        if error:
            raise _cannot_pull(name, _meaning(error))

    def _load(self, name: str) -> str | None:
        """Pull in this thread; what went wrong, in the engine's words."""
        repository, tag = parse_repository_tag(name)
        for progress in self._engine.client.pull(repository, tag=tag or "latest", stream=True, decode=True):
            if self._stopped.is_set():
                return "the run ended"
            if "error" in progress:
                return str(progress["error"])
        return None


def _cannot_pull(name: str, why: str) -> ClnrmError:
    return ClnrmError(
        f"cannot pull `{name}`: {why}",
        "CLN602",
        hint="check the name and the tag, or make the image on this machine under this name",
    )


def _meaning(error: str) -> str:
    lower = error.lower()
    return next((meaning for word, meaning in _MEANINGS if word in lower), " ".join(error.split()))

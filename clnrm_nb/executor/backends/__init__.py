"""Backends by name: the built-in ones, and any that registers as entry point in ``clnrm_nb.backends``."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Final

from clnrm_nb.errors import BackendUnavailableError, ConfigError

if TYPE_CHECKING:
    from clnrm_nb.config.settings import Settings
    from clnrm_nb.executor.backends.protocol import Backend

__all__ = ["GROUP", "all_backends", "backend_names", "get_backend", "has_containers", "open_backend"]

GROUP: Final = "clnrm_nb.backends"

# The same as in pyproject.toml, so that a checkout that is not installed works too.
_BUILT_IN: Final = {
    "dask": "clnrm_nb.executor.backends.dask:DaskBackend",
    "docker": "clnrm_nb.executor.backends.docker:DockerBackend",
    "process": "clnrm_nb.executor.backends.process:ProcessBackend",
    "replay": "clnrm_nb.executor.backends.replay:ReplayBackend",
}
_WITHOUT_CONTAINERS: Final = frozenset({"process", "replay"})


def backend_names() -> list[str]:
    """All names that :func:`get_backend` knows, sorted."""
    return sorted({*_BUILT_IN, *_registered()})


def all_backends() -> list[tuple[str, str, EntryPoint | None]]:
    """Name and target of every backend, built-in ones first; the entry point of those that came by one."""
    found = entry_points(group=GROUP)
    foreign = sorted((entry for entry in found if entry.name not in _BUILT_IN), key=lambda entry: entry.name)
    return [
        *((name, target, None) for name, target in _BUILT_IN.items()),
        *((entry.name, entry.value, entry) for entry in foreign),
    ]


def _registered() -> dict[str, str]:
    return {entry.name: entry.value for entry in entry_points(group=GROUP)}


def has_containers(name: str) -> bool:
    """Whether a backend starts containers, so that images and container limits mean something."""
    return name not in _WITHOUT_CONTAINERS


def get_backend(name: str, settings: Settings) -> Backend:
    """Make a backend; it reaches for nothing until it is opened.

    Raises
    ------
    ConfigError
        CLN802: no backend has this name.
    """
    # A built-in name always means the built-in backend: an installed package must not slip in its place. Nor
    # is it worth reading the metadata of every installed package, which takes longer than a small test.
    target = _BUILT_IN.get(name) or _registered().get(name)
    if target is None:
        raise ConfigError(
            f"there is no backend {name!r}",
            "CLN802",
            hint=f"Known are {', '.join(backend_names())} and auto.",
        )
    module, _, attribute = target.partition(":")
    backend: Backend = getattr(import_module(module), attribute)(settings)
    return backend


async def open_backend(name: str, settings: Settings) -> Backend:
    """Make a backend and reach its engine.

    ``auto`` is docker if an engine answers, else replay, never process.

    Raises
    ------
    BackendUnavailableError
        CLN601.
    ConfigError
        CLN802: no backend has this name.
    """
    if name == "auto":
        try:
            return await open_backend("docker", settings)
        except BackendUnavailableError:
            if not settings.executor.replay:
                raise
            name = "replay"
    backend = get_backend(name, settings)
    await backend.open()
    return backend

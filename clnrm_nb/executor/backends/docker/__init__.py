"""Tests in containers of any Docker-compatible engine: the default backend (``format.md`` 5.2).

One internal network a test, a container a service, one more for commands of no service; all of it labelled
with its owner and removed with the test. ``address`` finds the engine, ``engine`` talks to it, ``unit`` is
one test attempt; ``policy`` says beforehand what is refused, ``gc`` removes what killed processes left;
``glance`` asks the little that a run needs to know in which nothing is started.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from clnrm_nb.executor.backends.docker.backend import DockerBackend
    from clnrm_nb.executor.backends.docker.gc import collect_garbage

__all__ = ["DockerBackend", "collect_garbage"]

_HOME: Final = {"DockerBackend": "backend", "collect_garbage": "gc"}


def __getattr__(name: str) -> Any:
    """Imported when it is asked for: the SDK takes longer to load than a run without containers lasts."""
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

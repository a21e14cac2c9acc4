"""Tests in containers of any Docker-compatible engine: the default backend (``format.md`` 5.2).

One internal network a test, a container a service, one more for commands of no service; all of it labelled
with its owner and removed with the test. ``address`` finds the engine, ``engine`` talks to it, ``unit`` is
one test attempt; ``policy`` says beforehand what is refused, ``gc`` removes what killed processes left.
"""

from __future__ import annotations

from clnrm_nb.executor.backends.docker.backend import DockerBackend
from clnrm_nb.executor.backends.docker.gc import collect_garbage

__all__ = ["DockerBackend", "collect_garbage"]

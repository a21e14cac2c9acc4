"""The ``dask`` backend: whole tests run on the workers of an existing Dask cluster (``format.md`` 5.2).

What a worker gets is *data* (:mod:`~clnrm_nb.executor.backends.dask.payload`), never code of the caller's. It
runs the test as a local run would, with a backend, an engine and a receiver of its own
(:mod:`~clnrm_nb.executor.backends.dask.station`), and answers with an outcome and its spans. Judging,
retries, history and reports stay where the run was started.

Dask starts a task *at least* once: again when a worker dies, or when a result is lost. Here each attempt of
a test has a fencing id, and only the start that takes the one token of that id runs anything
(:mod:`~clnrm_nb.executor.backends.dask.fence`). Whatever else comes back is not looked at, so a test has one
verdict.
"""

from __future__ import annotations

from clnrm_nb.executor.backends.dask.backend import DaskBackend

__all__ = ["DaskBackend"]

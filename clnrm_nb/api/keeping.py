"""Between two runs of one process: the backend stays open, and with it what the next run can use again."""

from __future__ import annotations

from clnrm_nb.executor.kept import IDLE_S, keep_backends, let_go
from clnrm_nb.executor.loop import run_blocking

__all__ = ["keep_backend", "let_backend_go"]


def keep_backend(idle_s: float = IDLE_S) -> None:
    """From now on runs of this process leave their backend open, for at most `idle_s` seconds without a run.

    Notebooks do this by themselves. What is kept are the connection to the engine and, of tests run with
    ``isolation = "verified"``, networks with their proved runner containers.
    """
    keep_backends(idle_s)


def let_backend_go() -> None:
    """Close what is kept, and keep nothing more."""
    keep_backends(None)
    run_blocking(let_go())

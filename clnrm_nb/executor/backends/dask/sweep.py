"""Removing what a worker that was killed has left: its successor does it, and its neighbours do.

Only objects of this machine whose owner has ended are touched, so it may be done at any time, by anybody, as
often as one likes.
"""

from __future__ import annotations

import logging

from clnrm_nb.config.project import find_project
from clnrm_nb.config.settings import load_settings
from clnrm_nb.errors import ClnrmError

__all__ = ["sweep"]

_log = logging.getLogger(__name__)


async def sweep(inner: str) -> int:
    """Remove the leftovers of dead owners in this process's engine; how many there were.

    Processes need no sweep: their reaper ends them with their owner.
    """
    if inner != "docker":
        return 0
    from clnrm_nb.executor.backends.docker.engine import Engine
    from clnrm_nb.executor.backends.docker.gc import collect_garbage

    try:
        settings = load_settings(find_project())
        engine = await Engine.connect(settings.executor.docker_host)
        try:
            removed = await collect_garbage(engine)
        finally:
            engine.close()
    except ClnrmError as error:
        _log.info("could not look for leftovers of killed workers: %s", error)
        return 0
    for each in removed:
        _log.warning("removed %s %s of a worker that was killed", each.type, each.name)
    return len(removed)

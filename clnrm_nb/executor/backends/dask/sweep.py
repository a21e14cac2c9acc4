"""Removing what a worker that was killed has left: its successor does it, and its neighbours do.

Only what belongs to dead processes of this machine is touched, so it may be done at any time, by anybody, as
often as one likes.
"""

from __future__ import annotations

import logging

from clnrm_nb.config.project import find_project
from clnrm_nb.config.settings import load_settings
from clnrm_nb.errors import ClnrmError
from clnrm_nb.executor.backends import open_backend

__all__ = ["sweep"]

_log = logging.getLogger(__name__)


async def sweep(inner: str) -> bool:
    """Remove the leftovers of dead owners here; false if nobody could look for them."""
    try:
        # Every backend sweeps when it is opened, and has done so when it has closed.
        backend = await open_backend(inner, load_settings(find_project()))
        await backend.close()
    except ClnrmError as error:
        _log.warning("could not look for leftovers of killed workers: %s", error)
        return False
    return True

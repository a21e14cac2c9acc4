"""What the cache decided about the tests of a reaction, in one sentence each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clnrm_nb.cache.store import CacheStore
from clnrm_nb.cache.why import sentences
from clnrm_nb.errors import ClnrmError
from clnrm_nb.state import State

if TYPE_CHECKING:
    from collections.abc import Collection

    from clnrm_nb.api.contexts import Context

__all__ = ["decided"]


def decided(test_ids: Collection[str], here: Context) -> dict[str, str]:
    """By test: what made it run, or what changed and does not count, where there is such a reason."""
    if not test_ids or not here.settings.cache.enabled:
        return {}
    try:
        with State.open(here.project.state_dir) as state:
            found = CacheStore(state, here.settings.cache).decisions(test_ids)
    except ClnrmError:
        # Where nothing can be kept there are no decisions to tell of.
        return {}
    return {test: "; ".join(said[:2]) for test, one in found.items() if (said := sentences(one))}

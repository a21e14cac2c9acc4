"""Before anything runs: which of the chosen tests need not, and why the others must.

By what their manifests say where nothing is read, by their hashes where a file differs: equal inputs judged
alike are a hit, equal inputs judged otherwise are judged again on the spans that are stored, all else is run.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from clnrm_nb.cache.entry import Cause, Decision
from clnrm_nb.pipeline.images import images_now
from clnrm_nb.pipeline.known import KnownTest
from clnrm_nb.pipeline.reuse import CachedOutcome, rejudged

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from clnrm_nb.cache import CacheStore, Entry, Key
    from clnrm_nb.config.settings import Settings
    from clnrm_nb.executor.outcome import TestOutcome
    from clnrm_nb.pipeline.images import ImageIds
    from clnrm_nb.pipeline.inputs import Inputs
    from clnrm_nb.pipeline.known import SourceFile, Tests
    from clnrm_nb.pipeline.load import LoadedTest
    from clnrm_nb.secrets import Masker
    from clnrm_nb.state import State

__all__ = ["Found", "Lookup"]

_COUNTERS: Final = {"hit": "hits", "miss": "misses", "rejudge": "rejudged", "uncacheable": "uncacheable"}


@dataclass(slots=True)
class Found:
    """What the cache says about the chosen tests of a run.

    Attributes
    ----------
    outcomes : dict of str to TestOutcome
        Of tests that need not run.
    entries : dict of str to Entry
        What those come from.
    audited : dict of str to Entry
        Hits that are run all the same, to be held against what is stored.
    hashes : dict of str to str
        Of tests that are to run, as far as they have one.
    """

    outcomes: dict[str, TestOutcome] = field(default_factory=dict)
    entries: dict[str, Entry] = field(default_factory=dict)
    audited: dict[str, Entry] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)


class Lookup:
    """One look-up. Every method blocks: it belongs on a thread of its own.

    Parameters
    ----------
    inputs : Inputs
        Takes what the tests of files that are read depend on.
    backend : str
        Name of the backend.
    run_id : str
        The run that asks.
    """

    def __init__(
        self,
        tests: Tests,
        *,
        store: CacheStore,
        state: State,
        settings: Settings,
        inputs: Inputs | None,
        backend: str,
        run_id: str,
        masker: Masker,
    ) -> None:
        self._tests = tests
        self._store = store
        self._state = state
        self._settings = settings
        self._given_inputs = inputs
        self._backend = backend
        self._run_id = run_id
        self._masker = masker
        self._decisions: dict[str, Decision] = {}
        self.found = Found()

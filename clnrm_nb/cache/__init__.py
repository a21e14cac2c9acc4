"""When two runs of a test had the same inputs: the semantic hash of ``format.md`` 9.

:mod:`~clnrm_nb.cache.parts` collects what a test depends on, :mod:`~clnrm_nb.cache.key` makes one hash of it
and keeps the parts, :mod:`~clnrm_nb.cache.fingerprint` reads mounted files before a run and looks again after
it, :mod:`~clnrm_nb.cache.localkey` seals what nobody may read. A test whose inputs cannot be named has no
hash, and says why: equal hashes are evidence, so a hash that might lie is worse than none.
"""

from __future__ import annotations

from clnrm_nb.cache.fingerprint import Fingerprints, UnreadableError
from clnrm_nb.cache.key import KEY_VERSION, Key
from clnrm_nb.cache.localkey import LocalKey
from clnrm_nb.cache.parts import Surroundings, parts_of, plain, why_uncacheable

__all__ = [
    "KEY_VERSION",
    "Fingerprints",
    "Key",
    "LocalKey",
    "Surroundings",
    "UnreadableError",
    "parts_of",
    "plain",
    "why_uncacheable",
]

"""When two runs of a test had the same inputs, and what is kept so that it need not run again.

:mod:`~clnrm_nb.cache.parts` collects what a test depends on (``format.md`` 9),
:mod:`~clnrm_nb.cache.key` makes one hash of it and keeps the parts, :mod:`~clnrm_nb.cache.fingerprint` reads
mounted files before a run and looks again after it, :mod:`~clnrm_nb.cache.localkey` seals what nobody may
read. A test whose inputs cannot be named has no hash, and says why: equal hashes are evidence, so a hash that
might lie is worse than none.

:mod:`~clnrm_nb.cache.manifest` knows without reading a file whether its tests are what they were
(:mod:`~clnrm_nb.cache.records`); :mod:`~clnrm_nb.cache.store` keeps entries of passed runs, with
:mod:`~clnrm_nb.cache.upkeep` for eviction and repair; :mod:`~clnrm_nb.cache.lease` lets one of several
processes run what all of them want; :mod:`~clnrm_nb.cache.export` tells other programs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from clnrm_nb.cache.entry import ANSWERS, Answer, Cause, Decision, Deposit, Entry, Stats
    from clnrm_nb.cache.export import export_path, remove_export, write_export
    from clnrm_nb.cache.fingerprint import Fingerprints, TreePrint, UnreadableError
    from clnrm_nb.cache.key import KEY_VERSION, Key, hash_of
    from clnrm_nb.cache.lease import Leases
    from clnrm_nb.cache.localkey import IN_CLEAR, LocalKey
    from clnrm_nb.cache.manifest import (
        Inputs,
        Manifest,
        ManifestTest,
        Mount,
        digest_of_values,
        request_of,
    )
    from clnrm_nb.cache.parts import Surroundings, parts_of, plain, why_uncacheable
    from clnrm_nb.cache.present import Present
    from clnrm_nb.cache.records import FileRecord, changed_lines, line_prints
    from clnrm_nb.cache.store import CacheStore
    from clnrm_nb.cache.upkeep import Verification

__all__ = [
    "ANSWERS",
    "IN_CLEAR",
    "KEY_VERSION",
    "Answer",
    "CacheStore",
    "Cause",
    "Decision",
    "Deposit",
    "Entry",
    "FileRecord",
    "Fingerprints",
    "Inputs",
    "Key",
    "Leases",
    "LocalKey",
    "Manifest",
    "ManifestTest",
    "Mount",
    "Present",
    "Stats",
    "Surroundings",
    "TreePrint",
    "UnreadableError",
    "Verification",
    "changed_lines",
    "digest_of_values",
    "export_path",
    "hash_of",
    "line_prints",
    "parts_of",
    "plain",
    "remove_export",
    "request_of",
    "why_uncacheable",
    "write_export",
]

_HOME: Final = {
    "ANSWERS": "entry",
    "Answer": "entry",
    "CacheStore": "store",
    "Cause": "entry",
    "Decision": "entry",
    "Deposit": "entry",
    "Entry": "entry",
    "FileRecord": "records",
    "Fingerprints": "fingerprint",
    "IN_CLEAR": "localkey",
    "Inputs": "manifest",
    "KEY_VERSION": "key",
    "Key": "key",
    "Leases": "lease",
    "LocalKey": "localkey",
    "Manifest": "manifest",
    "ManifestTest": "manifest",
    "Mount": "manifest",
    "Present": "present",
    "Stats": "entry",
    "Surroundings": "parts",
    "TreePrint": "fingerprint",
    "UnreadableError": "fingerprint",
    "Verification": "upkeep",
    "changed_lines": "records",
    "digest_of_values": "manifest",
    "export_path": "export",
    "hash_of": "key",
    "line_prints": "records",
    "parts_of": "parts",
    "plain": "parts",
    "remove_export": "export",
    "request_of": "manifest",
    "why_uncacheable": "parts",
    "write_export": "export",
}


def __getattr__(name: str) -> Any:
    """Imported when it is asked for: a run in which nothing has changed needs no model of a scenario."""
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

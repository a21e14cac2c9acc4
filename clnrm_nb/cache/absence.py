"""Why nothing is stored of a test with just these inputs, as far as its history knows.

That it failed under these inputs, or that they have passed and what was kept is gone, says more than what
differs from some older entry.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from clnrm_nb.cache.entry import Cause

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clnrm_nb.state import State

__all__ = ["why_absent"]

_NO_VERDICT: Final = ("skipped", "interrupted")
_KEPT: Final = frozenset({"passed", "cached"})


def why_absent(state: State, hashes: Mapping[str, str]) -> dict[str, Cause]:
    """Of tests without an entry under these hashes, by id; those of which the history says nothing left out.

    Parameters
    ----------
    hashes : mapping of str to str
        Hash of the inputs by test id.
    """
    rows = state.read(
        "SELECT test_id, hash, status FROM results WHERE seq IN ("
        "SELECT max(results.seq) FROM json_each(?) AS wanted JOIN results ON test_id = wanted.value "
        "WHERE status NOT IN (?, ?) GROUP BY test_id)",
        (json.dumps(list(hashes)), *_NO_VERDICT),
    )
    return {
        row["test_id"]: Cause("evicted") if row["status"] in _KEPT else Cause("failed", before=row["status"])
        for row in rows
        if row["hash"] == hashes[row["test_id"]]
    }

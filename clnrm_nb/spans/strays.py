"""Spans of nobody: kept for a look at them as far as there is room, and counted for whoever should be told.

Everything here is bounded, whatever strangers send: rows, their bytes, and the names they give.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from clnrm_nb.spans.table import SpanTable

if TYPE_CHECKING:
    from clnrm_nb.spans.intake import Intake

__all__ = ["Strays"]

_MAX_SPANS: Final = 10_000
_MAX_BYTES: Final = 8 * 1024 * 1024
_MAX_NAMES: Final = 1000
_MAX_NAME_LENGTH: Final = 500


class Strays:
    """What came under tokens that are not known (any more)."""

    __slots__ = ("_n_bytes", "_unclaimed", "count", "table")

    def __init__(self) -> None:
        self.table = SpanTable()
        """The first ones (rows of no test); :attr:`count` has all."""
        self.count = 0
        self._n_bytes = 0
        self._unclaimed: Counter[str | None] = Counter()

    def keep(self, intake: Intake, size: int) -> None:
        """Count all of `intake`, a document of `size` bytes, and keep it if there is room."""
        spans = intake.table
        self.count += len(spans) + intake.n_refused
        self._unclaimed[None] += intake.n_refused
        for resource in spans.resource:
            self._unclaimed[self._name_of(resource.attributes.get("clnrm.test.id"))] += 1
        room = _MAX_SPANS - len(self.table)
        if room > 0 and self._n_bytes + size <= _MAX_BYTES:
            self._n_bytes += size
            self.table.extend(spans if len(spans) <= room else spans.select(range(room)))

    def _name_of(self, named: object) -> str | None:
        if not isinstance(named, str) or len(named) > _MAX_NAME_LENGTH:
            return None
        return named if named in self._unclaimed or len(self._unclaimed) < _MAX_NAMES else None

    def claim(self, test_id: str) -> int:
        """Strays that say they are of this test or of none, each counted once."""
        return self._unclaimed.pop(test_id, 0) + self._unclaimed.pop(None, 0)

    def claim_rest(self) -> dict[str | None, int]:
        """What no test has claimed, such as spans that came after their test, by the test they name."""
        rest = {name: count for name, count in self._unclaimed.items() if count}
        self._unclaimed.clear()
        return rest

    @property
    def n_unclaimed(self) -> int:
        """Strays no test has claimed."""
        return self._unclaimed.total()

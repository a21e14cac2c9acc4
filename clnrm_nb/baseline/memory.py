"""What a process has read for its comparisons: baselines by digest, and one interner for all of them.

A subtree that two tests of a run have in common, or two runs of a session, gets its number once; whoever
meets it again finds it by that number, and equal numbers are never looked into. Nothing in a diff depends on
which numbers things have: another order of rows gives others, and the same bytes.
"""

from __future__ import annotations

from threading import RLock
from typing import TYPE_CHECKING, Final

from clnrm_nb.baseline.kept import Kept
from clnrm_nb.diff.compare import diff_of, prepare
from clnrm_nb.diff.interner import Interner
from clnrm_nb.diff.reading import from_table
from clnrm_nb.spans.table import SpanTable

if TYPE_CHECKING:
    from clnrm_nb.diff.model import Diff
    from clnrm_nb.diff.options import DiffOptions
    from clnrm_nb.diff.side import Side

__all__ = ["MEMORY", "Memory"]

_MAX_SPANS: Final = 50_000
"""Of all baselines kept; the one used longest ago goes first."""

_MAX_CONTENTS: Final = 100_000
"""Different spans and subtrees known before all is forgotten: some 100 MB."""


class Memory:
    """Baselines and whatever was compared with them; safe to use from any thread, one at a time.

    Parameters
    ----------
    max_spans : int
        Of the baselines kept.
    max_contents : int
        Known spans and subtrees; beyond, the next comparison starts with none.
    """

    def __init__(self, *, max_spans: int = _MAX_SPANS, max_contents: int = _MAX_CONTENTS) -> None:
        self._max_contents = max_contents
        self._lock = RLock()
        self.interner = Interner()
        self._kept: Kept[Side] = Kept(max_spans=max_spans)

    @property
    def n_known(self) -> int:
        """How many different spans and subtrees have a number."""
        return self.interner.n_known

    def read(self, table: SpanTable) -> Side:
        """A trace read once: for its digest, and for :meth:`difference`."""
        with self._lock:
            self._forget()
            return from_table(table, self.interner)

    def difference(
        self, baseline: SpanTable, current: SpanTable | Side, options: DiffOptions, digest: str
    ) -> Diff:
        """What turns a baseline, which has no times, into a trace.

        Parameters
        ----------
        current : SpanTable or Side
            What :meth:`read` made of it, if that is at hand.
        digest : str
            The baseline's; it says all that the baseline holds.
        """
        with self._lock:
            self._forget()
            if isinstance(current, SpanTable):
                current = from_table(current, self.interner, own_spans=options.own_spans)
            return diff_of(self._baseline(baseline, digest, current.interner), current, options=options)

    def _baseline(self, table: SpanTable, digest: str, interner: Interner) -> Side:
        if interner is not self.interner:  # All was forgotten since the other side was read.
            return prepare(table, interner)
        side = self._kept.get(digest)
        if side is None:
            side = prepare(table, interner)
            self._kept.put(digest, side, n_spans=side.n)
        return side

    def _forget(self) -> None:
        """Start over once too much is known."""
        if self.interner.n_known > self._max_contents:
            self.interner = Interner()
            self._kept.clear()


MEMORY: Final = Memory()
"""The process's."""

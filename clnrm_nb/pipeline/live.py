"""The spans of a run that goes on, for whoever shows them before it has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clnrm_nb.pipeline.redacting import Redacting
    from clnrm_nb.report.text import Mask
    from clnrm_nb.spans.table import SpanTable

__all__ = ["LiveTables"]


class LiveTables(dict[str, "SpanTable"]):
    """Growing span tables by test, and what hides secrets where they are shown before the run has ended.

    Attributes
    ----------
    mask : callable
        Known as soon as the tests are read, which is before the first span.
    redacting : Redacting, optional
        The same of what hides more than secrets.
    """

    mask: Mask | None = None
    redacting: Redacting | None = None

    def shown(self, test_id: str, rows: Sequence[int] | None = None) -> SpanTable:
        """Some spans of a test (default: all there are), standing still, as far as ``redact`` lets see."""
        table = self[test_id]
        copy = table.select(range(len(table)) if rows is None else rows)
        if self.redacting is not None:
            self.redacting.growing(test_id, copy)
        return copy

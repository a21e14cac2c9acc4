"""Spans of a run that goes on: what is shown of them stands still."""

from clnrm_nb.pipeline.live import LiveTables
from clnrm_nb.spans.model import Span
from clnrm_nb.spans.table import SpanTable


def test_what_is_shown_stands_still_while_its_table_grows():
    tables = LiveTables(a=SpanTable([Span("t", "1", "one"), Span("t", "2", "two")]))

    shown = tables.shown("a")
    last = tables.shown("a", [1])
    tables["a"].append(Span("t", "9", "later"))

    assert shown.name == ["one", "two"]
    assert last.name == ["two"]

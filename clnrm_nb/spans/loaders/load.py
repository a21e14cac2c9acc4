"""Sources of any form → one table of spans, each once, and what there is to say about them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.errors import ClnrmError, UsageError
from clnrm_nb.spans.bulk import without_collector
from clnrm_nb.spans.identity import Identities
from clnrm_nb.spans.intake import Intake
from clnrm_nb.spans.loaders import pieces, sources
from clnrm_nb.spans.loaders.carried import lacks_of
from clnrm_nb.spans.loaders.reading import Reader
from clnrm_nb.spans.loaders.report import LoadReport
from clnrm_nb.spans.loaders.sources import Stream
from clnrm_nb.spans.table import SpanTable
from clnrm_nb.spans.topology import tree_parents

if TYPE_CHECKING:
    Source = Path | str | bytes | Stream

__all__ = ["INPUT_FORMATS", "load"]

INPUT_FORMATS: Final = (
    "otlp-json",
    "otlp-proto",
    "flat",
    "console",
    "jaeger",
    "zipkin",
    "tempo",
    "signoz",
    "csv",
)
"""Words of ``--input-format``."""


def load(
    source: Source | Sequence[Source],
    *,
    input_format: str | None = None,
    allow_empty: bool = False,
    name: str | None = None,
    strict: bool = False,
) -> tuple[SpanTable, LoadReport]:
    """Read all spans of a source, or of several that belong together.

    Parameters
    ----------
    source : path, bytes, Stream, "-", or a sequence of these
        ``-`` is standard input. Several are read as one: a span may have its parent in another file, and one
        that is in two of them counts once.
    input_format : str, optional
        A word of :data:`INPUT_FORMATS`; overrules recognition.
    allow_empty : bool
        Take a source without a span for an empty table: for what clnrm_nb itself has written.
    name : str, optional
        What messages call the source; default: its path.
    strict : bool
        Take a source that is only partly readable for an error.

    Returns
    -------
    tuple of (SpanTable, LoadReport)
        Each span once, in order of the source; and what there is to say about it.

    Raises
    ------
    ClnrmError
        CLN001 if it cannot be read; CLN607 (exit 1) if it holds no span, with the reason, or, when `strict`,
        if a part of it could not be read.
    UsageError
        If `input_format` is none.
    """
    if input_format is not None and input_format not in INPUT_FORMATS:
        raise UsageError(f"no input format {input_format!r}; there are {', '.join(INPUT_FORMATS)}")
    several = list(source) if isinstance(source, list | tuple) else [source]
    intake, table = Intake(), SpanTable()
    identities = Identities(table)
    with without_collector():
        reports = [_read(each, intake, input_format, allow_empty=allow_empty, name=name) for each in several]
        pieces.settle(intake)
        identities.add(intake.table)
    report = LoadReport.of(reports)
    report.take_identities(identities)
    parents, cycles = tree_parents(table)
    report.take_counts(intake, table, parents, cycles)
    report.lacks = lacks_of(report.format.split("+"), table, report.columns)
    if strict and report.is_partial:
        finding = report.partial
        raise ClnrmError(f"`{report.source}` is only partly readable: {finding}", "CLN607")
    return table, report


def _read(
    source: Any, intake: Intake, input_format: str | None, *, allow_empty: bool, name: str | None
) -> LoadReport:
    before = len(intake.table)
    with sources.opened(source) as stream:
        reader = Reader(name or stream.name, input_format, intake)
        try:
            reader.read(stream)
        except MemoryError:
            raise ClnrmError(
                f"`{reader.name}` cannot be read: it needs more memory than there is",
                "CLN607",
                hint="split it, or leave out what is large in it",
            ) from None
    if len(intake.table) == before and not allow_empty:
        reason, hint = reader.why_nothing()
        raise ClnrmError(f"no span was found in `{reader.name}`: {reason}", "CLN607", hint=hint)
    report = reader.report
    report.format = "+".join(sorted(reader.forms))
    return report

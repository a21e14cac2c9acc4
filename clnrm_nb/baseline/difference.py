"""The way from baselines into the diff, and from the settings of a project to what counts in it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from clnrm_nb.baseline.memory import MEMORY
from clnrm_nb.diff import DiffOptions, apply, compare
from clnrm_nb.diff.rules import Rule
from clnrm_nb.diff.side import Side
from clnrm_nb.spans.canonical import canonical

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clnrm_nb.config.keys import Diff as DiffSection
    from clnrm_nb.diff import Diff, Edit
    from clnrm_nb.spans.table import SpanTable

__all__ = ["difference", "options_from", "options_of", "patched", "plain", "read"]


def options_of(section: DiffSection) -> DiffOptions:
    """What counts by the ``[diff]`` section."""
    tolerance = section.tolerance
    return DiffOptions(
        ignore_timestamps=section.ignore_timestamps,
        order_sensitive=section.order_sensitive,
        own_spans=section.own_spans,
        ignore_attributes=tuple(section.ignore_attributes),
        volatile_defaults=section.volatile_defaults,
        duration_ms=tolerance.duration_ms or 0.0,
        duration_ratio=tolerance.duration_ratio or 1.0,
        attributes={
            glob: (bounds.get("abs", 0.0), bounds.get("rel", 0.0))
            for glob, bounds in tolerance.attributes.items()
        },
    )


def options_from(document: Mapping[str, Any]) -> DiffOptions:
    """What counts, as it was kept with a pending trace."""
    known = {key: value for key, value in document.items() if key in DiffOptions.__dataclass_fields__}
    if "ignore_attributes" in known:
        known["ignore_attributes"] = tuple(known["ignore_attributes"])
    if "attributes" in known:
        known["attributes"] = {glob: (bounds[0], bounds[1]) for glob, bounds in known["attributes"].items()}
    if "rules" in known:
        known["rules"] = tuple(Rule(**rule) for rule in known["rules"])
    return DiffOptions(**known)


def difference(
    baseline: SpanTable, current: SpanTable | Side, options: DiffOptions, *, digest: str | None = None
) -> Diff:
    """What turns a baseline into a trace.

    Parameters
    ----------
    current : SpanTable or Side
        The trace, or what :func:`read` made of it.
    digest : str, optional
        Of a baseline file: it is read once a process, as long as few enough are in use. Such a file has no
        times, and what needs them is not compared; without a digest they are those of `baseline`.
    """
    if digest is not None:
        return MEMORY.difference(baseline, current, options, digest)
    if isinstance(current, Side):
        assert current.table is not None
        current = current.table
    return compare(baseline, current, options=options)


def read(table: SpanTable) -> Side:
    """A trace read once, for its digest and for comparisons.

    Parameters
    ----------
    table : SpanTable
        Without own spans, see :func:`clnrm_nb.spans.canonical.of_scenario`.
    """
    return MEMORY.read(table)


def patched(baseline: SpanTable, edits: Sequence[Edit]) -> dict[str, Any]:
    """The canonical form of a baseline with some edits applied."""
    return apply(edits, canonical(baseline))


def plain(options: DiffOptions) -> dict[str, Any]:
    """Options as JSON can keep them; :func:`options_from` reads them back."""
    document = asdict(options)
    for rule in document["rules"]:
        # Where a rule is written is known of the files that hold it.
        del rule["place"]
    return document

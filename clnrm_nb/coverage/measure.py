"""A manifest against traces: which behaviours were reached, by which span, and each dimension's share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from clnrm_nb.coverage.evidence import Evidence, endpoints_of
from clnrm_nb.scenario.model import NamePattern
from clnrm_nb.spans.model import STATUS_CODES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from clnrm_nb.coverage.manifest import Item, Manifest
    from clnrm_nb.spans.table import SpanTable

__all__ = ["Coverage", "Covered", "Dimension", "measure"]


@dataclass(frozen=True, slots=True)
class Covered:
    """One behaviour, the span that reached it (``None``: none did), and the steps of a flow not seen."""

    item: Item
    span: tuple[str, str] | None
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Dimension:
    """One dimension.

    Parameters
    ----------
    weight : float
        As the manifest has it.
    items : tuple of Covered
        In the manifest's order.
    """

    name: str
    weight: float
    items: tuple[Covered, ...]

    @property
    def reached(self) -> int:
        """How many of its behaviours were reached."""
        return sum(item.span is not None for item in self.items)

    @property
    def share(self) -> float | None:
        """Reached of all, 0 to 1; ``None`` where it lists nothing."""
        return self.reached / len(self.items) if self.items else None


@dataclass(frozen=True, slots=True)
class Coverage:
    """All dimensions of a manifest."""

    system: str
    dimensions: tuple[Dimension, ...]
    spans: int

    @property
    def share(self) -> float:
        """The weighted mean over the dimensions that list something, 0 to 1; 0 where none does."""
        counted = [(each.weight, each.share) for each in self.dimensions if each.share is not None]
        total = sum(weight for weight, _ in counted)
        return sum(weight * share for weight, share in counted) / total if total else 0.0


def measure(manifest: Manifest, table: SpanTable) -> Coverage:
    """Hold a manifest against traces.

    Parameters
    ----------
    manifest : Manifest
    table : SpanTable
        All spans. Own spans count where ``span_coverage`` names them, and nowhere else.

    Returns
    -------
    Coverage
        Without a span of the program nothing is reached, named own spans included.
    """
    program = [row for row in range(len(table)) if not table.own[row]]
    looks = _looks(table, program)
    dimensions = tuple(
        Dimension(name, manifest.weights[name], tuple(looks[name](item) for item in items))
        for name, items in manifest.dimensions.items()
    )
    return Coverage(manifest.system, dimensions, len(program))


def _looks(table: SpanTable, program: Sequence[int]) -> dict[str, Callable[[Item], Covered]]:
    """How each dimension finds its evidence."""
    said = Evidence(table, program)
    errors = Evidence(table, [row for row in program if _has_failed(table, row)])
    every = range(len(table)) if program else ()
    names: dict[str, int] = {}
    endpoints: dict[str, int] = {}
    for row in every:
        names.setdefault(table.name[row], row)
    for row in program:
        for text in endpoints_of(table, row):
            endpoints.setdefault(text, row)

    def found(item: Item, rows: Sequence[int]) -> Covered:
        return Covered(item, (table.trace_id[rows[0]], table.span_id[rows[0]]) if rows else None)

    def matching(item: Item, texts: dict[str, int]) -> Covered:
        pattern = NamePattern.of(item.terms[0])
        return found(item, sorted(row for text, row in texts.items() if pattern.matches(text))[:1])

    return {
        "api_surface": lambda item: matching(item, endpoints),
        "state_transitions": lambda item: found(item, said.rows_saying(item.terms)),
        "error_scenarios": lambda item: found(item, errors.rows_saying(item.terms)),
        "data_flows": lambda item: _flow(item, table, said),
        "integrations": lambda item: found(item, said.rows_saying(item.terms)),
        "span_coverage": lambda item: matching(item, names),
    }


def _has_failed(table: SpanTable, row: int) -> bool:
    return STATUS_CODES[table.status_code[row]] == "error" or any(
        event.name == "exception" for event in table.events[row]
    )


def _flow(item: Item, table: SpanTable, said: Evidence) -> Covered:
    """A flow is reached when one trace holds all its steps, none beginning before the one ahead of it."""
    of_steps = [said.rows_saying((step,)) for step in item.terms]
    missing = tuple(step for step, rows in zip(item.terms, of_steps, strict=True) if not rows)
    if missing:
        return Covered(item, None, missing)
    for trace in dict.fromkeys(table.trace_id[row] for row in of_steps[0]):
        first = _in_order(trace, of_steps, table)
        if first is not None:
            return Covered(item, (trace, table.span_id[first]))
    return Covered(item, None)


def _in_order(trace: str, of_steps: Sequence[Sequence[int]], table: SpanTable) -> int | None:
    """The first step's span, if the steps follow each other in `trace`."""
    at_ns, first = -1, None
    for rows in of_steps:
        later = [row for row in rows if table.trace_id[row] == trace and (table.start_ns[row] or 0) >= at_ns]
        if not later:
            return None
        chosen = min(later, key=lambda row: table.start_ns[row] or 0)
        at_ns = table.start_ns[chosen] or 0
        first = chosen if first is None else first
    return first

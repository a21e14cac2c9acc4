"""What a view draws: rows of a trace or of a diff, in one form, made only for the places in the window.

A trace has one side; a diff has both in one picture: every span of either side stands once, those the run
lacks as ghosts. Figure, list and side table know rows only, so that both take the same path.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from clnrm_nb.report.difflayout import DiffLayout
from clnrm_nb.report.diffwords import OP_WORDS, change_texts
from clnrm_nb.report.layout import Layout
from clnrm_nb.report.text import duration_text, number_text, value_text
from clnrm_nb.report.tracetext import heading

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["DiffRows", "Fact", "Row", "Rows", "State", "TraceRows", "rows_of"]

State = Literal["plain", "error", "own", "same", "changed", "added", "missing", "moved", "renamed"]

SIGNS: Final[Mapping[str, str]] = {
    "error": "✗",
    "changed": "✏️",
    "added": "➕",
    "missing": "❌",
    "moved": "↦",
    "renamed": "✎",
    "same": "✓",
}
_KINDS: Final = ("unspecified", "internal", "server", "client", "producer", "consumer")
_NOT_COMPARED: Final = frozenset(
    ("span", key) for key in ("span id", "trace id", "parent span id", "scenario", "duration")
)
_CODES: Final = ("unset", "ok", "error")


@dataclass(frozen=True, slots=True)
class Row:
    """One span as a view shows it; times in ms since the first span of its test."""

    place: int
    depth: int
    name: str
    service: str
    state: State
    start_ms: float
    duration_ms: float | None
    baseline_ms: tuple[float, float] | None = None
    """Start and duration of the baseline's span, as it is drawn."""
    is_hollow: bool = False
    """Not in the run."""

    @property
    def label(self) -> str:
        """Sign and name."""
        sign = SIGNS.get(self.state, "") if self.state != "same" else ""
        return f"{sign} {self.name}" if sign else self.name


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of the side table; ``old`` is ``None`` where there is only one side or nothing was there."""

    section: str
    key: str
    old: str | None
    new: str | None
    note: str = ""


class Rows(Protocol):
    """What views draw."""

    heading: str
    is_diff: bool
    legend: str
    """How to read the picture, in a sentence; empty where there is nothing to explain."""

    def __len__(self) -> int:
        """Rows in all."""

    def window(self, limit: int, *, only_differences: bool) -> list[int]:
        """At most `limit` places in display order that tell most."""

    def row(self, place: int) -> Row:
        """The row at a place."""

    def facts(self, place: int) -> list[Fact]:
        """Everything known about the span at a place."""


class TraceRows:
    """The rows of one trace."""

    is_diff = False
    legend = ""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self.heading = heading(layout)

    def __len__(self) -> int:
        return len(self._layout)

    def window(self, limit: int, *, only_differences: bool) -> list[int]:
        """See :class:`Rows`; a trace has no differences, failed spans come first."""
        del only_differences
        return self._layout.window(limit)

    def row(self, place: int) -> Row:
        """See :class:`Rows`."""
        layout = self._layout
        table, index = layout.table(place), layout.row[place]
        state: State = "own" if table.own[index] else ("error" if layout.is_error(place) else "plain")
        duration_ns = layout.duration_ns(place)
        return Row(
            place,
            layout.depth[place],
            table.name[index],
            table.resource[index].service,
            state,
            (layout.offset_ns(place) or 0) / 1e6,
            None if duration_ns is None else duration_ns / 1e6,
        )

    def facts(self, place: int) -> list[Fact]:
        """See :class:`Rows`."""
        layout = self._layout
        side = _side(layout.table(place), layout.row[place])
        test_id = layout.parts[layout.part[place]].test_id
        first = [Fact("span", "test", None, test_id)] if test_id else []
        return [*first, *(Fact(section, key, None, text) for (section, key), text in side.items())]


class DiffRows:
    """The rows of a diff: both sides in one tree.

    Parameters
    ----------
    layout : DiffLayout
        The merged tree in display order.
    """

    is_diff = True

    def __init__(self, layout: DiffLayout) -> None:
        self._layout = layout
        counts = [f"{n} {word}" for word, n in layout.totals().items() if n and word != "same"]
        both = number_text(len(layout), "span")
        self.heading = f"{both} on both sides: {', '.join(counts) or 'all the same'}"
        self.legend = "Bars are the run, dashed frames the baseline; what is missing is hatched."
        if not self._has_baseline_times():
            self.legend += " Accepted traces hold no times: a frame stands where the run's span does."

    def _has_baseline_times(self) -> bool:
        return any(self._layout.length_ns(part, of_baseline=True) for part in range(len(self._layout.parts)))

    def __len__(self) -> int:
        return len(self._layout)

    def window(self, limit: int, *, only_differences: bool) -> list[int]:
        """See :class:`Rows`."""
        return self._layout.window(limit, only_differences=only_differences).places

    def row(self, place: int) -> Row:
        """See :class:`Rows`; a ghost stands where it stood, or along its parent without times."""
        pair = self._layout.pairs[place]
        start_ms, duration_ms = self._times_ms(place)
        name = pair.name if pair.name is not None else pair.baseline_name
        if pair.status == "renamed":
            name = f"{pair.baseline_name} → {pair.name}"
        return Row(
            place,
            pair.depth,
            name or "",
            pair.service,
            pair.status,
            start_ms,
            duration_ms,
            None if pair.baseline is None else self._baseline_ms(place, start_ms, duration_ms),
            is_hollow=pair.current is None,
        )

    def _baseline_ms(self, place: int, start_ms: float, duration_ms: float | None) -> tuple[float, float]:
        """Its own times where the baseline has any, else those of the row."""
        offset, duration = self._layout.times_ns(place, of_baseline=True)
        if offset is None or duration is None:
            return start_ms, duration_ms or 0.0
        return offset / 1e6, duration / 1e6

    def _times_ms(self, place: int) -> tuple[float, float | None]:
        """Accepted traces hold no times, so that a ghost often has only its parent to stand along."""
        while place != -1:
            for of_baseline in (False, True):
                offset, duration = self._layout.times_ns(place, of_baseline=of_baseline)
                if offset is not None and duration is not None:
                    return offset / 1e6, duration / 1e6
            place = self._layout.parent[place]
        return 0.0, None

    def facts(self, place: int) -> list[Fact]:
        """See :class:`Rows`: the edits with their reasons, then every value, old and new."""
        layout = self._layout
        pair, part = layout.pairs[place], layout.parts[layout.part[place]]
        edits = [part.diff.by_id[edit] for edit in pair.edits if part.diff and edit in part.diff.by_id]
        facts: list[Fact] = []
        for edit in edits:
            old, new = change_texts(edit)
            facts.append(
                Fact("edits", f"{OP_WORDS[edit.op]} {edit.key or ''}".strip(), old, new, edit.reason)
            )
        new_side = _compared_side(part.current, pair.current_row)
        old_side = _compared_side(part.baseline, pair.baseline_row)
        if pair.baseline is not None and not old_side:
            old_side = _before(new_side, edits) or _known(pair)
        counted = {edit.key for edit in edits}
        for section, key in dict.fromkeys([*new_side, *old_side]):
            before, now = old_side.get((section, key)), new_side.get((section, key))
            is_quiet = before != now and bool(old_side) and bool(new_side) and key not in counted
            is_told = section == "span" and bool(edits)
            facts.append(Fact(section, key, before, now, "not counted" if is_quiet and not is_told else ""))
        return facts


def _without_own(layout: Layout) -> Layout:
    """Only spans of programs under test, if there are any."""
    parts = []
    for part in layout.parts:
        rows = [row for row, own in enumerate(part.table.own) if not own]
        if rows:
            parts.append(replace(part, table=part.table.select(rows)))
    return Layout(parts) if parts else layout


_Side = dict[tuple[str, str], str]


def _compared_side(table: Any, row: int | None) -> _Side:
    """One side of a pair, without what no comparison looks at."""
    if table is None or row is None:
        return {}
    return {place: text for place, text in _side(table, row).items() if place not in _NOT_COMPARED}


def _before(new_side: _Side, edits: Sequence[Any]) -> _Side:
    """The baseline's values of a span that is on both sides: those of the run, with its edits taken back.

    An accepted trace is compared in its canonical form, which has no rows to read values from; that the edits
    lead from one side to the other is certified.
    """
    old = dict(new_side)
    for edit in edits:
        section = "attributes" if edit.op.startswith("attr") else "resource"
        if edit.op.startswith(("attr", "resource")) and edit.key:
            place = (section, edit.key)
            if edit.op.endswith("+"):
                old.pop(place, None)
            else:
                old[place] = value_text(edit.baseline)
        elif edit.op in ("rename", "service", "kind", "status", "scope"):
            old["span", "name" if edit.op == "rename" else edit.op] = value_text(edit.baseline)
    return old


def _known(pair: Any) -> _Side:
    """What is known of a span that only the baseline has."""
    return {("span", "name"): pair.baseline_name or "", ("span", "service"): pair.service}


def rows_of(thing: Any, *, with_own: bool = False) -> Rows:
    """The rows of whatever can be looked at: a trace, a result of a run, a diff.

    Parameters
    ----------
    with_own : bool
        The engine's own spans too; without others they are shown anyway.

    Raises
    ------
    TypeError
        It has no spans to show.
    """
    layout = getattr(thing, "layout", None)
    if layout is None:
        layout = getattr(getattr(thing, "spans", None), "layout", None)
    if isinstance(layout, DiffLayout):
        return DiffRows(layout)
    if isinstance(layout, Layout):
        return TraceRows(layout if with_own else _without_own(layout))
    raise TypeError(f"{type(thing).__name__} has no spans to look at")


def _duration_ms(table: Any, row: int) -> float | None:
    start_ns, end_ns = table.start_ns[row], table.end_ns[row]
    whole = start_ns is not None and end_ns is not None and end_ns >= start_ns
    return (end_ns - start_ns) / 1e6 if whole else None


def _side(table: Any, row: int) -> dict[tuple[str, str], str]:
    """Every value of one span, as text, by section and key."""
    scope = table.scope[row]
    facts = {
        ("span", "name"): table.name[row],
        ("span", "service"): table.resource[row].service,
        ("span", "kind"): _KINDS[table.kind[row]] if table.kind[row] < len(_KINDS) else str(table.kind[row]),
        ("span", "status"): " ".join(
            filter(None, (_CODES[table.status_code[row]], table.status_message[row]))
        ),
        ("span", "duration"): duration_text(_duration_ms(table, row)),
        ("span", "scenario"): table.scenario[row] or "",
        ("span", "scope"): getattr(scope, "name", "") or "",
        ("span", "span id"): table.span_id[row],
        ("span", "trace id"): table.trace_id[row],
        ("span", "parent span id"): table.parent_span_id[row] or "",
    }
    facts |= {("attributes", key): value_text(value) for key, value in table.attributes[row].items()}
    for number, event in enumerate(table.events[row], 1):
        words = [event.name, *(f"{key} = {value_text(value)}" for key, value in event.attributes.items())]
        facts["events", str(number)] = ", ".join(words)
    for number, link in enumerate(table.links[row], 1):
        facts["links", str(number)] = f"{link.trace_id}/{link.span_id}"
    facts |= {("resource", key): value_text(value) for key, value in table.resource[row].attributes.items()}
    return {place: text for place, text in facts.items() if text}

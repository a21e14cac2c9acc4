"""The rows of a diff in the order people read them: text, HTML, figure and document show these.

Comparisons stand one after another; within one, the merged tree of both sides in pre-order, so that a span
that went is a ghost row beside what is there now. A window always says what it leaves out, and where.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from clnrm_nb.diff.causes import failed_first
from clnrm_nb.diff.model import STATUSES
from clnrm_nb.spans.canonical import of_scenario

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

    from clnrm_nb.baseline.comparison import Comparison
    from clnrm_nb.baseline.threeway import ThreeWay
    from clnrm_nb.diff import DiffOptions
    from clnrm_nb.diff.model import Cause, Diff, Edit, SpanPair
    from clnrm_nb.errors import Diagnostic
    from clnrm_nb.spans.table import SpanTable

__all__ = ["Compared", "DiffLayout", "Item", "Window", "of_comparison"]

_NEAREST = 8
"""Rows kept of a chain that is longer than its share of a window."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One scenario (or test level) beside its baseline.

    Parameters
    ----------
    test_id : str
        The test, or the file of the current side.
    scenario : str or None
        ``None``: the spans at test level, or a whole file.
    status : str
        ``same``, ``changed``, or why there is no verdict of that kind: ``missing``, ``rejected``, ``unused``,
        ``incomplete``, ``error``.
    diff : Diff, optional
        ``None`` where nothing could be compared.
    baseline, current : SpanTable, optional
        The tables that were compared; times are taken from them.
    code : str, optional
        The deciding code of ``format.md`` 4; ``None`` where it is the same.
    composed : bool
        Whether the baseline was patched together by partial accepts.
    version : int, optional
        Version of the baseline.
    diagnostics : sequence of Diagnostic
    reviews : mapping of str to str
        ``edit_id`` → ``pending``, ``accepted``, ``rejected``, ``rule`` or ``skipped``.
    baseline_name : str, optional
        What the baseline is, where it is a file of its own.
    baseline_digest, trace_digest : str, optional
        What is known of them where there is no diff.
    file : str, optional
        The baseline's file from the project root.
    options : DiffOptions, optional
        What counted.
    three_way : ThreeWay, optional
        What of it the main branch has already.
    run_with : str
        Options of the run that a command which repeats it needs, each after a space.
    """

    test_id: str
    scenario: str | None = None
    status: str = "same"
    diff: Diff | None = None
    baseline: SpanTable | None = None
    current: SpanTable | None = None
    code: str | None = None
    composed: bool = False
    version: int | None = None
    diagnostics: Sequence[Diagnostic] = ()
    reviews: Mapping[str, str] = field(default_factory=dict)
    baseline_name: str | None = None
    baseline_digest: str | None = None
    trace_digest: str | None = None
    file: str | None = None
    options: DiffOptions | None = None
    three_way: ThreeWay | None = None
    run_with: str = ""

    @property
    def id(self) -> str:
        """``<test id>::<scenario>``, without a scenario the test id."""
        return self.test_id if self.scenario is None else f"{self.test_id}::{self.scenario}"

    @property
    def edits(self) -> tuple[Edit, ...]:
        """All edits, those that do not count too."""
        return () if self.diff is None else self.diff.edits

    @property
    def causes(self) -> tuple[Cause, ...]:
        """The causes that count."""
        return () if self.diff is None else tuple(cause for cause in self.diff.causes if cause.counted)

    def review_told(self, edit: Edit) -> str:
        """State of the review of an edit, as it stands beside it: where all of them wait, that is no news."""
        state = self.reviews.get(edit.edit_id, "")
        return state if state != "pending" or "accepted" in self.reviews.values() else ""

    @property
    def spans(self) -> tuple[SpanPair, ...]:
        """Every span of both sides."""
        return () if self.diff is None else self.diff.spans

    @property
    def by_id(self) -> Mapping[str, Edit]:
        """Edits by ``edit_id``."""
        return {} if self.diff is None else self.diff.by_id

    @property
    def differs(self) -> bool:
        """Whether any edit counts; a diff without one is false, which is not the same as no diff."""
        return bool(self.diff)


def of_comparison(
    comparison: Comparison,
    spans: SpanTable | None,
    failed: Container[tuple[str, str]] = (),
) -> Compared:
    """A comparison of a run with its baseline, beside the spans of its test.

    What differs at `failed` spans, by trace and span id, comes first.
    """
    baseline = comparison.baseline
    # The rows that were compared, in the order in which they were.
    current = None if spans is None else of_scenario(spans, comparison.scenario)
    diff = comparison.diff
    if failed and diff is not None and current is not None:
        ids = list(zip(current.trace_id, current.span_id, strict=True))
        pairs = [pair for pair in diff.spans if pair.current_row is not None and pair.edits]
        edits = {name for pair in pairs if ids[pair.current_row or 0] in failed for name in pair.edits}
        diff = failed_first(diff, edits)
    return Compared(
        comparison.test_id,
        comparison.scenario,
        comparison.status,
        diff,
        baseline=comparison.reference or (baseline.table if baseline else None),
        current=current,
        code=comparison.code,
        composed=bool(baseline and baseline.composed),
        version=baseline.version if baseline else None,
        diagnostics=comparison.diagnostics,
        reviews=comparison.reviews,
        baseline_name=comparison.file if comparison.from_trace_file else None,
        baseline_digest=baseline.digest if baseline else None,
        trace_digest=comparison.digest,
        file=comparison.file,
        options=comparison.options,
        run_with=comparison.run_with,
    )


@dataclass(frozen=True, slots=True)
class Window:
    """Some rows of a layout.

    Parameters
    ----------
    places : list of int
        In display order.
    parents : list of int
        For each of them: index in `places` of its nearest ancestor that is shown, -1 for none.
    left_out : list of int
        For each of them: how many spans below it, and below no other row shown, are not shown.
    differing_left_out : list of int
        For each of them: how many of those differ.
    left_out_above : list of int
        For each comparison: how many spans below no row shown are not shown.
    """

    places: list[int]
    parents: list[int]
    left_out: list[int]
    differing_left_out: list[int]
    left_out_above: list[int]

    def items(self) -> list[Item]:
        """Rows, and below each of them one more item for what is left out there."""
        items: list[Item] = []
        above: list[int] = []
        for index, parent in enumerate(self.parents):
            while above and above[-1] != parent:
                self._close(above, items)
            items.append(Item(index, parent, len(above), is_note=False))
            above.append(index)
        while above:
            self._close(above, items)
        return items

    def _close(self, above: list[int], items: list[Item]) -> None:
        index = above.pop()
        if self.left_out[index]:
            items.append(Item(index, index, len(above) + 1, is_note=True))


class Item(NamedTuple):
    """A row of a window, or the note of what is left out below it."""

    row: int
    """Its index in the window."""
    parent: int
    """Index of the row above; -1 for none."""
    level: int
    """How many rows shown are above."""
    is_note: bool


class DiffLayout:
    """Display order of the spans of some comparisons.

    Attributes
    ----------
    parts : sequence of Compared
    part : list of int
        For each place in display order: its comparison.
    pairs : list of SpanPair
        For each place: the span of either or both sides.
    parent : list of int
        Place of the parent in the merged tree, -1 for none.
    """

    __slots__ = ("_bounds", "pairs", "parent", "part", "parts")

    def __init__(self, parts: Sequence[Compared]) -> None:
        self.parts = parts
        self.part: list[int] = []
        self.pairs: list[SpanPair] = []
        self.parent: list[int] = []
        self._bounds = [(_bounds(part.baseline), _bounds(part.current)) for part in parts]
        for index, part in enumerate(parts):
            first = len(self.pairs)
            spans = part.spans
            self.pairs += spans
            self.part += [index] * len(spans)
            self.parent += [-1 if pair.parent is None else first + pair.parent for pair in spans]

    def __len__(self) -> int:
        return len(self.pairs)

    def totals(self) -> dict[str, int]:
        """Spans by status, of all comparisons."""
        totals: dict[str, int] = dict.fromkeys(STATUSES, 0)
        for pair in self.pairs:
            totals[pair.status] += 1
        return totals

    def differs(self, place: int) -> bool:
        """Whether the span at a place is not the same on both sides."""
        return self.pairs[place].status != "same"

    def stands_out(self, place: int) -> bool:
        """Whether a span differs by itself, not only by what many spans share, such as a renamed service."""
        pair = self.pairs[place]
        if pair.status != "changed" or not pair.edits:
            return pair.status != "same"
        by_id = self.parts[self.part[place]].by_id
        return any(name not in by_id or not by_id[name].is_shared for name in pair.edits)

    def _differing(self) -> list[int]:
        """The places that stand out; where none does, all that differ."""
        places = range(len(self))
        return list(filter(self.stands_out, places)) or list(filter(self.differs, places))

    def times_ns(self, place: int, *, of_baseline: bool) -> tuple[int | None, int | None]:
        """Start, from the earliest of its side, and duration; ``None`` where unknown."""
        pair, part = self.pairs[place], self.parts[self.part[place]]
        table = part.baseline if of_baseline else part.current
        row = pair.baseline_row if of_baseline else pair.current_row
        if table is None or row is None:
            return None, None
        start, end = table.start_ns[row], table.end_ns[row]
        first, _ = self._bounds[self.part[place]][not of_baseline]
        offset = None if start is None or first is None else start - first
        return offset, None if start is None or end is None or end < start else end - start

    def length_ns(self, part: int, *, of_baseline: bool) -> int:
        """From the earliest start to the latest end of one side of a comparison; 0 where unknown."""
        first, last = self._bounds[part][not of_baseline]
        return 0 if first is None or last is None else max(last - first, 0)

    def everything(self, depth: int, *, only_differences: bool) -> Window:
        """All spans, or those that differ with all above them, down to a depth."""
        chosen: set[int] = set()
        for place in self._differing() if only_differences else range(len(self)):
            chosen.update(self._up_from(place, chosen))
        return self._window(place for place in chosen if self.pairs[place].depth < depth)

    def window(self, limit: int, *, only_differences: bool = False) -> Window:
        """At most `limit` places that tell most.

        First the tops of what stands out with all above them, then the rest of that, then, unless
        `only_differences`, what else differs and what comes first in display order.
        """
        differing = self._differing()
        tops = [place for place in differing if not self._is_inside(place)]
        chosen: set[int] = set()
        wanted = [*tops, *(place for place in differing if self._is_inside(place))]
        for number, place in enumerate(wanted):
            room = limit - len(chosen)
            if room <= 0:
                break
            above = self._up_from(place, chosen)
            # Of a chain longer than its share: the span, what is right above it, and the top.
            share = max(room // (len(wanted) - number), 1)
            if len(above) > share:
                above = [*above[: min(_NEAREST, share - 1)], above[-1]] if share > 1 else above[:1]
            chosen.update(above)
        rest = () if only_differences else sorted(range(len(self)), key=lambda place: not self.differs(place))
        for place in rest:
            if len(chosen) >= limit:
                break
            chosen.add(place)
        return self._window(chosen)

    def _is_inside(self, place: int) -> bool:
        """Whether a span came or went with its parent."""
        parent, status = self.parent[place], self.pairs[place].status
        return parent != -1 and status in {"added", "missing"} and self.pairs[parent].status == status

    def _up_from(self, place: int, chosen: set[int]) -> list[int]:
        above: list[int] = []
        while place != -1 and place not in chosen:
            above.append(place)
            place = self.parent[place]
        return above

    def left_out(self, window: Window) -> dict[int, list[int]]:
        """The places that a window does not show, by the row below which they are; -1: below none."""
        found: dict[int, list[int]] = {}
        for place, nearest, is_shown in self._nearest(set(window.places)):
            if not is_shown:
                found.setdefault(nearest, []).append(place)
        return found

    def _nearest(self, wanted: Container[int]) -> Iterator[tuple[int, int, bool]]:
        """Every place, the number of the wanted one that is nearest above it, and whether it is one."""
        # Wanted ones on the way from the top to the current place: (depth, number).
        above: list[tuple[int, int]] = []
        number = 0
        for place, pair in enumerate(self.pairs):
            while above and above[-1][0] >= pair.depth:
                above.pop()
            yield place, above[-1][1] if above else -1, place in wanted
            if place in wanted:
                above.append((pair.depth, number))
                number += 1

    def _window(self, chosen: Iterable[int]) -> Window:
        window = Window([], [], [], [], [0] * len(self.parts))
        for place, nearest, is_shown in self._nearest(set(chosen)):
            if is_shown:
                window.places.append(place)
                window.parents.append(nearest)
                window.left_out.append(0)
                window.differing_left_out.append(0)
            elif nearest == -1:
                window.left_out_above[self.part[place]] += 1
            else:
                window.left_out[nearest] += 1
                window.differing_left_out[nearest] += self.differs(place)
        return window


def _bounds(table: SpanTable | None) -> tuple[int | None, int | None]:
    if table is None:
        return None, None
    starts = [start for start in table.start_ns if start is not None]
    return min(starts, default=None), max((end for end in table.end_ns if end is not None), default=None)

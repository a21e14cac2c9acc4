"""Truth and outcome of a case (`diff.md` 9): the origins' pairing, told by the product's own derive step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from clnrm_nb.diff.compare import diff_of, given
from clnrm_nb.diff.interner import Interner
from clnrm_nb.diff.model import Diff, Edit
from clnrm_nb.diff.options import DiffOptions
from clnrm_nb.diff.reading import from_table
from clnrm_nb.diff.side import Side
from clnrm_nb.spans.canonical import canonical_json
from clnrm_nb.spans.table import SpanTable


@dataclass(frozen=True)
class Truth:
    """What the origins say: a diff, and the sides whose subtrees its edits are about."""

    diff: Diff
    a: Side
    b: Side
    forth: list[int]

    def mapping(self, pairs: Iterable[tuple[int, int]]) -> Counter[tuple[int, int]]:
        """Pairs of spans modulo automorphism: equal subtrees in the same place are one and the same."""
        orbits = orbits_of(self.a), orbits_of(self.b)
        return Counter((orbits[0][i], orbits[1][j]) for i, j in pairs)

    def descriptors(self, diff: Diff) -> Counter[str]:
        """What the counted edits of a diff of these sides say, without positions among equals."""
        return Counter(self.descriptor(edit) for edit in diff.counted)

    def descriptor(self, edit: Edit) -> str:
        """What one edit says: operation, paths, key, old, new, and the numbers of the subtrees concerned."""
        before = sorted(self.a.full[number] for number in edit.baseline_spans)
        after = sorted(self.b.full[number] for number in edit.current_spans)
        said = [edit.op, edit.baseline_path, edit.path, edit.key, edit.baseline, edit.current, before, after]
        return canonical_json(said)


def orbits_of(side: Side) -> list[int]:
    """A number for each span; spans that an automorphism of the trace exchanges share one."""
    numbers: dict[tuple[int, int], int] = {}
    found = [-1] * (side.n + 1)
    for spot in range(side.n):
        place = (side.full[spot], found[side.parent[spot]])
        found[spot] = numbers.setdefault(place, len(numbers))
    return found


def truth_of(baseline: SpanTable, current: SpanTable, origins: list[str]) -> Truth:
    """The diff of the pairing that the origins give.

    Parameters
    ----------
    baseline : SpanTable
        Its span ids are the origins.
    current : SpanTable
    origins : list of str
        Of each row of `current`.
    """
    interner = Interner()
    a, b = from_table(baseline, interner), from_table(current, interner)
    place = {baseline.span_id[row]: number for number, row in enumerate(a.row[: a.n])}
    back = [place.get(origins[row], -1) for row in b.row[: b.n]]
    forth = [-1] * a.n
    for number, mate in enumerate(back):
        if mate >= 0:
            forth[mate] = number
    return Truth(diff_of(a, b, options=DiffOptions(), pairing=given(forth, back)), a, b, forth)


@dataclass(frozen=True)
class Outcome:
    """How one case came out.

    Parameters
    ----------
    kind : str
        ``exact``, ``cheaper``, ``tied`` or ``worse``.
    found, truth : Diff
    said, true : Counter
        Descriptors of the edits that were reported, and of those that are true.
    mapped, truly_mapped : Counter
        Pairs of spans, modulo automorphism.
    """

    kind: str
    found: Diff
    truth: Diff
    said: Counter[str]
    true: Counter[str]
    mapped: Counter[tuple[int, int]]
    truly_mapped: Counter[tuple[int, int]]
    is_on_top: bool
    """Whether a true edit is in the cause that is shown first."""


def judged(found: Diff, truth: Truth) -> Outcome:
    """Compare the product's answer with the truth."""
    said, true = truth.descriptors(found), truth.descriptors(truth.diff)
    if said == true:
        kind = "exact"
    elif found.cost < truth.diff.cost:
        kind = "cheaper"
    else:
        kind = "tied" if found.cost == truth.diff.cost else "worse"
    top = [found.by_id[name] for name in found.causes[0].edits] if found.causes else []
    pairs = ((pair.baseline, pair.current) for pair in found.spans)
    return Outcome(
        kind,
        found,
        truth.diff,
        said,
        true,
        truth.mapping((i, j) for i, j in pairs if i is not None and j is not None),
        truth.mapping((i, j) for i, j in enumerate(truth.forth) if j >= 0),
        any(truth.descriptor(edit) in true for edit in top),
    )

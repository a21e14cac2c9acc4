"""Truth and outcome of a case (`diff.md` 9): the origins' pairing, told by the product's own derive step."""

from __future__ import annotations

from collections import Counter
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

    def descriptors(self, diff: Diff) -> Counter[str]:
        """What the counted edits of a diff of these sides say, without positions among equals.

        Operation, paths, key, old, new, and the subtrees concerned: equal subtrees have equal numbers.
        """
        return Counter(self._descriptor(edit) for edit in diff.counted)

    def _descriptor(self, edit: Edit) -> str:
        before = sorted(self.a.full[number] for number in edit.baseline_spans)
        after = sorted(self.b.full[number] for number in edit.current_spans)
        said = [edit.op, edit.baseline_path, edit.path, edit.key, edit.baseline, edit.current, before, after]
        return canonical_json(said)


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
    n_common, n_found, n_true : int
        Edits that both tell, that were reported, that are true.
    """

    kind: str
    found: Diff
    truth: Diff
    n_common: int
    n_found: int
    n_true: int
    only_found: Counter[str]
    only_true: Counter[str]


def judged(found: Diff, truth: Truth) -> Outcome:
    """Compare the product's answer with the truth."""
    said, true = truth.descriptors(found), truth.descriptors(truth.diff)
    if said == true:
        kind = "exact"
    elif found.cost < truth.diff.cost:
        kind = "cheaper"
    else:
        kind = "tied" if found.cost == truth.diff.cost else "worse"
    common = said & true
    return Outcome(
        kind,
        found,
        truth.diff,
        common.total(),
        said.total(),
        true.total(),
        said - true,
        true - said,
    )

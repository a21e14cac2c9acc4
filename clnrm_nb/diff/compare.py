"""The whole way from two traces to a certified diff."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from clnrm_nb.diff.aliases import Aliases, find_aliases
from clnrm_nb.diff.alternatives import Alternatives
from clnrm_nb.diff.apply import certify
from clnrm_nb.diff.causes import group
from clnrm_nb.diff.content import Contents
from clnrm_nb.diff.derive import derive
from clnrm_nb.diff.document import from_canonical
from clnrm_nb.diff.drafts import Pairing
from clnrm_nb.diff.extras import extras
from clnrm_nb.diff.identify import identify
from clnrm_nb.diff.interner import Interner
from clnrm_nb.diff.matching import subtree_cost
from clnrm_nb.diff.merge import merge
from clnrm_nb.diff.model import Diff
from clnrm_nb.diff.notes import concurrency_notes, scope_notes
from clnrm_nb.diff.options import DiffOptions
from clnrm_nb.diff.portfolio import match
from clnrm_nb.diff.pricing import Prices
from clnrm_nb.diff.quieting import Quieting
from clnrm_nb.diff.reading import from_table
from clnrm_nb.diff.side import Side
from clnrm_nb.diff.structure import structure_of
from clnrm_nb.diff.trees import Numbers, grow
from clnrm_nb.spans.bulk import without_collector
from clnrm_nb.spans.table import SpanTable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clnrm_nb.diff.drafts import Draft
    from clnrm_nb.diff.trees import Tree

__all__ = ["compare", "diff_of", "differences", "given", "prepare"]


@without_collector()
def prepare(table: SpanTable, interner: Interner | None = None) -> Side:
    """A baseline read once, to be compared often.

    Parameters
    ----------
    table : SpanTable
        Without times; its rows are not remembered, its spans have only their numbers.
    interner : Interner, optional
        Shared with others, for :func:`diff_of`; else one of its own, for :func:`compare`.

    Returns
    -------
    Side
        What :func:`compare` takes as baseline; not changed by it. Diffs are those of the canonical form.
    """
    side = from_table(table, Interner() if interner is None else interner)
    side = replace(side, table=None, row=[None] * (side.n + 1), ignored=Counter(), notes=[])
    for name in Side.KEPT:
        getattr(side, name)
    return side


@without_collector()
def compare(
    baseline: SpanTable | Mapping[str, Any] | Side,
    current: SpanTable | Mapping[str, Any],
    *,
    options: DiffOptions | None = None,
) -> Diff:
    """What changed from one trace to another.

    Parameters
    ----------
    baseline, current : SpanTable or mapping
        Tables (of one scenario each, see :func:`clnrm_nb.spans.canonical.of_scenario`), or canonical forms;
        a baseline may be one that :func:`prepare` has read.
    options : DiffOptions, optional
        What counts.

    Returns
    -------
    Diff
        Certified, deterministic, and the inverse of the diff of the sides exchanged.

    Raises
    ------
    InternalError
        CLN901: the script does not give the current trace. A bug, never a verdict.
    """
    options = options or DiffOptions()
    a = baseline.copy() if isinstance(baseline, Side) else _side(baseline, Interner(), options)
    return diff_of(a, _side(current, a.interner, options), options=options)


def _side(source: SpanTable | Mapping[str, Any], interner: Interner, options: DiffOptions) -> Side:
    if isinstance(source, SpanTable):
        return from_table(source, interner, own_spans=options.own_spans)
    return from_canonical(source, interner)


@without_collector()
def diff_of(a: Side, b: Side, *, options: DiffOptions, pairing: Pairing | None = None) -> Diff:
    """The diff of two sides of one interner; with a given `pairing`, its script (the benchmark's truth)."""
    script = _script(a, b, pairing)
    pairing = script.pairing
    quieting = Quieting(options, a, b, pairing.forth)
    drafts = [*script.drafts, *extras(a, b, pairing.forth, options, quieting)]
    if drafts:
        Alternatives((a, b), script.trees or _trees(a, b), pairing, Contents(a.interner)).tell(drafts)
    quieting.apply(drafts)
    edits = identify(drafts, a, b)
    certify(a, b, edits)
    edits_shown, causes = group(edits, b, a)
    ignored = dict(sorted((a.ignored + b.ignored).items()))
    baseline_digest = a.digest
    return Diff(
        baseline_digest=baseline_digest,
        trace_digest=baseline_digest if a.full == b.full else b.digest,
        certified=True,
        edits=edits_shown,
        causes=causes,
        spans=merge(a, b, pairing.forth, pairing.back, edits_shown),
        ignored=ignored,
        matched=dict(sorted(quieting.matched.items())),
        notes=(
            *(f"baseline: {note}" for note in a.notes),
            *(f"current: {note}" for note in b.notes),
            *scope_notes(a, b),
            *concurrency_notes(a, b, pairing.forth),
        ),
    )


def differences(a: Side, b: Side, *, repaired: bool = True) -> tuple[Pairing, list[Draft]]:
    """Who is who, and the edits that follow, before anybody says which of them count, or why.

    Without `repaired` the script is a right one, and not always the shortest.
    """
    script = _script(a, b, repaired=repaired)
    return script.pairing, script.drafts


class _Script(NamedTuple):
    """Who is who, and the edits that follow; read in which trees, where that was needed."""

    pairing: Pairing
    drafts: list[Draft]
    trees: tuple[Tree, Tree] | None = None


def _trees(a: Side, b: Side) -> tuple[Tree, Tree]:
    numbers = Numbers()
    return grow(a, numbers, None), grow(b, numbers, None)


def _script(a: Side, b: Side, pairing: Pairing | None = None, *, repaired: bool = True) -> _Script:
    if pairing is None and a.full[: a.n] == b.full[: b.n]:
        order = range(a.n + 1)
        return _Script(Pairing(order, order, {}), [])
    # The order of the sides is their content's, so that the inverse diff comes from the same matching.
    flipped = (a.n, a.digest) > (b.n, b.digest)
    contents = Contents(a.interner)
    first, second = (b, a) if flipped else (a, b)
    aliases = find_aliases(first, second, contents)
    numbers = Numbers()
    is_given = pairing is not None
    tree_1 = grow(first, numbers, aliases or None)
    tree_2 = grow(second, numbers, aliases or None)
    if pairing is None:
        prices = Prices((tree_1, tree_2), (first, second), contents)
        matching = match(tree_1, tree_2, prices, repaired=repaired)
        pairing = Pairing(matching.forth, matching.back, matching.rule, matching.proved)
        if flipped:
            pairing = pairing.inverse
    if flipped:
        aliases = _inverse(aliases)

    trees = (tree_2, tree_1) if flipped else (tree_1, tree_2)

    def drafts_of(pairing: Pairing) -> list[Draft]:
        mates = (pairing.back, pairing.forth) if flipped else (pairing.forth, pairing.back)
        read = structure_of(*mates, tree_1, tree_2)
        structure = read.inverse if flipped else read
        return derive(a, b, pairing, trees, structure=structure, aliases=aliases)

    drafts = drafts_of(pairing)
    if not is_given and sum(draft.cost for draft in drafts) > _cost_of_all(a) + _cost_of_all(b):
        # Estimates leave out what whole traces share; nothing may cost more than starting anew.
        pairing = Pairing([-1] * a.n + [b.n], [-1] * b.n + [a.n], {})
        drafts = drafts_of(pairing)
    return _Script(pairing, drafts, trees)


def _cost_of_all(side: Side) -> int:
    return sum(subtree_cost(side.size[root]) for root in side.children[side.n])


def _inverse(aliases: Aliases) -> Aliases:
    return replace(aliases, keys={old: new for new, old in aliases.keys.items()})


def given(forth: list[int], back: list[int]) -> Pairing:
    """A pairing somebody else found; the tops are added."""
    return Pairing(
        [*forth, len(back)],
        [*back, len(forth)],
        {number: "given" for number, mate in enumerate(forth) if mate >= 0},
    )

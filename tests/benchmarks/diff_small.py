"""Pairs of at most twelve spans with few labels, so that much is alike: what the oracle is asked (`diff.md` 9).

python tests/benchmarks/diff_small.py SEED     # one pair, the product's script against the least one
"""

from __future__ import annotations

import random
import sys
from dataclasses import dataclass

from diff_edits import EDITS, apply_edits
from diff_families import Spans, span
from diff_noise import noisy, to_table
from diff_oracle import Pricing, Search, tree_of

from clnrm_nb.diff.compare import compare, diff_of, given
from clnrm_nb.diff.interner import Interner
from clnrm_nb.diff.model import Diff
from clnrm_nb.diff.options import DiffOptions
from clnrm_nb.diff.reading import from_table
from clnrm_nb.spans.canonical import canonical
from clnrm_nb.spans.model import Event, Resource
from clnrm_nb.spans.table import SpanTable

MAX_SPANS = 12
FEW_SPANS = 7
NAMES = ("a", "b", "c")
NO_LINKS = [name for name in EDITS if name != "link"]


def small_tree(rng: random.Random, size: int) -> Spans:
    """Few names, few values, any form of tree; now and then several roots."""
    resources = [Resource({"service.name": name}) for name in rng.choice([("s",), ("s",), ("s", "t")])]
    names = NAMES[: rng.randint(1, len(NAMES))]
    n_roots = rng.choice([1, 1, 1, 2])
    spread = rng.choice([1, 2, 4, size])
    found: Spans = {}
    for number in range(size):
        above = rng.choice(list(found)[-spread:]) if number >= n_roots else None
        one = span(
            number,
            rng.choice(names),
            above,
            kind=rng.choice(["internal", "internal", "client"]),
            resource=rng.choice(resources),
            attributes={"x": rng.randrange(3), "y": rng.choice("pq")} if rng.random() < 0.8 else {},
            status_code="error" if rng.random() < 0.1 else "unset",
            events=(Event("e", None, {"n": rng.randrange(2)}),) if rng.random() < 0.1 else (),
        )
        found[one.span_id] = one
    return found


def small_pair(seed: int) -> tuple[SpanTable, SpanTable]:
    """Two traces: one an edited copy of the other by up to five edits anywhere, or both drawn alone."""
    rng = random.Random(f"oracle {seed}")
    if rng.random() < 0.2:
        base, other = (small_tree(rng, rng.randint(1, FEW_SPANS)) for _ in range(2))
        return to_table(base), noisy(other, rng)[0]
    while True:
        base = small_tree(rng, rng.randint(2, MAX_SPANS))
        edited = apply_edits(rng.choices(NO_LINKS, k=rng.randint(1, 5)), base, rng, disjoint=False)
        if edited is not None and 1 <= len(edited.spans) <= MAX_SPANS:
            return to_table(base), noisy(edited.spans, rng)[0]


@dataclass(frozen=True)
class Verdict:
    """The product's cost and the least one, and what the search took."""

    seed: int
    cost: int
    least: int
    steps: int
    mapping: tuple[int, ...] | None
    derived: int | None
    """What the product's derive step makes of the oracle's mapping."""


def verdict(seed: int) -> Verdict:
    """One pair, asked both ways."""
    before, after = small_pair(seed)
    cost = compare(before, after).cost
    search = Search(tree_of(canonical(before)), tree_of(canonical(after)), cost)
    least = search.run()
    derived = None if search.mapping is None else script_of(before, after, search.mapping).cost
    return Verdict(seed, cost, least, search.steps, search.mapping, derived)


def script_of(before: SpanTable, after: SpanTable, forth: tuple[int, ...]) -> Diff:
    """The product's script of somebody else's mapping."""
    interner = Interner()
    a, b = from_table(before, interner), from_table(after, interner)
    back = [-1] * b.n
    for i, j in enumerate(forth):
        if j >= 0:
            back[j] = i
    return diff_of(a, b, options=DiffOptions(), pairing=given(list(forth), back))


def prices(seed: int) -> tuple[int, int]:
    """What the oracle's pricing and the product's derive step make of one arbitrary mapping."""
    before, after = small_pair(seed)
    a, b = tree_of(canonical(before)), tree_of(canonical(after))
    rng = random.Random(f"mapping {seed}")
    free = list(range(b.n))
    rng.shuffle(free)
    # Mostly by equal content, so that the mapping makes some sense.
    forth = []
    for i in range(a.n):
        alike = [j for j in free if b.content[j] == a.content[i]] or (free if rng.random() < 0.3 else [])
        forth.append(alike[0] if alike and rng.random() < 0.9 else -1)
        if forth[-1] >= 0:
            free.remove(forth[-1])
    return Pricing(a, b).of(forth), script_of(before, after, tuple(forth)).cost


def told(seed: int) -> str:
    """A pair and both answers, for people."""
    before, after = small_pair(seed)
    found = verdict(seed)
    lines = [f"seed {seed}: cost {found.cost}, least {found.least} (derive prices it {found.derived})"]
    for word, table in (("baseline", before), ("current", after)):
        lines.append(f" {word}:")
        interner = Interner()
        side = from_table(table, interner)
        for number in range(side.n):
            depth, above = 0, side.parent[number]
            while above != side.n:
                depth, above = depth + 1, side.parent[above]
            parts = side.parts(number)
            said = f"{parts.name} {parts.kind} {parts.attributes} {parts.events} {parts.status}"
            lines.append(f"  {number:2} {'  ' * depth}{side.service(number)} {said}")
    scripts = [("found", compare(before, after))]
    if found.mapping is not None:
        lines.append(f" mapping of the least: {list(found.mapping)}")
        scripts.append(("least", script_of(before, after, found.mapping)))
    for word, diff in scripts:
        lines.append(f" {word}:")
        lines.extend(
            f"  {e.op} {e.cost} {e.key or ''} {e.baseline_spans} {e.current_spans} {e.baseline!r} → {e.current!r}"
            for e in diff.counted
        )
    return "\n".join(lines)


if __name__ == "__main__":
    print(told(int(sys.argv[1])))

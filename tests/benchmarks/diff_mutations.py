"""The mutation benchmark's cases (`diff.md` 9), and a command line that shows one of them.

A case is a base trace, a copy with edits at some sites, and noise over the copy. Every span keeps its origin
through all of it; the truth is derived from the origins by the product's own derive step, so that only the
matching is judged. ::

    python tests/benchmarks/diff_mutations.py FAMILY SIZE SEED "attr changed,wrapped" [disjoint|unrestricted]
"""

from __future__ import annotations

import argparse
import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from diff_edits import EDITS, Edited, apply_edits
from diff_families import ALIKE, FAMILIES, Spans
from diff_noise import noisy, to_table
from diff_truth import Outcome, Truth, judged, truth_of

from clnrm_nb.diff.compare import compare
from clnrm_nb.spans.table import SpanTable

__all__ = [
    "EDITS",
    "FAMILIES",
    "Case",
    "Outcome",
    "case",
    "compare",
    "judge",
    "make_case",
    "noisy",
    "to_table",
]

SITES = ("disjoint", "unrestricted")


@dataclass(frozen=True)
class Case:
    """A pair of traces to compare, with where it came from.

    Parameters
    ----------
    edits : tuple of str
    family, size, seed, sites
        What :func:`make_case` was given; they make the same case in every process.
    base : dict
    edited : Edited
    baseline, current : SpanTable
    origins : list of str
        Of the rows of `current`.
    """

    edits: tuple[str, ...]
    family: str
    size: int
    seed: int
    sites: str
    base: Spans
    edited: Edited
    baseline: SpanTable
    current: SpanTable
    origins: list[str]

    @property
    def command(self) -> str:
        """The words of the command line that shows it."""
        return f'{self.family} {self.size} {self.seed} "{",".join(self.edits)}" {self.sites}'

    def truth(self) -> Truth:
        """What the origins say."""
        return truth_of(self.baseline, self.current, self.origins)

    def outcome(self) -> Outcome:
        """Compare, and judge."""
        return judged(compare(self.baseline, self.current), self.truth())


def make_case(
    edits: Iterable[str], family: str, size: int, seed: int, sites: str = "unrestricted"
) -> Case | None:
    """The case of these words; ``None`` if an edit finds no site."""
    edits = tuple(edits)
    rng = random.Random(f"{family} {size} {seed} {','.join(edits)} {sites}")
    base = (FAMILIES | ALIKE)[family](rng, size)
    edited = apply_edits(edits, base, rng, disjoint=sites == "disjoint")
    if edited is None:
        return None
    current, origins = noisy(edited.spans, rng)
    return Case(edits, family, size, seed, sites, base, edited, to_table(base), current, origins)


def case(
    edits: Iterable[str], family: str, size: int, seed: int, sites: str = "unrestricted"
) -> Outcome | None:
    """The outcome of one case; ``None``: no such site."""
    made = make_case(edits, family, size, seed, sites)
    return None if made is None else made.outcome()


def judge(base: Spans, edited: Spans, rng: random.Random) -> Outcome:
    """Compare the product's answer with the truth for spans somebody else edited."""
    baseline = to_table(base)
    current, origins = noisy(edited, rng)
    return judged(compare(baseline, current), truth_of(baseline, current, origins))


def told(made: Case, outcome: Outcome) -> str:
    """A case and its outcome, for people."""
    costs = f"cost {outcome.found.cost} found, {outcome.truth.cost} true"
    said, true = outcome.said.total(), outcome.true.total()
    items = f"items {said} found, {true} true, {(outcome.said & outcome.true).total()} the same"
    lines = [made.command, f"  {outcome.kind}: {costs}; {items}"]
    lines.extend(f"  edit {name} at {site} `{_at(made, site)}`" for name, site in made.edited.sites)
    for word, only, diff in (
        ("found", outcome.said - outcome.true, outcome.found),
        ("true", outcome.true - outcome.said, outcome.truth),
    ):
        lines.extend(f"  only {word}: {_short(text)}" for text in sorted(only.elements()))
        if only:
            lines.append(f"  costs of {word}: {' '.join(f'{e.op}={e.cost}' for e in diff.counted)}")
    return "\n".join(lines)


def _short(text: str) -> str:
    """A descriptor with the long runs of equal names of a deep chain counted."""
    return re.sub(
        r"(?<![^/\"])([^/\"]+)((?:/\1){3,})(?![^/\"])",
        lambda found: f"{found[1]}×{found[0].count('/') + 1}",
        text,
    )


def _at(made: Case, site: str) -> str:
    one = made.base.get(site) or made.edited.spans.get(site)
    return "made by an earlier edit" if one is None else one.name


def main(arguments: Sequence[str] | None = None) -> None:
    """Show one case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("family", choices=FAMILIES | ALIKE)
    parser.add_argument("size", type=int)
    parser.add_argument("seed", type=int)
    parser.add_argument("edits", help="names of edits, separated by commas")
    parser.add_argument("sites", choices=SITES, nargs="?", default="unrestricted")
    given = parser.parse_args(arguments)
    made = make_case(given.edits.split(","), given.family, given.size, given.seed, given.sites)
    print("an edit finds no site" if made is None else told(made, made.outcome()))


if __name__ == "__main__":
    main()

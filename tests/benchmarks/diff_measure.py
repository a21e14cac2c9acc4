"""Many cases measured on all cores, and the figures of `diff.md` 9 over them.

Cases are made from words (family, size, seed, edits, sites), so only words and small records cross between
processes. Nothing is dropped: cases that found no site are counted as well. From a shell ::

    python tests/benchmarks/diff_measure.py K N disjoint|unrestricted    # figures by family, then what is not exact
"""

from __future__ import annotations

import math
import os
import random
import statistics
import sys
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

from diff_mutations import EDITS, FAMILIES, make_case, told
from diff_truth import judged

from clnrm_nb.diff import apply, compare
from clnrm_nb.spans.canonical import canonical

SIZES = (12, 25, 40, 90)
MIXED_SIZES = {2: (25, 40, 90), 3: (25, 40, 90), 5: (40, 90, 150), 10: (90, 150, 300)}
"""More edits need more room."""

ONE_IN = 25
"""Memory is traced in one case of so many: tracing makes a case some four times slower."""


class Words(NamedTuple):
    """What makes a case."""

    edits: tuple[str, ...]
    family: str
    size: int
    seed: int
    sites: str


@dataclass(frozen=True)
class Record:
    """What is kept of a case.

    Parameters
    ----------
    kind : str
        Outcome; ``no site`` where an edit found none.
    n_common, n_found, n_true : int
        Edits both tell, reported, and true.
    cost, true_cost : int
    mapped : tuple of (int, int, int)
        Pairs of spans modulo automorphism: common, reported, true.
    ms : float
        Time of ``compare`` on one core, both tables read.
    peak_mib : float
        Of what Python allocated; 0 where it was not traced.
    is_on_top : bool
        Whether a true edit is in the first cause.
    is_proved : bool
        Whether the edits, applied to the baseline's canonical form by themselves, give the run's.
    is_explained : bool
        Whether every edit says by which rule and why.
    text : str
        The case told, unless it is exact.
    """

    words: Words
    kind: str
    n_common: int = 0
    n_found: int = 0
    n_true: int = 0
    cost: int = 0
    true_cost: int = 0
    mapped: tuple[int, int, int] = (0, 0, 0)
    ms: float = 0.0
    peak_mib: float = 0.0
    is_on_top: bool = True
    is_proved: bool = True
    is_explained: bool = True
    text: str = ""


def record(words: Words) -> Record:
    """One case, run, judged and proved."""
    made = make_case(*words)
    if made is None:
        return Record(words, "no site")
    traced = words.seed % ONE_IN == 0
    if traced:
        tracemalloc.start()
    started = time.process_time()
    found = compare(made.baseline, made.current)
    ms = (time.process_time() - started) * 1_000
    peak = 0.0
    if traced:
        peak = tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.stop()
    outcome = judged(found, made.truth())
    said, true = outcome.said, outcome.true
    pairs, true_pairs = outcome.mapped, outcome.truly_mapped
    applied = apply(found.edits, canonical(made.baseline))
    return Record(
        words=words,
        kind=outcome.kind,
        n_common=(said & true).total(),
        n_found=said.total(),
        n_true=true.total(),
        cost=found.cost,
        true_cost=outcome.truth.cost,
        mapped=((pairs & true_pairs).total(), pairs.total(), true_pairs.total()),
        ms=0.0 if traced else ms,
        peak_mib=peak,
        is_on_top=outcome.is_on_top,
        is_proved=found.certified and applied == canonical(made.current),
        is_explained=all(edit.rule and edit.reason for edit in found.edits),
        text="" if outcome.kind == "exact" else told(made, outcome),
    )


def on_all_cores(function: Callable, things: Sequence, chunk: int = 20) -> list:
    """`function` of each thing, in order, shared by as many processes as there are cores."""
    workers = os.cpu_count() or 1
    if workers == 1 or len(things) <= chunk:
        return list(map(function, things))
    with ProcessPoolExecutor(workers) as pool:
        return list(pool.map(function, things, chunksize=chunk))


def singles(name: str, n: int) -> list[Words]:
    """`n` cases of one edit, over all families and sizes in turn."""
    return [Words((name,), *place, number, "disjoint") for number, place in enumerate(_places(n, SIZES))]


def mixes(k: int, n: int, sites: str) -> list[Words]:
    """`n` cases of `k` edits drawn from all classes, over all families and sizes in turn."""
    rng = random.Random(f"mixes {k} {sites}")
    return [
        Words(tuple(rng.choices(list(EDITS), k=k)), *place, number, sites)
        for number, place in enumerate(_places(n, MIXED_SIZES[k]))
    ]


def _places(n: int, sizes: Sequence[int]) -> list[tuple[str, int]]:
    families = list(FAMILIES)
    return [
        (families[number % len(families)], sizes[number // len(families) % len(sizes)]) for number in range(n)
    ]


def wilson(hits: int, n: int) -> str:
    """A rate with its 95 % interval."""
    if not n:
        return "none of 0"
    low, high = interval(hits, n)
    return f"{hits / n:.4f} [{low:.4f}, {high:.4f}] of {n:,}"


def interval(hits: int, n: int) -> tuple[float, float]:
    """The 95 % Wilson interval of a rate."""
    z, share = 1.959964, hits / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(middle - half, 0.0), min(middle + half, 1.0)


class Figures:
    """Rates over some records; those of ``cheaper`` cases are in none but their own share."""

    def __init__(self, records: Iterable[Record]) -> None:
        every = list(records)
        self.kinds = Counter(one.kind for one in every)
        self.cases = [one for one in every if one.kind != "no site"]
        self.judged = [one for one in self.cases if one.kind != "cheaper"]
        self.precision = _ratio(self.judged, "n_common", "n_found")
        self.recall = _ratio(self.judged, "n_common", "n_true")
        self.exact = self.kinds["exact"] / max(len(self.judged), 1)
        self.worse = self.kinds["worse"] / max(len(self.cases), 1)
        self.cheaper = self.kinds["cheaper"] / max(len(self.cases), 1)
        self.cost_ratios = sorted(one.cost / one.true_cost for one in self.cases if one.true_cost)
        self.items_shown = _ratio(self.judged, "n_found", "n_true")
        self.unproved = [one for one in self.cases if not one.is_proved]
        self.unexplained = [one for one in self.cases if not one.is_explained]
        self.on_top = sum(one.is_on_top for one in self.judged)

    @property
    def f1(self) -> float:
        """Of the edits."""
        return 2 * self.precision * self.recall / max(self.precision + self.recall, 1e-9)

    @property
    def mapping_f1(self) -> float:
        """Of the pairs of spans, modulo automorphism."""
        common, found, true = (sum(one.mapped[place] for one in self.judged) for place in range(3))
        return 2 * common / (found + true) if found + true else 1.0

    @property
    def line(self) -> str:
        """The rates that decide, in a line."""
        return (
            f"exact {wilson(self.kinds['exact'], len(self.judged))}, P {self.precision:.4f}, "
            f"R {self.recall:.4f}, worse {self.worse:.4f}, cheaper {self.cheaper:.4f}, {dict(self.kinds)}"
        )

    @property
    def rest(self) -> str:
        """The other metrics."""
        ratios, times = self.cost_ratios or [1.0], [one.ms for one in self.cases if one.ms] or [0.0]
        return (
            f"F1 {self.f1:.4f}, cost ratio p50 {quantile(ratios, 0.5):.2f} p95 {quantile(ratios, 0.95):.2f} "
            f"max {ratios[-1]:.2f}, items shown / true {self.items_shown:.3f}, mapping F1 "
            f"{self.mapping_f1:.4f}, certificate {wilson(len(self.cases) - len(self.unproved), len(self.cases))}, "
            f"true edit in the first cause {wilson(self.on_top, len(self.judged))}, time p50 "
            f"{quantile(times, 0.5):.1f} p95 {quantile(times, 0.95):.1f} ms, peak "
            f"{max((one.peak_mib for one in self.cases), default=0):.1f} MiB"
        )


def _ratio(records: Sequence[Record], part: str, whole: str) -> float:
    total = sum(getattr(one, whole) for one in records)
    return sum(getattr(one, part) for one in records) / total if total else 1.0


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that so large a share does not exceed."""
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]


def spread(times: Sequence[float]) -> str:
    """Median and 95th percentile of milliseconds."""
    return f"p50 {statistics.median(times):.1f}, p95 {quantile(times, 0.95):.1f} ms"


def main(arguments: Sequence[str]) -> None:
    """Print the figures by family (and class), and every case that is not exact."""
    k, n, sites = int(arguments[0]), int(arguments[1]), arguments[2]
    words = [one for name in EDITS for one in singles(name, n)] if k == 1 else mixes(k, n, sites)
    records = on_all_cores(record, words)
    print(f"k={k} {sites}: {Figures(records).line}\n  {Figures(records).rest}")
    for family in FAMILIES:
        print(f"  {family}: {Figures(one for one in records if one.words.family == family).line}")
    for name in EDITS if k == 1 else ():
        print(f"  {name}: {Figures(one for one in records if one.words.edits == (name,)).line}")
    for one in sorted(records, key=lambda one: one.kind, reverse=True):
        if one.text:
            print(one.text)


if __name__ == "__main__":
    main(sys.argv[1:])

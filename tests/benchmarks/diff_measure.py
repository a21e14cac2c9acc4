"""Many cases measured on all cores, and the figures of `diff.md` 9 over them.

Cases are made from words (family, size, seed, edits, sites), so only words and small records cross between
processes. Nothing is dropped: cases without a site are counted as well.
"""

from __future__ import annotations

import math
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

from diff_mutations import EDITS, FAMILIES, make_case, told

SIZES = (12, 25, 40, 90)


class Words(NamedTuple):
    """What makes a case."""

    edits: tuple[str, ...]
    family: str
    size: int
    seed: int
    sites: str


@dataclass(frozen=True)
class Record:
    """What is kept of a case; ``kind`` is ``no site`` where there was none."""

    words: Words
    kind: str
    n_common: int = 0
    n_found: int = 0
    n_true: int = 0
    cost: int = 0
    true_cost: int = 0
    ms: float = 0.0
    n_mapped: int = 0
    n_mapped_common: int = 0
    n_mapped_true: int = 0
    is_top: bool = True
    certified: bool = True
    text: str = ""


def record(words: Words) -> Record:
    """One case, run and judged."""
    made = make_case(*words)
    if made is None:
        return Record(words, "no site")
    started = time.process_time()
    outcome = made.outcome()
    return Record(
        words,
        outcome.kind,
        outcome.n_common,
        outcome.n_found,
        outcome.n_true,
        outcome.found.cost,
        outcome.truth.cost,
        (time.process_time() - started) * 1_000,
        text="" if outcome.kind == "exact" else told(made, outcome),
    )


def on_all_cores(function: Callable, things: Sequence, chunk: int = 20) -> list:
    """`function` of each thing, in order, shared by as many processes as there are cores."""
    workers = os.cpu_count() or 1
    if workers == 1 or len(things) <= chunk:
        return list(map(function, things))
    with ProcessPoolExecutor(workers) as pool:
        return list(pool.map(function, things, chunksize=chunk))


def mixes(k: int, n: int, sites: str, seed: str = "mixes", sizes: Sequence[int] = SIZES) -> list[Words]:
    """`n` cases of `k` edits drawn from all classes, over all families and sizes in turn."""
    rng = random.Random(f"{seed} {k} {sites}")
    families = list(FAMILIES)
    found = []
    for number in range(n):
        edits = tuple(rng.choice(list(EDITS)) for _ in range(k))
        size = sizes[number // len(families) % len(sizes)]
        found.append(Words(edits, families[number % len(families)], size, number, sites))
    return found


def singles(name: str, n: int) -> list[Words]:
    """`n` cases of one edit."""
    families = list(FAMILIES)
    return [
        Words((name,), families[k % len(families)], SIZES[k // len(families) % len(SIZES)], k, "disjoint")
        for k in range(n)
    ]


def wilson(hits: int, n: int) -> str:
    """A share with its 95 % interval."""
    if not n:
        return "none of 0"
    low, high = interval(hits, n)
    return f"{hits / n:.4f} [{low:.4f}, {high:.4f}] of {n}"


def interval(hits: int, n: int) -> tuple[float, float]:
    """The 95 % Wilson interval of a rate."""
    z, share = 1.959964, hits / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(middle - half, 0.0), min(middle + half, 1.0)


@dataclass(frozen=True)
class Figures:
    """Rates over some records; those of ``cheaper`` cases are in none but their own share."""

    kinds: Counter[str]
    precision: float
    recall: float
    judged: int

    @property
    def exact(self) -> float:
        """Share of exact scripts."""
        return self.kinds["exact"] / self.judged if self.judged else 1.0

    @property
    def line(self) -> str:
        """All of it in a line."""
        cases = sum(self.kinds.values()) - self.kinds["no site"]
        return (
            f"exact {wilson(self.kinds['exact'], self.judged)}, P {self.precision:.4f}, R {self.recall:.4f}, "
            f"cheaper {self.kinds['cheaper'] / max(cases, 1):.4f}, {dict(self.kinds)}"
        )


def figures(records: Iterable[Record]) -> Figures:
    """Sum up."""
    records = list(records)
    kinds = Counter(one.kind for one in records)
    counted = [one for one in records if one.kind in {"exact", "tied", "worse"}]
    common = sum(one.n_common for one in counted)
    found, true = sum(one.n_found for one in counted), sum(one.n_true for one in counted)
    return Figures(kinds, common / found if found else 1.0, common / true if true else 1.0, len(counted))


def main(arguments: Sequence[str]) -> None:
    """``diff_measure.py K N SITES``: print the figures by family, and every case that is not exact."""
    k, n, sites = int(arguments[0]), int(arguments[1]), arguments[2]
    words = [one for name in EDITS for one in singles(name, n)] if k == 1 else mixes(k, n, sites)
    records = on_all_cores(record, words)
    print(f"k={k} {sites}: {figures(records).line}")
    for family in FAMILIES:
        print(f"  {family}: {figures(one for one in records if one.words.family == family).line}")
    if k == 1:
        for name in EDITS:
            print(f"  {name}: {figures(one for one in records if one.words.edits == (name,)).line}")
    for one in records:
        if one.text:
            print(one.text)


if __name__ == "__main__":
    main(sys.argv[1:])

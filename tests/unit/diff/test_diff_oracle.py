"""The oracle of the diff's benchmark: it is exhaustive, and prices scripts as the product does or lower."""

from __future__ import annotations

import random
from collections.abc import Iterator

import diff_small
import pytest
from diff_noise import to_table
from diff_oracle import Pricing, Search, Tree, tree_of

from clnrm_nb.spans.canonical import canonical

PLENTY = 10**6


def mappings(n: int, m: int) -> Iterator[list[int]]:
    """Every way to pair some of `n` spans with some of `m`."""
    if not n:
        yield []
        return
    for rest in mappings(n - 1, m):
        yield [*rest, -1]
        yield from ([*rest, j] for j in range(m) if j not in rest)


def small(seed: int) -> tuple[Tree, Tree]:
    rng = random.Random(f"exhaustive {seed}")
    tables = [to_table(diff_small.small_tree(rng, rng.randint(1, 4))) for _ in range(2)]
    a, b = (tree_of(canonical(table)) for table in tables)
    return a, b


@pytest.mark.parametrize("seed", range(60))
def test_the_search_finds_the_least_price_of_all_mappings(seed):
    a, b = small(seed)
    pricing = Pricing(a, b)

    found = Search(a, b, PLENTY).run()

    assert found == min(pricing.of(mapping) for mapping in mappings(a.n, b.n))


def test_no_mapping_is_priced_higher_than_the_product_derives_it():
    for seed in range(200):
        price, derived = diff_small.prices(seed)
        assert price <= derived, seed


def test_a_mapping_of_little_conflict_is_priced_as_the_product_derives_it():
    prices = [diff_small.prices(seed) for seed in range(200)]
    assert sum(price == derived for price, derived in prices) > 0.85 * len(prices)

from __future__ import annotations

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from clnrm_nb.diff.assign import assign

matrices = st.integers(1, 5).flatmap(
    lambda columns: st.lists(
        st.lists(st.integers(-20, 20), min_size=columns, max_size=columns), min_size=1, max_size=5
    )
)


@given(matrices)
def test_an_assignment_costs_what_the_best_of_all_permutations_costs(costs):
    n_rows, n_columns = len(costs), len(costs[0])

    pairs = assign(costs)

    if n_rows <= n_columns:
        best = min(
            sum(costs[row][column] for row, column in enumerate(chosen))
            for chosen in permutations(range(n_columns), n_rows)
        )
    else:
        best = min(
            sum(costs[row][column] for column, row in enumerate(chosen))
            for chosen in permutations(range(n_rows), n_columns)
        )
    assert sum(costs[row][column] for row, column in pairs) == best
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == min(n_rows, n_columns)


def test_nothing_is_assigned_to_nobody():
    assert assign([]) == []
    assert assign([[], []]) == []

"""The cheapest one-to-one assignment (Jonker and Volgenant's shortest augmenting paths), in integers.

For groups of up to 32 × 32 spans; ties go to the lower column, so the answer depends on the order of rows and
columns alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MAX_GROUP", "assign", "prices_of"]

MAX_GROUP: Final = 32

_FAR: Final = 1 << 90


def assign(costs: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """Pairs of (row, column) of least total cost, as many as the shorter side has.

    Parameters
    ----------
    costs : sequence of rows
        All of one length.
    """
    if not costs or not costs[0]:
        return []
    if len(costs) > len(costs[0]):
        turned = [[row[column] for row in costs] for column in range(len(costs[0]))]
        return sorted((row, column) for column, row in assign_rows(turned))
    return assign_rows(costs)


def assign_rows(costs: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """As :func:`assign`, for no more rows than columns."""
    taken_by, _, _ = _solved(costs)
    return sorted((row - 1, column - 1) for column, row in enumerate(taken_by) if column and row)


def prices_of(costs: Sequence[Sequence[int]]) -> tuple[list[int], list[int]]:
    """Prices of rows and columns (the dual solution): no row and column together have more than their cost.

    Parameters
    ----------
    costs : sequence of rows
        No fewer columns than rows. The prices add up to the total cost of the cheapest assignment; those of
        columns are not above 0, and 0 where nobody is assigned.
    """
    _, row_price, price = _solved(costs)
    return row_price[1:], price[1:]


def _solved(costs: Sequence[Sequence[int]]) -> tuple[list[int], list[int], list[int]]:
    n_columns = len(costs[0])
    row_price = [0] * (len(costs) + 1)
    price = [0] * (n_columns + 1)
    taken_by = [0] * (n_columns + 1)  # 1-based row of each column, 0: free
    for row in range(1, len(costs) + 1):
        _augment(costs, row, row_price, price, taken_by)
    return taken_by, row_price, price


def _augment(
    costs: Sequence[Sequence[int]],
    row: int,
    row_price: list[int],
    price: list[int],
    taken_by: list[int],
) -> None:
    n_columns = len(price) - 1
    taken_by[0] = row
    least = [_FAR] * (n_columns + 1)
    came_from = [0] * (n_columns + 1)
    used = [False] * (n_columns + 1)
    column = 0
    while True:
        used[column] = True
        line, line_price = costs[taken_by[column] - 1], row_price[taken_by[column]]
        step, nearest = _FAR, 0
        for other in range(1, n_columns + 1):
            if not used[other]:
                reduced = line[other - 1] - line_price - price[other]
                if reduced < least[other]:
                    least[other], came_from[other] = reduced, column
                if least[other] < step:
                    step, nearest = least[other], other
        for other in range(n_columns + 1):
            if used[other]:
                row_price[taken_by[other]] += step
                price[other] -= step
            else:
                least[other] -= step
        column = nearest
        if not taken_by[column]:
            break
    while column:
        taken_by[column] = taken_by[came_from[column]]
        column = came_from[column]

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clnrm_nb.config.duration import parse_duration


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("1m30s", 90.0),
        ("500ms", 0.5),
        ("2 min", 120.0),
        (" 1 hour 5 minutes ", 3_900.0),
        ("1.5h", 5_400.0),
        ("2d", 172_800.0),
        ("3 secs", 3.0),
        (0, 0.0),
        (2.5, 2.5),
    ],
)
def test_a_duration_is_read_in_every_spelling(written: str | float, seconds: float) -> None:
    assert parse_duration(written) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "written",
    ["", " ", "5", "s", "5 parsecs", "1m 30", "-5s", "1,5s", -1, math.nan, math.inf, True, None, []],
)
def test_what_is_no_duration_is_refused_with_an_example_of_one(written: object) -> None:
    with pytest.raises(ValueError, match="is not a duration; write seconds as a number"):
        parse_duration(written)  # type: ignore[arg-type]


@given(st.lists(st.tuples(st.integers(0, 10_000), st.sampled_from(["ms", "s", "min", "h", "d"])), min_size=1))
def test_the_parts_of_a_duration_add_up(parts: list[tuple[int, str]]) -> None:
    together = parse_duration("".join(f"{number}{unit}" for number, unit in parts))

    assert together == pytest.approx(sum(parse_duration(f"{number}{unit}") for number, unit in parts))

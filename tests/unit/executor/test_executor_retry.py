from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from clnrm_nb.executor.retry import pause_s
from clnrm_nb.executor.slow import period_s

names = st.text(max_size=20)


@given(names, names, st.integers(1, 2000))
def test_a_pause_doubles_up_to_half_a_minute_and_is_drawn_from_its_upper_half(run, test, attempt):
    whole_s = min(0.2 * 2 ** min(attempt - 1, 60), 30.0)

    assert whole_s / 2 <= pause_s(run, test, attempt) <= whole_s
    assert pause_s(run, test, attempt) == pause_s(run, test, attempt)


def test_tests_that_failed_together_do_not_come_back_together():
    pauses = {pause_s("01J", f"t{number}.clnrm.toml", 5) for number in range(100)}

    assert len(pauses) == 100
    assert max(pauses) - min(pauses) > 1.2


def test_a_test_is_slow_after_a_minute_or_half_its_limit():
    assert (period_s(300), period_s(120), period_s(10)) == (60, 60, 5)

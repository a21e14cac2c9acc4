"""What benchmarks are held against: a program that got slower must still be found out."""

from __future__ import annotations

import itertools

import pytest
import yardstick


def clock(step_ms):
    """Each look at it is so much after the one before."""
    ticks = itertools.count()
    return lambda: next(ticks) * step_ms / 1e3


def test_a_machine_that_takes_twice_as_long_is_twice_as_slow():
    assert yardstick.slowness(clock(2 * yardstick.REFERENCE_MS)) == pytest.approx(2)


def test_no_goal_is_made_stricter_by_a_fast_machine():
    assert yardstick.slowness(clock(yardstick.REFERENCE_MS / 2)) == 1


def test_a_measurement_that_holds_is_not_repeated():
    found = iter([3, 1, 2])

    assert yardstick.undisturbed(lambda: next(found), lambda figure: figure <= 1) == 1


def test_a_regression_fails_each_time_and_is_told_by_its_last_figure():
    found = iter(range(10, 20))

    assert yardstick.undisturbed(lambda: next(found), lambda figure: figure <= 1) == 12

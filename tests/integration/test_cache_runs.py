"""Runs with a cache: what has changed is run, what has not is not, and what is told is what is true."""

import pytest

from tests.cache_changes import CHANGES, COSMETIC, Place

SPAN = '{"name": "work", "trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "b7ad6b7169203331", "start_time_unix_nano": 1, "end_time_unix_nano": 2}'


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def told(result):
    (test,) = result.raw["data"]["tests"]
    return test


def stored(place):
    """A test that has passed and is a hit."""
    assert place.run().ok
    assert told(place.run())["status"] == "cached"
    assert place.runs == 1


# ------------------------------------------------------------------------------------ what is an input


@pytest.mark.parametrize("kind", CHANGES)
def test_a_change_of_an_input_is_never_a_hit(place, kind):
    stored(place)

    CHANGES[kind](place, f"value-of-{len(kind)}")
    result = place.run()

    assert (told(result)["status"], place.runs) == ("passed", 2)


@pytest.mark.parametrize("kind", COSMETIC)
def test_an_edit_that_makes_no_difference_runs_nothing(place, kind):
    stored(place)

    COSMETIC[kind](place, "something else")
    result = place.run()

    assert (told(result)["status"], place.runs) == ("cached", 1)

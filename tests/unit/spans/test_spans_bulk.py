"""The collector waits while there is bulk work, and only then."""

from __future__ import annotations

import gc
import threading

import pytest

from clnrm_nb.spans.bulk import without_collector


@pytest.fixture(autouse=True)
def collector():
    was_on = gc.isenabled()
    gc.enable()
    yield
    (gc.enable if was_on else gc.disable)()


def test_the_collector_is_on_again_after_the_outermost_work():
    with without_collector():
        with without_collector():
            pass
        assert not gc.isenabled()

    assert gc.isenabled()


def test_work_that_fails_turns_the_collector_on_again():
    with pytest.raises(ZeroDivisionError), without_collector():
        _ = 1 / 0

    assert gc.isenabled()


def test_who_had_turned_the_collector_off_finds_it_off():
    gc.disable()

    with without_collector():
        pass

    assert not gc.isenabled()


def test_the_collector_waits_for_the_last_of_several_threads():
    inside, leave = threading.Event(), threading.Event()

    def work():
        with without_collector():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=work)
    thread.start()
    assert inside.wait(10)
    with without_collector():
        pass
    was_on_meanwhile = gc.isenabled()
    leave.set()
    thread.join(10)

    assert not was_on_meanwhile
    assert gc.isenabled()

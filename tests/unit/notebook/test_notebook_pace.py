"""The pace of live views: a promise about every second."""

from hypothesis import given
from hypothesis import strategies as st

from clnrm_nb.notebook.pace import Pace


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@given(
    asks=st.lists(st.tuples(st.floats(0, 2), st.integers(1, 5), st.floats(0, 0.3))),
    most=st.integers(1, 12),
)
def test_no_second_holds_more_messages_than_were_promised_however_long_sending_takes(asks, most):
    clock = Clock()
    pace = Pace(most, clock)
    sent = []

    for later_s, count, sending_s in asks:
        clock.now += later_s
        if pace.has_room(count):
            sent += [clock.now + sending_s * n / count for n in range(1, count + 1)]
            clock.now += sending_s
            pace.spend(count)

    # A hair below a second: times are added up in another order here.
    assert all(sum(at <= other < at + 1 - 1e-9 for other in sent) <= most for at in sent)


def test_there_is_room_again_a_second_later():
    clock = Clock()
    pace = Pace(1, clock)
    pace.spend()
    is_full = not pace.has_room()

    clock.now = 1.0

    assert is_full
    assert pace.has_room()

"""The two edges after a save, on a clock of the test's own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from clnrm_nb.watch import Change, Settle

MS = 1_000_000


def change(path="a", before="1", after="2", **more):
    return Change(path, before, after, **more)


def test_the_first_change_after_quiet_is_a_leading_edge_and_the_next_ones_are_not():
    settle = Settle(50, 300)

    edges = [settle.event([change()], time_ms * MS) for time_ms in (0, 10, 20)]

    assert [edge is not None for edge in edges] == [True, False, False]


def test_the_trailing_edge_comes_after_quiet_and_holds_every_file_once():
    settle = Settle(50, 300)
    settle.event([change("b"), change("a")], 0)
    settle.event([change("a", "2", "3")], 30 * MS)

    early, edge, late = settle.tick(79 * MS), settle.tick(80 * MS), settle.tick(500 * MS)

    assert early is None
    assert [(found.path, found.before, found.after) for found in edge.changes] == [
        ("a", "1", "3"),
        ("b", "1", "2"),
    ]
    assert late is None


def test_a_steady_stream_of_changes_waits_no_longer_than_debounce_ms():
    settle = Settle(50, 300)

    for time_ms in range(0, 301, 10):
        settle.event([change()], time_ms * MS)

    assert settle.due_ns == 300 * MS
    assert settle.tick(300 * MS) is not None


def test_debounce_shorter_than_settle_decides():
    settle = Settle(50, 20)
    settle.event([change()], 0)

    assert settle.due_ns == 20 * MS


def test_what_is_changed_back_in_time_is_no_change():
    settle = Settle(50, 300)
    settle.event([change("a", "1", "2")], 0)
    settle.event([change("a", "2", "1")], 10 * MS)

    assert settle.tick(60 * MS).changes == ()


def test_what_one_test_read_in_the_middle_of_a_save_stays_a_change_for_it():
    settle = Settle(50, 300)
    settle.event([change("a", "1", "2")], 0)
    settle.event([change("a", "2", "1"), change("a", "half", "1", readers=("t",))], 10 * MS)

    assert [found.readers for found in settle.tick(60 * MS).changes] == [("t",)]


def test_flush_gives_the_trailing_edge_at_once():
    settle = Settle(50, 300)
    settle.event([change()], 0)

    assert settle.flush() is not None
    assert settle.flush() is None
    assert settle.due_ns is None


def test_no_changes_are_no_edge():
    assert Settle().event([], 0) is None
    assert Settle().tick(10**12) is None


events = st.lists(st.tuples(st.integers(0, 200), st.sampled_from("abc"), st.sampled_from("xyz")), max_size=40)


@given(events, st.integers(0, 80), st.integers(0, 400))
def test_every_content_is_in_exactly_one_trailing_edge_and_none_waits_too_long(
    events, settle_ms, debounce_ms
):
    settle = Settle(settle_ms, debounce_ms)
    contents = dict.fromkeys("abc", "x")
    seen = dict(contents)
    now = 0
    first = None

    def run(edge, at):
        nonlocal first
        assert at - first <= debounce_ms * MS
        for found in edge.changes:
            assert seen[found.path] == found.before != found.after
            seen[found.path] = found.after
        first = None

    for pause_ms, path, content in [*events, (10_000, "a", contents["a"])]:
        then = now + pause_ms * MS
        while settle.due_ns is not None and settle.due_ns <= then:
            due = settle.due_ns
            run(settle.tick(due), due)
        now = then
        if contents[path] != content:
            found = Change(path, contents[path], content)
            contents[path] = content
            leading = settle.event([found], now)
            assert (leading is not None) == (first is None)
            first = now if first is None else first

    while settle.due_ns is not None:
        due = settle.due_ns
        run(settle.tick(due), due)
    assert seen == contents

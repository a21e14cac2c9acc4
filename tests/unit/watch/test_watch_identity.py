"""What is a change of a file, and what is not."""

from __future__ import annotations

import os
from pathlib import Path

from clnrm_nb.watch.changes import Reading
from clnrm_nb.watch.identity import Identity, Sight, look_at
from clnrm_nb.watch.sieve import HOLD_MS, Sieve

MS = 1_000_000


def watched(*paths):
    identity = Identity()
    identity.learn([str(path) for path in paths])
    return Sieve(identity, lambda _path: True)


def taken(sieve, *paths, at_ms=0):
    return [(change.kind, Path(change.path).name) for change in sieve.take(map(str, paths), at_ms * MS)]


def test_touching_rewriting_and_replacing_by_the_same_bytes_is_no_change(tmp_path):
    file = tmp_path / "a"
    file.write_text("same")
    sieve = watched(file)

    os.utime(file, ns=(1, 1))
    touched = taken(sieve, file)
    file.chmod(0o600)
    other_mode = taken(sieve, file)
    (tmp_path / "new").write_text("same")
    (tmp_path / "new").rename(file)

    assert touched == other_mode == taken(sieve, file) == []


def test_another_content_of_the_same_size_and_time_is_a_change_and_told_once(tmp_path):
    file = tmp_path / "a"
    file.write_text("one")
    os.utime(file, ns=(5, 5))
    sieve = watched(file)

    file.write_text("two")
    os.utime(file, ns=(5, 5))

    assert taken(sieve, file) == [("changed", "a")]
    assert taken(sieve, file) == []


def test_a_file_that_is_empty_or_gone_is_believed_only_after_a_while(tmp_path):
    emptied, deleted = tmp_path / "emptied", tmp_path / "deleted"
    for file in (emptied, deleted):
        file.write_text("x")
    sieve = watched(emptied, deleted)
    emptied.write_text("")
    deleted.unlink()

    at_once = taken(sieve, emptied, deleted)
    again_ns = sieve.again_ns
    believed = taken(sieve, at_ms=HOLD_MS)

    assert at_once == []
    assert again_ns is not None
    assert believed == [("deleted", "deleted"), ("changed", "emptied")]
    assert sieve.again_ns is None


def test_deleted_and_created_again_with_the_same_bytes_is_no_change(tmp_path):
    file = tmp_path / "a"
    file.write_text("x")
    sieve = watched(file)
    file.unlink()
    on_the_way = taken(sieve, file)
    file.write_text("x")

    assert on_the_way == taken(sieve, file, at_ms=HOLD_MS + 1) == []
    assert sieve.again_ns is None


def test_a_swapped_symlink_tells_where_it_led_and_leads(tmp_path):
    (tmp_path / "v1").write_text("1")
    (tmp_path / "v2").write_text("2")
    link = tmp_path / "link"
    link.symlink_to("v1")
    sieve = watched(link)
    (tmp_path / "next").symlink_to("v2")
    (tmp_path / "next").rename(link)

    (change,) = sieve.take([str(link)], 0)

    assert change.targets == (str((tmp_path / "v1").resolve()), str((tmp_path / "v2").resolve()))


def test_fifos_and_devices_are_looked_at_without_waiting(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    assert look_at(str(fifo)).content is not None
    assert look_at("/dev/zero").content is not None
    assert look_at(str(tmp_path)) == Sight(None)


def test_very_large_files_are_known_by_size_and_times(tmp_path):
    file = tmp_path / "large"
    with file.open("wb") as handle:
        handle.truncate(64 * 1024 * 1024)
    sieve = watched(file)
    unchanged = taken(sieve, file)
    with file.open("r+b") as handle:
        handle.write(b"x")

    assert unchanged == []
    assert taken(sieve, file) == [("changed", "large")]


def test_of_very_many_bytes_only_so_many_are_read_before_anything_changes(tmp_path, monkeypatch):
    monkeypatch.setattr("clnrm_nb.watch.identity._LEARNT_BYTES", 4)
    first, second = tmp_path / "a", tmp_path / "b"
    for file in (first, second):
        file.write_text("12345")
    sieve = watched(first, second)
    for file in (first, second):
        os.utime(file, ns=(5, 5))

    assert taken(sieve, first, second) == [("changed", "b")]
    os.utime(second, ns=(6, 6))
    assert taken(sieve, first, second) == []


def test_what_cannot_be_looked_at_just_now_is_looked_at_again_and_never_called_gone():
    sights = iter([Sight("1"), Sight("unknown"), Sight("unknown"), Sight("2")])
    identity = Identity(lambda _path: next(sights))
    identity.learn(["a"])
    sieve = Sieve(identity, lambda _path: True)

    assert [len(sieve.take(paths, 0)) for paths in (["a"], [], [])] == [0, 0, 1]


def reading(content, since_ns=0, test="t"):
    return Reading({"a": content}, since_ns, test)


def test_a_reader_in_the_middle_of_a_save_is_told_what_the_file_holds_in_the_end():
    identity = Identity(lambda _path: Sight("whole"))
    identity.learn(["a"])
    sieve = Sieve(identity, lambda _path: True)
    identity.expect(reading("half"))

    (change,) = sieve.take(["a"], 0)

    assert (change.before, change.after, change.readers) == ("half", "whole", ("t",))
    assert sieve.take(["a"], 0) == ()


def test_a_reader_of_what_was_told_meanwhile_is_told_nothing_twice():
    contents = iter(["1", "2", "2", "2"])
    identity = Identity(lambda _path: Sight(next(contents)))
    identity.learn(["a"])
    sieve = Sieve(identity, lambda _path: True)
    first = sieve.take(["a"], 100)
    identity.expect(reading("1", since_ns=50))
    late = sieve.take(["a"], 200)
    identity.expect(reading("1", since_ns=150))
    stale = sieve.take(["a"], 300)

    assert [len(first), len(late), len(stale)] == [1, 0, 1]


def test_what_a_file_became_since_it_was_read_before_the_start_is_a_change():
    identity = Identity(lambda _path: Sight("2"))
    identity.expect(Reading({"a": "1", "b": None}))
    identity.learn(["a", "b"])

    assert [change.kind for change in Sieve(identity, lambda _path: True).take(["a", "b"], 0)] == [
        "changed",
        "created",
    ]

"""Objects that nothing refers to: removed when they are old, and never while somebody may need them."""

from __future__ import annotations

import os
import time

import pytest

from clnrm_nb.reaper.ownership import Owner, this_process
from clnrm_nb.state import State
from clnrm_nb.state.garbage import collect
from clnrm_nb.state.journal import Journal
from clnrm_nb.state.reviews import Change, PendingReview, Reviews

OLD_S = 7_200


@pytest.fixture
def state(tmp_path):
    with State.open(tmp_path / ".clnrm") as made:
        made.save_run({"run": "01A", "data": {"tests": [{"id": "a", "status": "passed"}]}}, {"a": b"spans"})
        yield made


def put(state, content, *, age_s=OLD_S):
    digest = state.put_object(content)
    aged(state, digest, age_s)
    return digest


def aged(state, digest, age_s=OLD_S):
    when = time.time() - age_s
    os.utime(state.objects.path(digest), (when, when))


def age_all(state):
    for digest in state.objects.digests():
        aged(state, digest)


def test_what_a_killed_process_left_goes(state):
    orphan = put(state, b"nobody's")
    (state.objects.path(orphan).parent / ".half.1.ab.tmp").write_bytes(b"ha")
    os.utime(state.objects.path(orphan).parent / ".half.1.ab.tmp", (1, 1))

    found = collect(state)

    assert found.objects == [(orphan, 8)]
    assert found.leftovers == [(".half.1.ab.tmp", 2)]
    assert state.get_object(orphan) is None


def test_a_dry_run_removes_nothing(state):
    orphan = put(state, b"nobody's")

    assert collect(state, dry_run=True).objects == [(orphan, 8)]
    assert state.get_object(orphan) == b"nobody's"


def test_what_history_reviews_changes_and_entries_name_stays(state):
    reviews = Reviews(state)
    trace, base, before, after, record = (state.put_object(text) for text in (b"t", b"b", b"1", b"2", b"r"))
    reviews.put(
        PendingReview("a::one", "a", "one", "01A", "2025", "sha256:x", trace, 1, "passed", True, base)
    )
    reviews.add_change(Change("d", "a::one", 1, "sha256:x", before, after))
    row = ("a", "h", 1, "now", 1, record, b"", b"")
    state.write(lambda db: db.execute("INSERT INTO cache_entries VALUES (?, ?, ?, ?, ?, ?, NULL, ?, ?)", row))
    age_all(state)
    all_of_them = list(state.objects.digests())

    found = collect(state)

    assert found.objects == []
    assert list(state.objects.digests()) == all_of_them
    assert len(all_of_them) == 6


def test_an_object_whose_row_may_still_be_on_its_way_stays(state):
    young = put(state, b"young", age_s=5)

    found = collect(state)

    assert (found.objects, found.young) == ([], 1)
    assert state.get_object(young) == b"young"


def test_nothing_that_a_run_which_still_goes_on_may_have_written_goes(state):
    written = put(state, b"spans of a long run", age_s=3_000)
    began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 3_600))
    Journal(state, "01B", at=began, owner=str(this_process())).begin({})

    assert collect(state).objects == []
    assert state.get_object(written) is not None


def test_a_run_whose_process_is_gone_protects_nothing(state):
    orphan = put(state, b"spans of a dead run", age_s=3_000)
    here = this_process()
    dead = Owner(here.machine, "another-boot", here.pid, here.start)
    began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 3_600))
    Journal(state, "01B", at=began, owner=str(dead)).begin({})

    assert [digest for digest, _ in collect(state).objects] == [orphan]


def test_an_object_that_is_put_again_while_it_is_judged_stays(state, monkeypatch):
    digest = put(state, b"wanted again")
    rename = type(state.objects.path(digest)).rename

    def put_before_it_goes(path, target):
        if path.name.startswith(digest[9:20]):
            os.utime(path)
        return rename(path, target)

    monkeypatch.setattr(type(state.objects.path(digest)), "rename", put_before_it_goes)

    assert collect(state).objects == []
    assert state.get_object(digest) == b"wanted again"


def test_an_object_collected_while_it_is_put_again_is_written_anew(state, monkeypatch):
    digest = put(state, b"wanted again")
    real = os.utime

    def gone_by_then(path, *args, **options):
        path.unlink()
        real(path, *args, **options)

    monkeypatch.setattr(os, "utime", gone_by_then)

    assert state.put_object(b"wanted again") == digest
    assert state.get_object(digest) == b"wanted again"


def test_nothing_goes_where_the_index_was_set_aside(state):
    put(state, b"named by the old index")
    (state.directory / "state.db.damaged-20250101").write_bytes(b"")

    assert collect(state) is None
    assert len(list(state.objects.digests())) == 2


def test_an_index_that_is_gone_is_no_proof_that_nothing_is_needed(tmp_path):
    with State.open(tmp_path / ".clnrm") as state:
        state.objects.put(b"of an index that somebody deleted")

        assert collect(state) is None


def test_versions_beyond_those_to_keep_go_with_their_objects(state):
    reviews = Reviews(state)
    contents = [state.put_object(b"version %d" % number) for number in range(6)]
    for number in range(1, 6):
        before, after = contents[number - 1], contents[number]
        reviews.add_change(Change(f"d{number}", "a::one", number, f"sha256:{number}", before, after))
    age_all(state)

    found = collect(state, keep_versions=2)

    assert found.versions == 2
    assert [change.version for change in reviews.changes("a::one")] == [3, 4, 5]
    assert {digest for digest, _ in found.objects} == set(contents[:2])
    # The oldest decision that is kept can still be undone.
    assert state.get_object(contents[2]) == b"version 2"

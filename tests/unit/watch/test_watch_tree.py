"""What a look at the watched directories finds; how often to look; whether events can be trusted."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from clnrm_nb.watch.canary import Canary
from clnrm_nb.watch.changes import Place
from clnrm_nb.watch.pace import Pace
from clnrm_nb.watch.tree import Tree
from clnrm_nb.watch.trust import Trust

S = 1_000_000_000
LATER_NS = 10 * S


@pytest.fixture
def root(tmp_path):
    return tmp_path.resolve()


def tree(
    *places, counts=lambda path: path.endswith(".toml"), enters=lambda path, whole: "skipped" not in path
):
    made = Tree(counts, enters)
    made.places = tuple(places)
    return made


def looked(made):
    return sorted(Path(path).name for path in made.look(time.time_ns() + LATER_NS).paths)


def names(directory):
    return [path.name for path in directory.iterdir()]


def write(path, text="x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_only_directories_that_are_entered_are_watched_and_only_files_that_count_are_found(root):
    for name in ("a.toml", "a.txt", "sub/b.toml", "skipped/c.toml"):
        write(root / name)
    made = tree(Place(str(root), recursive=True))

    assert looked(made) == ["a.toml", "b.toml"]
    assert sorted(made.directories) == [str(root), str(root / "sub")]


def test_a_place_that_is_not_recursive_is_watched_alone(root):
    write(root / "a.toml")
    write(root / "sub" / "b.toml")

    assert looked(tree(Place(str(root)))) == ["a.toml"]


def test_a_second_look_finds_only_what_is_different(root):
    for name in ("same.toml", "edited.toml", "deleted.toml"):
        write(root / name)
    made = tree(Place(str(root), recursive=True))
    looked(made)
    write(root / "edited.toml", "longer")
    write(root / "new" / "new.toml")
    (root / "deleted.toml").unlink()

    look = made.look(time.time_ns() + LATER_NS)

    assert sorted(Path(path).name for path in look.paths) == [
        "deleted.toml",
        "edited.toml",
        "new.toml",
    ]
    assert look.is_moved
    assert looked(made) == []


def test_a_file_written_just_before_the_look_is_found_again_because_times_are_coarse(root):
    write(root / "a.toml")
    made = tree(Place(str(root)))

    first, second = made.look().paths, made.look().paths

    assert len(first) == len(second) == 1


def test_of_a_missing_place_the_nearest_directory_is_watched_until_it_appears(root):
    made = tree(Place(str(root / "x" / "y"), recursive=True))
    made.look()
    before = list(made.directories)
    concerned = made.is_concerned(str(root / "x"))
    (root / "x").mkdir()
    concerned_now = made.is_concerned(str(root / "x"))
    write(root / "x" / "y" / "a.toml")

    assert before == [str(root)]
    assert (concerned, concerned_now) == (False, True)
    assert looked(made) == ["a.toml"]
    assert made.missing == ()


def test_another_directory_in_the_same_place_is_noticed(root):
    write(root / "sub" / "a.toml")
    made = tree(Place(str(root / "sub"), recursive=True))
    made.look()
    (root / "sub").rename(root / "old")
    write(root / "sub" / "a.toml")

    assert made.look().is_moved


def test_directories_behind_symlinked_files_are_watched_and_those_behind_symlinked_directories_are_not(root):
    write(root / "shared" / "real.toml")
    write(root / "elsewhere" / "b.toml")
    (root / "tests").mkdir()
    (root / "tests" / "a.toml").symlink_to(root / "shared" / "real.toml")
    (root / "tests" / "dir").symlink_to(root / "elsewhere")
    made = tree(Place(str(root / "tests"), recursive=True))
    made.look()

    assert sorted(made.directories) == [str(root / "shared"), str(root / "tests")]
    assert made.aliases == {str(root / "shared" / "real.toml"): (str(root / "tests" / "a.toml"),)}


def test_a_look_that_fails_changes_nothing(root, monkeypatch):
    write(root / "a.toml")
    made = tree(Place(str(root)))
    looked(made)

    def full(path):
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", full)
        with pytest.raises(OSError, match="Too many"):
            made.look()

    assert looked(made) == []


def test_steps_are_short_after_a_change_and_long_when_nothing_happens():
    pace = Pace()
    pace.changed(100 * S)

    assert [pace.step_ms(int(at * S)) for at in (100, 114, 116, 159, 160, 1_000)] == [2, 2, 5, 5, 40, 40]


def test_looking_costs_at_most_its_share_of_the_time():
    pace = Pace()
    pace.changed(0)

    assert pace.poll_ns(S, cost_ns=S // 100) == S
    assert pace.poll_ns(S, cost_ns=0) == S // 10
    assert pace.poll_ns(100 * S, cost_ns=S // 100) == 5 * S
    assert pace.look_ns(cost_ns=S // 1_000) == 10 * S
    assert pace.look_ns(cost_ns=S) == 1_000 * S


def test_a_canary_that_is_heard_goes_and_proves_that_events_come(root):
    canary = Canary(str(root / "watch"), patience_ns=S)
    trust = Trust(canary)
    trust.begin(0)
    written = names(root / "watch")

    assert written == [canary.name]
    assert trust.hear({(1, canary.path)}, S // 2) is None
    assert trust.hear(set(), 100 * S) is None
    assert names(root / "watch") == []


def test_silence_after_the_canary_is_told_once(root):
    trust = Trust(Canary(str(root / "watch"), patience_ns=S))
    trust.begin(0)

    remarks = [trust.hear(set(), int(at * S)) for at in (0.5, 1.5, 3)]

    assert [remark and remark.kind for remark in remarks] == [None, "no-events", None]
    assert names(root / "watch") == []


def test_what_was_lost_with_an_older_watcher_is_not_held_against_the_system(root):
    trust = Trust(Canary(str(root / "watch"), patience_ns=S))
    trust.begin(0)
    trust.doubt(["/lost"], set(), 0)
    trust.again(9 * S)

    assert trust.hear(set(), 9 * S + 1) is None
    assert trust.hear(set(), 11 * S).message.endswith("here; files are polled instead")


def test_a_change_without_its_event_is_held_against_the_system_only_if_the_event_never_comes():
    trust = Trust(None)
    trust.doubt(["/late", "/heard"], {"/heard"}, 0)
    in_time = trust.hear({(2, "/late")}, S)
    nothing = trust.hear(set(), 10 * S)
    trust.doubt(["/lost"], set(), 10 * S)

    assert in_time is nothing is trust.hear(set(), 11 * S) is None
    assert trust.hear(set(), 13 * S).kind == "no-events"


def test_canaries_of_killed_watchers_are_cleared_away(root):
    write(root / "canary-1-abc")
    os.utime(root / "canary-1-abc", (1, 1))
    write(root / "canary-2-def")

    assert Canary(str(root)).prepare()
    assert names(root) == ["canary-2-def"]


def test_so_many_events_that_the_queue_may_have_overflowed_are_a_flood():
    trust = Trust(None, flood=3)

    at_once = trust.is_flood({(1, "/a"), (1, "/b"), (2, "/b")}, 10 * S)
    in_portions = [trust.is_flood({(1, "/a"), (1, "/b")}, at * S) for at in (20, 21, 22)]
    over_time = [trust.is_flood({(1, "/a"), (1, "/b")}, at * S) for at in (30, 40, 50)]

    assert at_once
    assert in_portions == [False, True, False]
    assert over_time == [False, False, False]

"""What mounted files hold, and whether they still hold it."""

import os
import time

import pytest

from clnrm_nb.cache import Fingerprints, UnreadableError
from clnrm_nb.cache import fingerprint as module


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "data"
    (root / "inner").mkdir(parents=True)
    (root / "a.txt").write_text("one")
    (root / "inner" / "b.txt").write_text("two")
    return root


def digest(path, **options):
    return Fingerprints(**options).of(path)


def age(path, seconds=10):
    """As if nothing here had been touched for a while."""
    past = time.time() - seconds
    for place in [path, *path.rglob("*")]:
        os.utime(place, (past, past), follow_symlinks=False)


CHANGES = {
    "content of the same length": lambda root: (root / "a.txt").write_text("eno"),
    "a file more": lambda root: (root / "c.txt").write_text(""),
    "a file less": lambda root: (root / "inner" / "b.txt").unlink(),
    "another name": lambda root: (root / "a.txt").rename(root / "z.txt"),
    "an empty directory": lambda root: (root / "empty").mkdir(),
    "permissions": lambda root: (root / "a.txt").chmod(0o755),
    "a link": lambda root: (root / "link").symlink_to("a.txt"),
    "a file moved down": lambda root: (root / "a.txt").rename(root / "inner" / "a.txt"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_every_real_change_is_another_digest_and_is_seen_afterwards(tree, change):
    prints = Fingerprints()
    before = prints.of(tree)

    change(tree)

    assert digest(tree) != before
    assert prints.has_changed(tree)


COSMETIC = {
    "times": lambda root: age(root, 100),
    "bytecode": lambda root: (
        (root / "__pycache__").mkdir(),
        (root / "__pycache__" / "a.pyc").write_text("x"),
    ),
    "written anew": lambda root: ((root / "a.txt").unlink(), (root / "a.txt").write_text("one")),
}


@pytest.mark.parametrize("change", COSMETIC.values(), ids=COSMETIC)
def test_what_no_program_can_tell_is_the_same_digest(tree, change):
    prints = Fingerprints()
    before = prints.of(tree)

    change(tree)

    assert digest(tree) == before
    assert not prints.has_changed(tree)


def test_a_file_behind_a_link_counts_by_what_it_holds(tmp_path, tree):
    (tmp_path / "elsewhere").write_text("one")
    (tree / "link").symlink_to(tmp_path / "elsewhere")
    prints = Fingerprints()
    before = prints.of(tree)

    (tmp_path / "elsewhere").write_text("eno")

    assert digest(tree) != before
    assert prints.has_changed(tree)


def test_the_same_tree_elsewhere_has_the_same_digest(tmp_path, tree):
    before = digest(tree)

    tree.rename(tmp_path / "moved")

    assert digest(tmp_path / "moved") == before


def test_ignored_directories_do_not_count(tree):
    before = digest(tree, ignore=[tree / ".clnrm"])

    (tree / ".clnrm").mkdir()
    (tree / ".clnrm" / "state.db").write_text("x")

    assert digest(tree, ignore=[tree / ".clnrm"]) == before


def test_files_that_were_not_touched_are_not_read_twice(tree, monkeypatch):
    prints = Fingerprints()
    monkeypatch.setattr(module, "FRESH_NS", -(10**12))
    prints.of(tree)
    monkeypatch.setattr(module, "file_digest", lambda path: pytest.fail(f"{path} was read again"))

    assert not prints.has_changed(tree)


def test_a_path_that_appears_has_changed(tmp_path):
    prints = Fingerprints()
    assert prints.of(tmp_path / "later") is None

    (tmp_path / "later").write_text("")

    assert prints.has_changed(tmp_path / "later")


def test_special_files_are_never_opened(tree):
    os.mkfifo(tree / "pipe")

    assert digest(tree) is not None


def test_too_many_files_and_too_large_ones_are_said(tree, monkeypatch):
    monkeypatch.setattr(module, "MOST_FILES", 3)
    with pytest.raises(UnreadableError, match="`data` holds more than 3 files"):
        digest(tree)

    monkeypatch.setattr(module, "MOST_FILES", 100)
    monkeypatch.setattr(module, "MOST_BYTES", 5)
    with pytest.raises(UnreadableError, match="MiB"):
        digest(tree)

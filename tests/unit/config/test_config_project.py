from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clnrm_nb.config.project import Project, find_project, safe_name
from clnrm_nb.config.project import test_id as id_of


@pytest.mark.parametrize("marker", [".clnrm/", "cleanroom.toml", "pyproject.toml", ".git/"])
def test_the_nearest_ancestor_with_a_marker_is_the_root(tmp_path: Path, marker: str) -> None:
    if marker.endswith("/"):
        (tmp_path / marker).mkdir()
    else:
        (tmp_path / marker).touch()
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)

    assert find_project(deep) == Project(tmp_path, tmp_path / ".clnrm")


def test_a_nearer_marker_wins_over_a_farther_one(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "cleanroom.toml").touch()

    assert find_project(inner).root == inner


def test_a_file_as_start_counts_as_its_directory(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    file = tmp_path / "x.clnrm.toml"
    file.touch()

    assert find_project(file).root == tmp_path


def test_a_given_state_directory_is_taken_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert find_project(tmp_path, state_dir=Path("elsewhere")).state_dir == tmp_path / "elsewhere"


def test_paths_are_relative_to_the_root_and_absolute_outside_it(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    project = Project(root, root / ".clnrm")

    assert project.relative(root / "a" / ".." / "b.toml") == "b.toml"
    assert project.relative(tmp_path / "other.toml") == (tmp_path / "other.toml").as_posix()


def test_a_symlinked_file_keeps_the_name_it_has_in_the_project(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    target = tmp_path / "target.toml"
    target.touch()
    (root / "link.toml").symlink_to(target)

    assert Project(root, root / ".clnrm").relative(root / "link.toml") == "link.toml"


def test_a_path_by_way_of_a_symlink_to_the_root_is_inside_it(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "link").symlink_to(root)

    assert Project(root, root / ".clnrm").relative(tmp_path / "link" / "a.toml") == "a.toml"


def test_a_matrix_combination_is_part_of_the_id_in_the_order_of_the_file() -> None:
    matrix = {"tls": True, "db": "redis", "size": 3, "ratio": 0.5, "tags": ["a", 1]}

    assert id_of("a.toml", matrix) == 'a.toml[tls=true,db=redis,size=3,ratio=0.5,tags=["a",1]]'
    assert id_of("a.toml", {}) == "a.toml"


@pytest.mark.parametrize("name", ["checkout", "a.b-c_D9", "x" * 80])
def test_a_safe_name_stays_as_it_is(name: str) -> None:
    assert safe_name(name) == name


@pytest.mark.parametrize(
    ("name", "start"), [("a/b", "a_b-"), ("..", "__-"), ("x" * 81, "x" * 80 + "-"), ("é", "_-"), ("", "_-")]
)
def test_an_unsafe_name_is_replaced_and_marked_with_a_digest(name: str, start: str) -> None:
    safe = safe_name(name)

    assert safe.startswith(start)
    assert len(safe) == len(start) + 8


@given(st.text(max_size=200), st.text(max_size=200))
def test_different_names_stay_different_and_every_one_is_a_plain_file_name(left: str, right: str) -> None:
    names = {safe_name(left), safe_name(right)}

    assert len(names) == len({left, right})
    for name in names:
        assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", name)
        assert os.sep not in name

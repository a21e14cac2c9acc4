from __future__ import annotations

from pathlib import Path

import pytest

from clnrm_nb.config.discovery import discover
from clnrm_nb.config.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path, tmp_path / ".clnrm")


def lay(project: Project, *names: str) -> None:
    for name in names:
        path = project.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def found(project: Project, *paths: str, ignore: tuple[str, ...] = ()) -> list[str]:
    discovery = discover([project.root / path for path in paths], project, ignore)
    return [project.relative(path) for path in discovery.files]


def codes(project: Project, *paths: str) -> list[str]:
    return [finding.code for finding in discover([project.root / p for p in paths], project).diagnostics]


def test_directories_are_searched_and_results_sorted_by_path(project: Project) -> None:
    lay(project, "b/z.clnrm.toml", "a.clnrm.toml", "b/c/y.clnrm.toml.tera", "b/notes.toml", "B.clnrm.toml")

    assert found(project, ".") == ["B.clnrm.toml", "a.clnrm.toml", "b/c/y.clnrm.toml.tera", "b/z.clnrm.toml"]


@pytest.mark.parametrize("name", [".git", ".clnrm", "target", "node_modules", ".venv", ".ipynb_checkpoints"])
def test_directories_nobody_writes_tests_in_are_skipped(project: Project, name: str) -> None:
    lay(project, f"x/{name}/a.clnrm.toml", "b.clnrm.toml")

    assert found(project, ".") == ["b.clnrm.toml"]


@pytest.mark.parametrize("glob", ["drafts/*", "drafts/**", "drafts", "*/a.clnrm.toml"])
def test_ignore_globs_leave_files_and_whole_directories_out(project: Project, glob: str) -> None:
    lay(project, "drafts/a.clnrm.toml", "b.clnrm.toml")

    assert found(project, ".", ignore=(glob,)) == ["b.clnrm.toml"]


def test_a_file_given_by_name_may_have_any_name_and_is_never_ignored(project: Project) -> None:
    lay(project, "drafts/test.toml")

    assert found(project, "drafts/test.toml", ignore=("drafts/**",)) == ["drafts/test.toml"]


def test_a_file_found_twice_is_taken_once(project: Project) -> None:
    lay(project, "t/a.clnrm.toml")

    assert found(project, "t", "t/a.clnrm.toml", ".") == ["t/a.clnrm.toml"]


def test_symlinks_to_directories_are_not_followed_and_symlinks_to_files_are(project: Project) -> None:
    lay(project, "real/a.clnrm.toml")
    (project.root / "loop").symlink_to(project.root)
    (project.root / "b.clnrm.toml").symlink_to(project.root / "real" / "a.clnrm.toml")

    assert found(project, ".") == ["b.clnrm.toml", "real/a.clnrm.toml"]


def test_a_template_stands_for_its_plain_twin(project: Project) -> None:
    lay(project, "x.clnrm.toml", "x.clnrm.toml.tera")

    assert found(project, ".") == ["x.clnrm.toml.tera"]
    assert codes(project, ".") == ["CLN005"]


def test_a_twin_that_was_asked_for_by_name_is_used(project: Project) -> None:
    lay(project, "x.clnrm.toml", "x.clnrm.toml.tera")

    assert found(project, "x.clnrm.toml") == ["x.clnrm.toml"]


def test_a_missing_path_is_a_finding_and_the_others_go_on(project: Project) -> None:
    lay(project, "a.clnrm.toml")

    discovery = discover([project.root / "Gone.toml", project.root / "a.clnrm.toml"], project)

    assert [str(finding) for finding in discovery.diagnostics] == [
        "Gone.toml: CLN001 cannot read `Gone.toml`: no such file or directory"
    ]
    assert len(discovery.files) == 1


def test_a_directory_without_scenario_files_is_a_finding(project: Project) -> None:
    lay(project, "tests/readme.md")

    discovery = discover([project.root / "tests"], project)

    assert [finding.code for finding in discovery.diagnostics] == ["CLN004"]
    assert "tests/`" in discovery.diagnostics[0].message


def test_the_order_does_not_depend_on_the_order_of_paths(project: Project) -> None:
    lay(project, "a/1.clnrm.toml", "b/2.clnrm.toml", "c/3.clnrm.toml")

    assert found(project, "c", "a", "b") == found(project, ".") == found(project, "b", "c", "a")

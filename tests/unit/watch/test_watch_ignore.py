"""Which names matter."""

from __future__ import annotations

import pytest

from clnrm_nb.watch.ignore import Rules, is_passing

PATTERNS = ("**/*.clnrm.toml.tera", "**/*.clnrm.toml")


@pytest.fixture
def rules(tmp_path):
    def make(ignore_files=None, *, patterns=PATTERNS, ignore_patterns=(), outputs=(), root=tmp_path):
        for name, lines in (ignore_files or {}).items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(lines) + "\n")
        made = Rules(
            str(root),
            str(root / ".clnrm"),
            patterns=patterns,
            ignore_patterns=ignore_patterns,
            outputs=[str(root / output) for output in outputs],
        )
        return lambda name: made.counts(str(tmp_path / name))

    return make


@pytest.mark.parametrize(
    "name",
    [
        ".a.clnrm.toml.swp", ".a.clnrm.toml.swx", ".a.clnrm.toml.swo", "a.clnrm.toml~", "4913", ".#a.clnrm.toml",
        "#a.clnrm.toml#", "a.clnrm.toml___jb_tmp___", "a.clnrm.toml___jb_old___", ".a.clnrm.toml.kate-swp",
        ".goutputstream-AB12CD", "a.clnrm.toml.tmp", "a.clnrm.toml.tmp.1234.5f6e", "sedAbC123", ".nfs0000abcd", ".DS_Store",
    ],
)  # fmt: skip
def test_files_that_editors_leave_beside_are_passed_over(name):
    assert is_passing(name)


@pytest.mark.parametrize(
    "name", ["a.clnrm.toml", "_m.tera", "seed.sql", "tmp", "swp.toml", "sediment.sql", "49130"]
)
def test_files_of_people_are_not_taken_for_those_of_editors(name):
    assert not is_passing(name)


def test_patterns_say_what_counts_at_any_depth(rules):
    counts = rules()

    assert counts("a.clnrm.toml")
    assert counts("deep/er/b.clnrm.toml.tera")
    assert not counts("deep/b.toml")


def test_ignore_patterns_take_away_and_may_give_back(rules):
    counts = rules(ignore_patterns=["slow/**", "!slow/but-this.clnrm.toml"])

    assert not counts("slow/x.clnrm.toml")
    assert counts("slow/but-this.clnrm.toml")


def test_innermost_ignore_file_decides_and_dot_ignore_wins_over_dot_gitignore(rules):
    counts = rules(
        {
            ".gitignore": ["*.gen.clnrm.toml", "/top.clnrm.toml", "[broken"],
            "inner/.gitignore": ["!keep.gen.clnrm.toml"],
            ".ignore": ["!wanted.gen.clnrm.toml"],
        }
    )

    assert not counts("a.gen.clnrm.toml")
    assert not counts("inner/a.gen.clnrm.toml")
    assert counts("inner/keep.gen.clnrm.toml")
    assert counts("wanted.gen.clnrm.toml")
    assert not counts("top.clnrm.toml")
    assert counts("inner/top.clnrm.toml")


def test_below_an_ignored_directory_nothing_can_be_taken_back(rules):
    counts = rules({".gitignore": ["build/", "!build/keep.clnrm.toml"], "build/.gitignore": ["!*"]})

    assert not counts("build/keep.clnrm.toml")
    assert not counts("sub/build/keep.clnrm.toml")


def test_ignore_files_above_the_project_count_as_far_as_the_repository_goes(rules, tmp_path):
    (tmp_path / ".git").mkdir()
    (tmp_path / "project").mkdir()
    counts = rules({".gitignore": ["project/private/"]}, root=tmp_path / "project")

    assert not counts("project/private/a.clnrm.toml")
    assert counts("project/a.clnrm.toml")


def test_a_changed_ignore_file_is_read_again_when_forgotten(tmp_path):
    ignore = tmp_path / ".gitignore"
    ignore.write_text("a.clnrm.toml\n")
    made = Rules(str(tmp_path), str(tmp_path / ".clnrm"), patterns=PATTERNS)
    before = made.counts(str(tmp_path / "a.clnrm.toml"))
    ignore.write_text("")
    remembered = made.counts(str(tmp_path / "a.clnrm.toml"))
    made.forget()

    assert (before, remembered, made.counts(str(tmp_path / "a.clnrm.toml"))) == (False, False, True)


def test_state_and_reports_are_the_programs_own_and_what_people_commit_is_not(tmp_path):
    made = Rules(str(tmp_path), str(tmp_path / ".clnrm"), patterns=["**"], outputs=[str(tmp_path / "out")])
    own = {
        name: made.is_own(str(tmp_path / name))
        for name in (
            ".clnrm/state.db", ".clnrm/cache/hashes.json", ".clnrm/artifacts/x", "out/junit.xml", ".clnrm/baselines2/x",
            ".clnrm/config.toml", ".clnrm/baselines/a.json", ".clnrm/baselines/rules.toml", "outer/x", "cleanroom.toml",
        )
    }  # fmt: skip

    assert list(own.values()) == [True] * 5 + [False] * 5


def test_directories_that_discovery_skips_are_not_entered(tmp_path):
    made = Rules(str(tmp_path), str(tmp_path / ".clnrm"), patterns=PATTERNS, ignore_patterns=["vendor/"])
    entered = [made.enters(str(tmp_path / name)) for name in ("tests", "node_modules", "a/.venv", "vendor")]
    whole = [made.enters(str(tmp_path / name), whole=True) for name in ("vendor", ".git", "a/__pycache__")]

    assert entered == [True, False, False, False]
    assert whole == [True, False, False]

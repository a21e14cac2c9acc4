"""``clnrm fmt``: which files it writes, what it says, and how it exits."""

from __future__ import annotations

import os

import pytest

from clnrm_nb import api
from clnrm_nb.cli.main import run_command_line
from clnrm_nb.config.sourcefile import read_source, write_source
from clnrm_nb.errors import ClnrmError, UsageError

UGLY = b"[meta]\nname='a'\n[vars]\n"
NEAT = b"[meta]\nname = 'a'\n\n[vars]\n"


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / ".clnrm").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _statuses(result):
    return {file["file"]: file["status"] for file in result.raw["data"]["files"]}


def test_files_are_written_and_named(project):
    (project / "a.clnrm.toml").write_bytes(UGLY)
    (project / "b.clnrm.toml").write_bytes(NEAT)

    result = api.fmt()

    assert _statuses(result) == {"a.clnrm.toml": "changed", "b.clnrm.toml": "unchanged"}
    assert result.exit_code == 0
    assert (project / "a.clnrm.toml").read_bytes() == NEAT
    assert api.fmt().headline == "2 files unchanged"


@pytest.mark.parametrize("option", ["check", "diff"])
def test_check_and_diff_write_nothing_and_fail(project, option):
    path = project / "a.clnrm.toml"
    path.write_bytes(UGLY)

    result = api.fmt(path, **{option: True})

    assert path.read_bytes() == UGLY
    assert _statuses(result) == {"a.clnrm.toml": "would-change"}
    assert (result.exit_code, result.code) == (1, "CLN508")
    assert ("+name = 'a'\n" in result.diff) == (option == "diff")


def test_a_formatted_tree_passes_the_check(project):
    (project / "a.clnrm.toml").write_bytes(NEAT)

    assert run_command_line(["fmt", "--check"]) == 0


def test_the_diff_is_a_patch(project, capsys):
    (project / "a.clnrm.toml").write_bytes(UGLY.removesuffix(b"\n"))

    assert run_command_line(["fmt", "--diff", "--color", "always"]) == 1

    shown = capsys.readouterr().out
    assert "-name='a'" in shown
    assert "+name = 'a'" in shown
    assert "\\ No newline at end of file" in shown


@pytest.mark.parametrize(
    ("name", "content", "code", "line"),
    [
        ("a.clnrm.toml", b"a=1\nb = \n", "CLN201", 2),
        ("a.clnrm.toml", b"a=1\na=2\n", "CLN202", 2),
        ("a.clnrm.toml.tera", b"a=1\n{% if b %}\n", "CLN101", 2),
        ("a.clnrm.toml.tera", b"a=1\nb={{ 1 + 1 }} 3\n", "CLN201", 2),
        ("_a.clnrm.toml.tera", b"{% if b %}\n", "CLN101", 1),
        ("a.clnrm.toml", b"a=1\n\xff\n", "CLN002", 2),
    ],
)
def test_what_cannot_be_read_is_a_finding_and_stays(project, name, content, code, line):
    (project / name).write_bytes(content)
    (project / "z.clnrm.toml").write_bytes(UGLY)

    result = api.fmt()

    assert result.exit_code == 2
    assert _statuses(result) == {name: "error", "z.clnrm.toml": "changed"}
    assert [(d["code"], d["file"], d["line"]) for d in result.raw["diagnostics"]] == [(code, name, line)]
    assert (project / name).read_bytes() == content


def test_a_template_that_needs_values_is_formatted_without_them(project):
    path = project / "a.clnrm.toml.tera"
    path.write_bytes(b"a='{{ nobody_defined_me }}'\nb='{{ fake_uuid() }}'\n")

    assert api.fmt().exit_code == 0
    assert path.read_bytes() == b"a = '{{ nobody_defined_me }}'\nb = '{{ fake_uuid() }}'\n"


def test_data_that_would_change_keeps_the_file_as_it_is(project):
    """What a marker prints opens a string here, which no reading of the template alone can know."""
    content = b'quote = "\'"\n[vars]\nq = "\'"\n[meta]\ntags = [{{ q }},a,{{ q }}]\n'
    path = project / "a.clnrm.toml.tera"
    path.write_bytes(content)

    result = api.fmt()

    assert path.read_bytes() == content
    assert "would have changed its data" in result.raw["data"]["files"][0]["notes"][0]


def test_missing_files_and_empty_directories_are_errors(project):
    assert api.fmt("none.clnrm.toml").raw["diagnostics"][0]["code"] == "CLN001"
    assert api.fmt(".").raw["diagnostics"][0]["code"] == "CLN004"
    assert run_command_line(["fmt", "none.clnrm.toml"]) == 2


def test_unknown_options_are_refused(project):
    with pytest.raises(UsageError, match="checked"):
        api.fmt(checked=True)


def test_the_result_reads_alike_everywhere(project):
    (project / "a.clnrm.toml").write_bytes(UGLY)

    result = api.fmt(diff=True)

    assert list(result.frame["status"]) == ["would-change"]
    assert "+name = &#x27;a&#x27;" in result.html()
    assert "would-change" in repr(result)


# -- reading and writing


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_byte_order_mark_line_breaks_and_mode_stay(project, bom, newline):
    path = project / "a.clnrm.toml"
    path.write_bytes(bom + UGLY.replace(b"\n", newline))
    path.chmod(0o640)

    api.fmt()

    assert path.read_bytes() == bom + NEAT.replace(b"\n", newline)
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_symbolic_link_stays_one(project):
    target = project / "real.toml"
    target.write_bytes(UGLY)
    link = project / "a.clnrm.toml"
    link.symlink_to(target)

    api.fmt()

    assert link.is_symlink()
    assert target.read_bytes() == NEAT


def test_nothing_is_written_where_nothing_changes(project):
    path = project / "a.clnrm.toml"
    path.write_bytes(NEAT)
    before = path.stat()

    assert write_source(read_source(path, "a"), NEAT.decode()) is False
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_file_that_changed_since_it_was_read_is_not_overwritten(project):
    path = project / "a.clnrm.toml"
    path.write_bytes(UGLY)
    source = read_source(path, "a.clnrm.toml")
    path.write_bytes(b"newer = 1\n")

    with pytest.raises(ClnrmError, match="has changed since it was read") as caught:
        write_source(source, NEAT.decode())

    assert caught.value.code == "CLN001"
    assert path.read_bytes() == b"newer = 1\n"


def test_a_write_that_fails_leaves_the_file_and_nothing_beside_it(project, monkeypatch):
    path = project / "a.clnrm.toml"
    path.write_bytes(UGLY)

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    result = api.fmt()

    assert result.exit_code == 2
    assert "no space left" in result.raw["diagnostics"][0]["message"]
    assert path.read_bytes() == UGLY
    assert sorted(entry.name for entry in project.iterdir()) == [".clnrm", "a.clnrm.toml"]


def test_a_read_only_file_is_left_alone(project, monkeypatch):
    path = project / "a.clnrm.toml"
    path.write_bytes(UGLY)
    # Root may write everything, so that the mode alone would show nothing here.
    monkeypatch.setattr("os.access", lambda _, mode: mode != os.W_OK)

    result = api.fmt()

    assert "read-only" in result.raw["diagnostics"][0]["message"]
    assert path.read_bytes() == UGLY

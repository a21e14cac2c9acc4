"""The command table against itself, against click and against the specification."""

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from clnrm_nb.cli.main import run_command_line
from clnrm_nb.commands import COMMANDS, SETS, flags_of
from clnrm_nb.commands.tree import Call, build_tree
from clnrm_nb.config.sources import KEYS


def parse(*words, notebook=False):
    return build_tree(notebook=notebook).main(list(words), standalone_mode=False)


def specification():
    for place in (os.environ.get("CLNRM_SPEC", ""), Path(__file__).parents[4] / "shared" / "format.md"):
        if place and Path(place).is_file():
            text = Path(place).read_text(encoding="utf-8").replace("\\|", "/")
            return text[text.index("### 11.1") : text.index("### 11.2")]
    return pytest.skip("format.md is not at hand (set CLNRM_SPEC to its path)")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_key_a_flag_names_exists(command):
    for flag in flags_of(command, notebook=True):
        assert flag.key is None or flag.key in KEYS, flag.name


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_flags_of_a_command_have_names_of_their_own(command):
    flags = flags_of(command, notebook=True)
    shorts = [flag.short for flag in flags if flag.short]
    options = [flag.option for flag in flags]

    assert len(shorts) == len(set(shorts)), shorts
    assert len(options) == len(set(options)), options


# Beyond the specification: a decision can be taken back from a shell, too.
EXTENSIONS = {"baseline undo"}


@pytest.mark.parametrize(
    "command", [c for c in COMMANDS if c.name not in EXTENSIONS], ids=lambda command: command.name
)
def test_every_command_has_a_row_with_these_sets_and_formats_in_the_specification(command):
    letters = {"human": "h", "json": "j", "junit": "u", "tap": "t", "github": "g"}
    row = re.search(
        rf"^\| `{re.escape(command.name)}`(?: \(notebook only\))? \|(.*)\|$", specification(), re.MULTILINE
    )
    assert row, f"no row for {command.name}"
    cells = [cell.strip() for cell in row[1].split("|")]

    formats = "hjutg" if cells[-1] == "all" else cells[-1]
    wanted_sets = set(cells[-2].replace("–", "").split())

    assert {letters[name] for name in command.formats} == set(formats)
    # Judging given spans and comparing them at once is still to come.
    later = {"C"} if command.name == "analyze" else set()
    assert set(command.sets) == wanted_sets - later


@pytest.mark.parametrize("letter", ["G", "T", "S", "R", "C", "L", "N"])
def test_shared_flags_and_their_keys_are_those_of_the_specification(letter):
    rows = re.findall(rf"^\| {letter} \| `(-[^`]*)`([^|]*)\|", specification(), re.MULTILINE)
    ours = {f"--{flag.name}" if flag.name != flag.short else f"-{flag.name}": flag for flag in SETS[letter]}
    # Dask comes with its own issue.
    later = {"--scheduler", "--version", "--help"}
    # The keys are switches, the flags name a file: either makes the report.
    switches = {"--report-junit", "--report-html"}
    for words, rest in rows:
        first = words.split()[0].replace("\\", "")
        name = (
            (re.search(r"`(--[a-z-]+)`", rest) or [None, first])[1]
            if first in ("-v", "-c", "-f", "-m")
            else first
        )
        if name in later:
            continue
        key = re.search(r"→ `([^`]+)`", rest)
        assert name in ours, name
        assert ours[name].key == (key[1] if key and name not in switches else None), name


def test_general_flags_work_on_either_side_of_the_command():
    before, after = parse("-f", "json", "run", "x"), parse("run", "x", "--format", "json")

    assert before.options == after.options == {"format": "json"}


def test_a_flag_that_was_not_typed_does_not_exist():
    assert parse("run").options == {}


def test_zero_is_a_value():
    assert parse("run", "-j", "0").options == {"workers": 0}


def test_paths_default_to_the_working_directory():
    assert parse("run").arguments == ((".",),)


@pytest.mark.parametrize(
    ("words", "option"), [(("run", "--jobs", "3"), "workers"), (("run", "--workers", "3"), "workers")]
)
def test_aliases_are_the_same_option(words, option):
    assert parse(*words).options == {option: 3}


def test_two_word_aliases_reach_their_command():
    call = parse("template", "render", "x.toml")

    assert isinstance(call, Call)
    assert (call.command.name, call.arguments) == ("render", ("x.toml",))


def test_a_close_match_is_suggested_for_a_mistyped_command():
    with pytest.raises(click.UsageError, match="Did you mean 'validate'"):
        parse("valdate")


def test_help_imports_nothing_heavy():
    code = (
        "import sys\n"
        "from clnrm_nb.cli.main import run_command_line\n"
        "run_command_line(['run', '--help'])\n"
        "heavy = {'pandas', 'plotly', 'docker', 'ipywidgets', 'opentelemetry', 'pydantic', 'rich', 'tornado', 'jinja2'}\n"
        "found = heavy & set(sys.modules)\n"
        "assert not found, found\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


def test_an_error_is_said_once_with_its_hint(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "latin.clnrm.toml").write_bytes(b'a = "\xe9"\n')

    code = run_command_line(["render", "latin.clnrm.toml"])

    said = capsys.readouterr().err.splitlines()
    assert code == 2
    assert said[0].startswith("error: latin.clnrm.toml:1:6: CLN002 ")
    assert said[1:] == ["  save the file as UTF-8"]


def test_explain_works_beside_the_broken_configuration_it_is_asked_about(tmp_path, monkeypatch, capsys):
    (tmp_path / ".clnrm").mkdir()
    (tmp_path / ".clnrm" / "config.toml").write_text("limit = [", encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    explained = run_command_line(["explain", "CLN803"])
    refused = run_command_line(["validate"])

    assert (explained, refused) == (0, 2)
    assert "CLN803" in capsys.readouterr().out

"""What `--help` says, pinned: a changed sentence or flag is a change somebody decided on.

``CLNRM_UPDATE_GOLDEN=1 pytest tests/unit/cli/test_cli_help.py`` writes the files anew.
"""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from clnrm_nb.commands import COMMANDS
from clnrm_nb.commands.tree import build_tree

GOLDEN = Path(__file__).parent / "golden"
NAMES = ["clnrm", *(command.name for command in COMMANDS)]


def shown(name: str, *, notebook: bool) -> str:
    words = ["--help"] if name == "clnrm" else [*name.split(), "--help"]
    prefix = "%clnrm" if notebook else "clnrm"
    # Click wraps at the terminal's width; a file has one of its own.
    done = CliRunner().invoke(build_tree(notebook=notebook), words, prog_name=prefix, terminal_width=100)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize("name", NAMES)
def test_help_is_as_pinned(name):
    notebook = any(command.name == name and command.notebook_only for command in COMMANDS)
    file = GOLDEN / f"help-{name.replace(' ', '-')}.txt"
    text = shown(name, notebook=notebook)
    if os.environ.get("CLNRM_UPDATE_GOLDEN"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")

    assert file.exists(), f"{file.name} is missing: CLNRM_UPDATE_GOLDEN=1 writes it"
    assert text == file.read_text(encoding="utf-8")


def test_no_help_is_pinned_of_a_command_that_is_gone():
    known = {f"help-{name.replace(' ', '-')}.txt" for name in NAMES}

    assert {file.name for file in GOLDEN.glob("help-*.txt")} == known

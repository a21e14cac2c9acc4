"""The documentation: it builds without a warning, and what its pages show is what happens.

In a ``console`` block lines after ``$`` are run by bash, one after the other; what follows must appear in
this order, where a line ending in ``…`` gives the beginning of a line and ``…`` alone any number of lines.
``toml`` blocks that begin with a comment that names a file are written to it. ``python`` blocks are the cells
of one notebook a page. A ``bash`` block is not run, and a comment on the line before it says why.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import nbclient
import nbformat
import pytest

from clnrm_nb.commands import COMMANDS
from clnrm_nb.config.sources import KEYS

DOCS = Path(__file__).parents[2] / "docs"
NEED_AN_ENGINE = {"running", "examples", "distributed"}
BLOCK = re.compile(r"^```(console|toml|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site."""
    out = tmp_path_factory.mktemp("site")
    words = [
        "-m",
        "sphinx",
        "-q",
        "-W",
        "--keep-going",
        "-b",
        "html",
        "-d",
        str(out / ".trees"),
        str(DOCS),
        str(out),
    ]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out


def test_site_builds_without_a_warning_and_loads_nothing_from_elsewhere(site):
    pages = sorted(page.stem for page in site.glob("*.html"))

    assert {page.stem for page in DOCS.glob("*.md")} <= set(pages)
    for page in site.glob("*.html"):
        loaded = re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="(https?:[^"]+)"', page.read_text())
        assert not loaded, (page.name, loaded)


def test_reference_names_every_command_and_key(site):
    commands = (site / "commands.html").read_text()
    configuration = (site / "configuration.html").read_text()

    for command in COMMANDS:
        assert f">{command.name}<" in commands, command.name
        for flag in command.flags:
            assert f"-{flag.name}" in commands, flag.name
    for key in KEYS:
        assert f">{key.rpartition('.')[2]}</span>" in configuration, key


def pages():
    """Every page that shows something to type."""
    for page in sorted(DOCS.glob("*.md")):
        if {"console", "python"} & {kind for kind, _ in BLOCK.findall(page.read_text())}:
            yield pytest.param(page.stem, marks=[pytest.mark.docker] if page.stem in NEED_AN_ENGINE else [])


@pytest.mark.parametrize("page", list(pages()))
def test_blocks_of_a_page_do_what_they_show(page, tmp_path):
    blocks = BLOCK.findall((DOCS / f"{page}.md").read_text())
    notebook = nbformat.v4.new_notebook()
    client = nbclient.NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )

    with client.setup_kernel() if "python" in {kind for kind, _ in blocks} else nullcontext():
        for kind, text in blocks:
            if kind == "console":
                _type(text, tmp_path)
            elif kind == "python":
                notebook.cells.append(nbformat.v4.new_code_cell(text))
                client.execute_cell(notebook.cells[-1], len(notebook.cells) - 1)
            elif text.startswith("# "):
                file = tmp_path / text.split("\n", 1)[0].removeprefix("# ")
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)


def test_block_that_is_not_run_says_why_and_all_others_are_known_to_be_run():
    known = {"console", "toml", "python", "text", "{toctree}"}
    for page in DOCS.glob("*.md"):
        lines = page.read_text().splitlines()
        opened = [(number, line[3:]) for number, line in enumerate(lines) if re.match(r"```\S", line)]
        for number, kind in opened:
            reason = lines[number - 1]
            if kind == "bash":
                assert reason.startswith("% not run by the tests: "), (page.name, number + 1)
            else:
                assert kind in known, (page.name, number + 1)


def _type(text: str, directory: Path) -> None:
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": "120",
    }
    for command in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        typed, _, wanted = command.partition("\n")
        done = subprocess.run(
            ["bash", "-c", typed], cwd=directory, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (typed, done.stdout, done.stderr)
        assert re.fullmatch(_pattern(wanted), done.stdout), f"{typed}\n{done.stdout}\n{done.stderr}"


def _pattern(wanted: str) -> str:
    parts = []
    for line in wanted.splitlines():
        if line == "…":
            parts.append(r"(?:[^\n]*\n)*?")
        elif line.strip():
            start = re.escape(re.sub(r"\s+", " ", line.removesuffix("…").strip())).replace(r"\ ", r"\s+")
            parts.append(rf"[^\S\n]*{start}" + (r"[^\n]*\n" if line.endswith("…") else r"\s*?\n"))
    return "".join(parts)

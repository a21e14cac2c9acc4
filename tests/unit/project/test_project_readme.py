from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text()
FIRST_SCREEN_LINES = 35
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "clnrm_nb/examples").rglob("*.md")]
)


def test_first_screen_has_picture_demo_test_and_at_most_ten_notebook_lines():
    screen = "\n".join(README.splitlines()[:FIRST_SCREEN_LINES])

    assert re.search(r"!\[[^\]]{20,}\]\(docs/\S+\.svg\)", screen)
    assert re.search(r"^make demo\b", screen, re.MULTILINE)
    assert re.search(r"^make test\b", screen, re.MULTILINE)
    notebook = re.search(r"```python\n(.*?)```", screen, re.DOTALL)
    assert notebook
    lines = [line for line in notebook[1].splitlines() if line.strip()]
    assert lines[0] == "%load_ext clnrm_nb"
    assert len(lines) <= 10


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_of_a_page_lead_to_files_that_exist(page):
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    local = [target for target in targets if "://" not in target]

    assert [target for target in local if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_make_targets_named_on_a_page_exist(page):
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(), re.MULTILINE))

    assert {name for name in named if not re.search(rf"^{name}:", makefile, re.MULTILINE)} == set()


def test_picture_is_small_well_formed_and_loads_nothing():
    picture = ROOT / "docs" / "quickstart.svg"
    text = picture.read_text()

    ET.fromstring(text)
    assert len(text) < 100_000
    assert not re.search(r"(?:href|src)\s*=|url\(['\"]?http|@import|<script", text)


def test_architecture_names_every_package_and_every_dependency():
    page = (ROOT / "docs" / "architecture.md").read_text()
    packages = [path.parent.name for path in (ROOT / "clnrm_nb").glob("*/__init__.py")]
    project = (ROOT / "pyproject.toml").read_text()
    dependencies = re.findall(
        r'^  "([a-z0-9-]+)>=', project.split("dependencies = [")[1].split("]")[0], re.MULTILINE
    )

    assert dependencies
    assert [name for name in packages if f"{name}/" not in page] == []
    assert [name for name in dependencies if name not in page] == []


def test_layers_on_the_architecture_page_are_those_the_linter_holds():
    page = (ROOT / "docs" / "architecture.md").read_text()
    layers = re.search(r"```text\n([a-z, ]+ < .*?)```", page, re.DOTALL)[1]
    told = [sorted(part.split(", ")) for part in re.sub(r"\s+", " ", layers).strip().split(" < ")]
    contract = (ROOT / "pyproject.toml").read_text().split('type = "layers"')[1].split("]")[0]
    held = [
        sorted(name.rpartition(".")[2] for name in re.split(r" [|:] ", line))
        for line in re.findall(r'"(clnrm_nb\.[^"]+)"', contract)
    ]

    assert told == held[::-1]

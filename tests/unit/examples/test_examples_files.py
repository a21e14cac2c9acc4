from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from clnrm_nb import examples


@pytest.mark.parametrize("name", examples.NAMES)
def test_example_has_one_scenario_file_a_recording_and_programs(name):
    files = examples.files(name)

    assert [file for file in files if file.endswith(".clnrm.toml.tera")] == [f"{name}.clnrm.toml.tera"]
    assert "recording.json" in files
    assert any(file.startswith("services/") for file in files)


@pytest.mark.parametrize("name", examples.NAMES)
def test_nothing_that_python_or_a_tool_left_behind_is_laid_down(name):
    assert not [file for file in examples.files(name) if "__pycache__" in file or "/." in file]


def test_laying_down_an_example_copies_every_file_as_it_is(tmp_path):
    written, kept = examples.lay_down("quickstart", tmp_path / "new")

    assert kept == []
    assert {path.relative_to(tmp_path / "new" / "quickstart").as_posix() for path in written} == set(
        examples.files("quickstart")
    )
    for path in written:
        original = examples.directory("quickstart") / path.relative_to(tmp_path / "new" / "quickstart")
        assert path.read_bytes() == original.read_bytes()


def test_laying_down_again_leaves_changed_files_alone_unless_forced(tmp_path):
    examples.lay_down("shop", tmp_path)
    changed = tmp_path / "shop" / "services" / "shop.py"
    changed.write_text("mine")

    written, kept = examples.lay_down("shop", tmp_path)
    assert written == []
    assert changed in kept
    assert changed.read_text() == "mine"

    written, kept = examples.lay_down("shop", tmp_path, force=True)
    assert kept == []
    assert changed.read_text() != "mine"


def test_unknown_example_is_a_key_error():
    with pytest.raises(KeyError):
        examples.directory("no-such-example")


@pytest.mark.parametrize("module", ["places.py", "tracing.py", "traced_http.py"])
def test_both_examples_carry_the_same_copy_of_a_shared_module(module):
    copies = {(examples.directory(name) / "services" / module).read_text() for name in examples.NAMES}

    assert len(copies) == 1


@pytest.mark.parametrize("name", examples.NAMES)
def test_programs_import_only_the_standard_library_opentelemetry_and_their_neighbours(name):
    """What they import must be in the image, which holds nothing else."""
    services = examples.directory(name) / "services"
    neighbours = {path.stem for path in services.glob("*.py")}
    allowed = neighbours | set(sys.stdlib_module_names) | {"opentelemetry"}

    foreign = {
        (path.name, module)
        for path in services.glob("*.py")
        for module in _imported(path)
        if module not in allowed
    }

    assert foreign == set()


def _imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found

"""What was edited since a manifest was made is told file by file, line counts and mounted files included."""

import pytest

from clnrm_nb.cache import Inputs, LocalKey, Manifest, Present
from clnrm_nb.cache.edits import cosmetic, edits_since, lines_of, mounted_of
from clnrm_nb.cache.why import sentence

FILE = "tests/a.clnrm.toml.tera"


@pytest.fixture
def made(tmp_path):
    """A manifest of a small project, and how to ask what has changed since."""
    for name, text in {
        FILE: "a\nb\nc\n",
        "tests/_m.tera": "x\n",
        "site/src/x.html": "<p>",
        "site/src/y.html": "<p>",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    local = LocalKey(tmp_path / "key")
    environ = {"API_URL": "https://one.example"}

    def present(given="g"):
        return Present(tmp_path, environ, local.seal, settings="s", given=given)

    now = present()
    manifest = Manifest.of(
        "request",
        FILE,
        Inputs(
            files={name: now.files.now(now.path(name)).digest for name in (FILE, "tests/_m.tera")},
            missing=["tests/_later.tera"],
            environment=["API_URL"],
            mounts={"0:web:/srv": tmp_path / "site"},
        ),
        [],
        present(),
    )

    def told(**given):
        edits = edits_since(manifest, manifest.prints, present(**given))
        return edits, [sentence(edit) for edit in edits]

    return tmp_path, environ, told


def test_of_what_is_as_it_was_nothing_is_told(made):
    root, _, told = made
    (root / FILE).write_text("a\nb\nc\n")
    (root / "site/src/x.html").touch()
    assert told() == ([], [])


def test_each_edit_is_told(made):
    root, environ, told = made
    (root / FILE).write_text("a\nB\nc\nd\n")
    (root / "tests/_m.tera").unlink()
    (root / "tests/_later.tera").write_text("now")
    (root / "site/src/x.html").write_text("<b>")
    (root / "site/z.html").write_text("<b>")
    environ["API_URL"] = "https://two.example"

    edits, said = told(given="h")

    assert said == [
        "other variables are given from outside",
        "environment API_URL changed (value not shown)",
        f"include {FILE} changed (2 lines)",
        "include tests/_m.tera is gone",
        "include tests/_later.tera is there now",
        "mounts web:/srv changed: src/x.html, z.html",
    ]
    assert lines_of(edits) == {FILE: 2}
    assert mounted_of(edits) == {"web:/srv": ("src/x.html", "z.html")}


def test_edits_that_do_not_count_are_told_so(made):
    root, _, told = made
    (root / FILE).write_text("# a comment\na\nb\nc\n")
    edits, _ = told()
    assert [sentence(edit) for edit in cosmetic(edits)] == [
        f"{FILE} changed (1 line): comments and spelling only, the scenario it renders to is the same"
    ]

"""TAB on a ``%clnrm`` line: commands, flags, and the ids of tests and baselines that are known."""

import pytest

from clnrm_nb.notebook.completion import complete
from clnrm_nb.state import State
from clnrm_nb.state.reviews import PendingReview, Reviews


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    (tmp_path / ".clnrm").mkdir()
    monkeypatch.chdir(tmp_path)
    tests = [{"id": f"tests/{name}.clnrm.toml", "status": "passed"} for name in ("api", "db")]
    with State.open(tmp_path / ".clnrm") as state:
        state.save_run({"started_at": "2026-01-01T00:00:00Z", "data": {"tests": tests}}, {})
        waiting = (
            "tests/db.clnrm.toml::pay",
            "tests/db.clnrm.toml",
            "pay",
            "01",
            "2026",
            "",
            "",
            1,
            "passed",
            True,
        )
        Reviews(state).put(PendingReview(*waiting))
    accepted = tmp_path / ".clnrm" / "baselines" / "x.json"
    accepted.parent.mkdir()
    accepted.write_text('{"clnrm":{"id":"tests/api.clnrm.toml::checkout"},\n', encoding="utf-8")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("ca", ["cache"]),
        ("cache ", ["clear", "list", "stats", "verify", "why"]),
        ("cache w", ["why"]),
        ("why ", ["tests/api.clnrm.toml", "tests/db.clnrm.toml"]),
        ("cache why tests/a", ["tests/api.clnrm.toml"]),
        ("history tests/api.clnrm.toml tests/d", ["tests/db.clnrm.toml"]),
        ("baseline blame ", ["tests/api.clnrm.toml::checkout", "tests/db.clnrm.toml::pay"]),
        ("baseline accept tests/d", ["tests/db.clnrm.toml::pay"]),
        ("run --back", ["--backend"]),
        ("nothing of the kind ", []),
    ],
)
def test_a_line_is_gone_on_with(line, words):
    assert complete(line) == words


def test_a_notebook_asks_us():
    from IPython.core.completer import provisionalcompleter
    from IPython.core.interactiveshell import InteractiveShell

    from clnrm_nb.notebook.magics import load, unload

    shell = InteractiveShell()
    load(shell)
    try:
        with provisionalcompleter():
            found = [one.text for one in shell.Completer.completions("%clnrm cache why tests/a", 24)]
    finally:
        unload(shell)
    assert "tests/api.clnrm.toml" in found


def test_where_there_is_no_project_there_are_no_names(tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    monkeypatch.setattr("clnrm_nb.state.State.open", None)
    assert complete("why ") == []

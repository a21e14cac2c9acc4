"""How a trace changed over its accepted versions: counted between each two, from objects or from git."""

from __future__ import annotations

import subprocess

import pytest

from clnrm_nb.baseline import BaselineReview, compare_run
from clnrm_nb.baseline.evolution import evolution
from clnrm_nb.config.project import Project
from clnrm_nb.config.settings import load_settings
from clnrm_nb.executor.outcome import ScenarioOutcome, TestOutcome
from clnrm_nb.report.evolution import BaselineHistory, Evolution
from clnrm_nb.spans.model import Resource, Span
from clnrm_nb.spans.table import SpanTable
from clnrm_nb.state import State

TEST = "tests/api.clnrm.toml"
ID = f"{TEST}::checkout"
RESOURCE = Resource({"service.name": "api"})


def trace(*names, rows=2):
    spans = [Span("1" * 32, "1" * 16, "GET /", attributes={"rows": rows}, resource=RESOURCE)]
    for number, name in enumerate(names, 2):
        spans.append(Span("1" * 32, f"{number:016x}", name, "1" * 16, resource=RESOURCE))
    return SpanTable(spans)


class Place:
    def __init__(self, root):
        self.root = root
        self.project = Project(root, root / ".clnrm")
        self.state = State.open(self.project.state_dir)
        self.runs = 0

    @property
    def review(self):
        return BaselineReview(self.project, self.state)

    def accept(self, table, message=""):
        self.runs += 1
        spans = SpanTable()
        for span in table.spans():
            spans.append(span, "checkout")
        part = ScenarioOutcome("checkout", status="passed")
        outcome = TestOutcome(TEST, TEST, status="passed", complete=True, scenarios=[part], spans=spans)
        compare_run(
            [outcome],
            project=self.project,
            state=self.state,
            settings=load_settings(self.project, overrides={}, environ={}),
            run_id=f"01{self.runs:03d}",
            at=f"2025-01-0{self.runs}T00:00:00Z",
        )
        self.review.accept([ID], by="ada <ada@example.com>", message=message)

    def rows(self):
        return [one.to_json() for one in evolution(self.review, ID)]


@pytest.fixture
def place(tmp_path):
    place = Place(tmp_path)
    yield place
    place.state.close()


def three(place):
    place.accept(trace("SELECT"))
    place.accept(trace("SELECT", "charge"), "a second call")
    place.accept(trace("charge", rows=5))


def test_each_version_says_what_it_changed(place):
    three(place)

    rows = place.rows()

    assert [row["version"] for row in rows] == [1, 2, 3]
    assert [row["spans"] for row in rows] == [2, 3, 2]
    assert [row["added"] for row in rows] == [None, 1, 0]
    assert [row["missing"] for row in rows] == [None, 0, 1]
    assert [row["changed"] for row in rows] == [None, 0, 1]
    assert [row["cost"] for row in rows] == [None, 6, 8]
    assert [row["in_use"] for row in rows] == [False, False, True]
    assert rows[1]["change"] == "new: charge (1 span)"
    assert rows[1]["reason"] == "a second call"


def test_a_version_that_was_undone_is_none(place):
    three(place)
    place.review.undo(ID)

    assert [row["version"] for row in place.rows()] == [1, 2]
    assert place.rows()[-1]["in_use"]


def test_a_restored_version_stands_where_it_came_back(place):
    three(place)
    place.review.restore(ID, 1)

    rows = place.rows()

    assert [(row["version"], row["action"]) for row in rows][-1] == (1, "restore")
    assert (rows[-1]["renamed"], rows[-1]["changed"]) == (1, 1)


def test_a_version_nobody_has_is_listed_without_counts(place):
    three(place)
    place.state.close()
    place.state = State.open(place.root / "elsewhere")

    rows = place.rows()

    assert [row["spans"] for row in rows] == [None, None, 2]
    assert [row["added"] for row in rows] == [None, None, None]


def test_versions_this_machine_has_lost_come_from_git(place):
    def git(*words):
        subprocess.run(["git", *words], cwd=place.root, check=True, capture_output=True)

    git("init", "-q")
    for number, table in enumerate([trace("SELECT"), trace("SELECT", "charge"), trace("charge")]):
        place.accept(table)
        git("add", "-A")
        git("-c", "user.name=ada", "-c", "user.email=a@example.com", "commit", "-q", "-m", f"{number}")
    place.state.close()
    place.state = State.open(place.root / "elsewhere")

    rows = place.rows()

    assert [row["spans"] for row in rows] == [2, 3, 2]
    assert [row["added"] for row in rows] == [None, 1, 0]


def test_a_scenario_without_a_baseline_has_no_versions(place):
    assert place.rows() == []


# ----------------------------------------------------------------------------------------- what is shown


def test_the_frame_has_one_row_a_version_with_nullable_counts(place):
    three(place)

    frame = Evolution(place.rows()).frame

    assert frame["added"].dtype == "Int64"
    assert frame["added"].tolist()[1:] == [1, 0]
    assert str(frame["accepted_at"].dtype).startswith("datetime64[ns, UTC")
    assert frame["in_use"].tolist() == [False, False, True]


def test_the_plot_stacks_what_changed_and_draws_the_spans_as_a_line(place):
    three(place)

    figure = Evolution(place.rows()).plot()

    drawn = {trace.name: list(trace.y) for trace in figure.data}
    assert drawn == {
        "missing": [0, 0, 1],
        "added": [0, 1, 0],
        "changed": [0, 0, 1],
        "spans in all": [2, 3, 2],
    }
    assert figure.layout.barmode == "stack"
    assert list(figure.layout.xaxis.ticktext) == ["v1", "v2", "v3"]


def test_the_plot_of_nothing_is_an_empty_figure():
    assert [list(trace.y) for trace in Evolution([]).plot().data] == [[]]


def test_names_of_strangers_are_shown_and_not_obeyed_in_the_plot(place):
    place.accept(trace("SELECT"))
    place.accept(trace("SELECT", "<b>x</b>"))

    figure = Evolution(place.rows()).plot()

    assert all("<b>" not in text for trace in figure.data for text in trace.hovertext)


def test_the_history_of_decisions_tells_its_versions_in_words(place):
    three(place)
    versions = place.rows()

    history = BaselineHistory([{"scenario_id": ID, "version": 1}], versions, title=ID)

    assert history.notes[0] == "version 2: 1 added (3 spans, cost 6): new: charge (1 span)"
    assert history.raw["data"]["versions"][2]["missing"] == 1
    assert history.plot().data

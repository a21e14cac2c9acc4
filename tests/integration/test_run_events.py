"""The one stream of live events: its order, for every way a test can end, and that everybody reads the same."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
from collections import Counter
from importlib import resources

import pytest

import clnrm_nb
from clnrm_nb.errors import BackendUnavailableError
from clnrm_nb.executor.events import Event
from clnrm_nb.notebook.progress import RunProgress
from clnrm_nb.report.progress import LiveProgress

SPECIFIED = (
    "run.start test.queued test.start service.ready step.end span scenario.end test.end diagnostic run.end"
)
ONCE = {"test.queued", "test.start", "test.end"}


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / ".clnrm").mkdir()
    with resources.as_file(resources.files("clnrm_nb.self_test")) as source:
        for file in ("green.clnrm.toml.tera", "no_spans.clnrm.toml", "broken.clnrm.toml.tera"):
            shutil.copy(source / file, tmp_path / file)
    (tmp_path / "service.clnrm.toml").write_text(
        '[meta]\nname = "s"\nversion = "1"\n'
        '[services.box]\nimage = "none"\nargs = ["sh", "-c", "echo up; sleep 60"]\n'
        'health_check = { cmd = ["true"] }\n'
        '[[steps]]\nname = "go"\ncommand = "true"\n'
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def assert_sound(events: list[Event], statuses: dict[str, str]) -> None:
    """What a reader may rely on."""
    assert [event.event for event in (events[0], events[-1])] == ["run.start", "run.end"]
    assert [event.event for event in events].count("run.end") == 1
    assert len({event.run for event in events}) == 1
    assert sorted(event.at for event in events) == [event.at for event in events]
    for test, status in statuses.items():
        told = [event for event in events if event.test == test]
        names = [event.event for event in told]
        counts = Counter(names)
        assert (names[0], names[-1], told[-1].status) == ("test.queued", "test.end", status)
        assert all(counts[name] <= 1 for name in ONCE)
        if "test.start" not in counts:
            assert set(names) <= {"test.queued", "diagnostic", "test.end"}
        else:
            assert names[1] == "test.start"
        # A scenario ends after its steps.
        open_steps = 0
        for name in names:
            open_steps += name == "step.end"
            if name == "scenario.end":
                open_steps = 0
        assert open_steps == 0


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"retries": 1, "flaky": "fail"},
        {"repeat": 2},
        {"until_fail": True},
        {"fail_fast": True, "workers": 1},
        {"resume": True},
    ],
    ids=str,
)
def test_every_test_has_one_story_and_terminal_notebook_and_lines_read_the_same(project, capsys, options):
    events: list[Event] = []
    notebook = RunProgress()
    terminal = LiveProgress(io.StringIO(), verbose=True)

    def listen(event):
        events.append(event)
        notebook.take(event)
        terminal(event)

    result = clnrm_nb.run(".", backend="process", listener=listen, emit_events="jsonl", **options)

    statuses = {test["id"]: test["status"] for test in result.tests}
    assert_sound(events, statuses)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]
    assert lines == [json.loads(json.dumps(event.to_json(), default=str)) for event in events]
    assert {test.id: test.status for test in notebook.tests.values()} == statuses
    ends = Counter(terminal._statuses)
    assert ends == Counter(statuses.values())


def test_every_event_of_the_specification_is_told(project):
    events: list[Event] = []

    clnrm_nb.run(".", backend="process", listener=events.append)

    assert set(SPECIFIED.split()) <= {event.event for event in events}


def test_a_stream_begins_and_ends_with_its_run(project):
    async def read():
        return [event async for event in clnrm_nb.stream("green.clnrm.toml.tera", backend="process")]

    events = asyncio.run(read())

    assert_sound(events, {"green.clnrm.toml.tera": "passed"})


def test_a_run_that_cannot_start_says_that_it_is_over(project):
    events: list[Event] = []

    with pytest.raises(BackendUnavailableError):
        clnrm_nb.run("no_spans.clnrm.toml", listener=events.append, docker_host="unix:///nowhere/docker.sock")

    assert [(event.event, event.status) for event in events] == [("run.start", None), ("run.end", "error")]


def test_a_listener_that_fails_costs_nothing_but_its_events(project):
    def listen(event):
        raise ValueError("my own bug")

    result = clnrm_nb.run("green.clnrm.toml.tera", backend="process", listener=listen)

    assert result.ok


def test_a_repeated_test_says_how_often_it_ran_and_what_came_of_it(project):
    mark = project / "mark"
    (project / "second.clnrm.toml").write_text(
        '[meta]\nname = "s"\nversion = "1"\n[[steps]]\nname = "once"\n'
        f"command = \"sh -c 'test ! -e {mark} && touch {mark}'\"\n"
    )
    events: list[Event] = []

    result = clnrm_nb.run("second.clnrm.toml", backend="process", repeat=3, listener=events.append)

    (test,) = result.tests
    assert test["status"] == "failed"
    assert test["reason"].endswith("run 3 times: 1 passed, 2 failed")
    assert test["scenarios"][0]["commands"][0]["exit_code"] == 1
    rounds = [(event.data["number"], event.status) for event in events if event.event == "test.repeat"]
    assert rounds == [(1, "passed"), (2, "failed"), (3, "failed")]
    assert events[-2].data["runs"] == 3

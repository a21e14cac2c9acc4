"""Watching with real containers: what is obsolete goes with everything it has, what is not stays."""

from __future__ import annotations

import threading
import time

import pytest

from clnrm_nb import api

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("no_leftovers")]

PATIENCE_S = 60.0
A, B = "a.clnrm.toml", "b.clnrm.toml"


@pytest.fixture
def write(tmp_path, monkeypatch, busybox_image):
    (tmp_path / ".clnrm").mkdir()
    (tmp_path / ".clnrm" / "config.toml").write_text(f'[containers]\ndefault_image = "{busybox_image}"\n')
    monkeypatch.chdir(tmp_path)

    def write(name, command):
        file = tmp_path / f"{name}.clnrm.toml"
        # Whole at once, so that one save is one change however slow the machine is.
        passing = file.with_name(f".{file.name}.tmp")
        passing.write_text(
            f'[meta]\nname = "{name}"\nversion = "1"\n'
            f'[services.db]\nimage = "{busybox_image}"\nargs = ["sleep", "1000"]\n'
            f'[[steps]]\nname = "go"\ncommand = ["sh", "-c", "{command}"]\n'
        )
        passing.replace(file)

    return write


@pytest.fixture
def watching(write):
    """Watch the tests there are; what was said, and a way to wait for it."""
    events, heard = [], threading.Condition()

    def take(event):
        with heard:
            events.append(event)
            heard.notify_all()

    def until(condition, since=0):
        with heard:
            is_there = heard.wait_for(lambda: any(condition(one) for one in events[since:]), PATIENCE_S)
        assert is_there, [(one.event, one.test, one.status) for one in events[since:]]

    handles = []

    def start(**options):
        handles.append(api.watch(".", detach=True, listener=take, settle=20, **options))
        return handles[0], events, until

    yield start
    for handle in handles:
        handle.stop(PATIENCE_S)


def containers(engine, test):
    return {name for kind, name in engine.labelled("clnrm_nb.test", test) if kind == "container"}


def until_gone(engine, test, names):
    deadline = time.monotonic() + PATIENCE_S
    while names & containers(engine, test):
        assert time.monotonic() < deadline, names & containers(engine, test)
        time.sleep(0.01)


def test_a_save_removes_the_containers_of_the_obsolete_run_and_leaves_those_of_others(
    write, watching, engine
):
    write("a", "sleep 600")
    write("b", "sleep 600")
    handle, events, until = watching(workers=2)
    for test in (A, B):
        until(lambda event, test=test: event.event == "service.ready" and event.test == test)
    of_a, of_b = containers(engine, A), containers(engine, B)
    since = len(events)

    write("a", "true")
    until(lambda event: event.event == "test.end" and event.test == A and event.status == "passed", since)
    until_gone(engine, A, of_a)
    still_of_b = containers(engine, B)
    handle.quit()
    result = handle.wait(PATIENCE_S)

    assert of_a
    assert still_of_b == of_b
    assert {test["id"]: test["status"] for test in result.tests} == {A: "passed", B: "skipped"}


def test_an_engine_that_is_gone_is_shown_and_watching_goes_on(write, watching, engine, monkeypatch):
    write("a", "true")
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    handle, events, until = watching()

    until(lambda event: event.event == "watch.note" and event.data["level"] == "error")
    state = handle.status
    monkeypatch.setenv("DOCKER_HOST", engine.url)
    handle.rerun()
    until(lambda event: event.event == "watch.result")

    assert "CLN601" in next(one.data["text"] for one in events if one.event == "watch.note")
    assert state == "waiting"
    assert handle.stop(PATIENCE_S).ok

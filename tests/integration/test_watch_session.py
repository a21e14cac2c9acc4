"""A session of watching on real files: what is saved, what runs because of it, what does not and why."""

from __future__ import annotations

import shutil
import threading
from importlib import resources

import pytest

from clnrm_nb import api
from clnrm_nb.errors import ConfigError, UsageError

PATIENCE_S = 60.0
GREEN = "green.clnrm.toml.tera"


class Watched:
    """A watcher, and everything it has said."""

    def __init__(self, **options):
        self.events = []
        self._heard = threading.Condition()
        self.handle = api.watch(".", detach=True, listener=self._take, backend="process", **options)

    def _take(self, event):
        with self._heard:
            self.events.append(event)
            self._heard.notify_all()

    def until(self, condition, since=0):
        """Wait for what the events since then must hold."""
        with self._heard:
            is_there = self._heard.wait_for(lambda: condition(self.events[since:]), PATIENCE_S)
        assert is_there, [(event.event, event.test, event.data) for event in self.events[since:]][-12:]

    def after(self, act, why="change"):
        """Do something, and wait until all that it brought about is judged: plan, verdicts by test."""
        since = len(self.events)
        act()
        self.until(
            lambda said: any(one.event == "watch.plan" and one.data["why"] == why for one in said), since
        )
        self.until(lambda said: not _open_runs(said), since)
        said = self.events[since:]
        plan = [one.data for one in said if one.event == "watch.plan"][-1]
        tests = [test for one in said if one.event == "watch.result" for test in one.data["tests"]]
        return plan, {test["id"]: test["status"] for test in tests}

    def notes(self):
        return [event.data["text"] for event in self.events if event.event == "watch.note"]


def _open_runs(events):
    planned = sum(bool(event.data["run"]) for event in events if event.event == "watch.plan")
    return planned - sum(event.event == "run.end" for event in events) or sum(
        event.event == "run.end" for event in events
    ) > sum(event.event == "watch.result" for event in events)


def save(file, text):
    """Whole at once, so that one save is one change however slow the machine is."""
    passing = file.with_name(f".{file.name}.tmp")
    passing.write_text(text)
    passing.replace(file)


def reasons(plan):
    return {each["test"]: each["reason"] for each in plan["not_run"]}


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / ".clnrm").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def write(project):
    """Write a test file that runs one shell command."""

    def write(name, command="true", *, head="", comment=""):
        file = project / f"{name}.clnrm.toml.tera"
        save(
            file,
            f'{head}{comment}[meta]\nname = "{name}"\nversion = "1"\n'
            f'[[steps]]\nname = "go"\ncommand = ["sh", "-c", "{command}"]\n',
        )

    return write


@pytest.fixture
def watching(write, project):
    """Watch three tests, of which one uses a macro; all have their verdict."""
    write("a")
    write("b", head='{% import "_m.tera" as m %}\n')
    write("c", "exit 3")
    (project / "_m.tera").write_text("{% macro one() %}1{% endmacro %}\n")
    started = []

    def start(**options):
        watched = Watched(**{"settle": 20, **options})
        started.append(watched)
        watched.until(lambda said: said and said[-1].event == "watch.result" and not _open_runs(said))
        return watched

    yield start
    for watched in started:
        watched.handle.stop(PATIENCE_S)


A, B, C = (f"{name}.clnrm.toml.tera" for name in "abc")


def test_everything_is_run_at_the_start_and_the_end_tells_the_last_state(watching):
    watched = watching()

    result = watched.handle.stop(PATIENCE_S)

    assert {test["id"]: test["status"] for test in result.tests} == {A: "passed", B: "passed", C: "failed"}
    assert (result.exit_code, result.raw["command"], watched.handle.status) == (1, "watch", "failed")
    assert watched.events[-1].event == "watch.end"


def test_a_saved_test_runs_and_no_other(watching, write):
    watched = watching()

    plan, verdicts = watched.after(lambda: write("c", "exit 0"))

    assert (plan["run"], verdicts) == ([C], {C: "passed"})
    assert reasons(plan) == {A: f"does not depend on {C}", B: f"does not depend on {C}"}
    assert plan["reasons"] == {C: f"{C} changed"}
    assert watched.handle.stop(PATIENCE_S).ok


def test_a_test_that_writes_where_it_may_is_not_run_again_for_it(watching, write, project):
    """It was, without end: each run changed a file that is an input of the next."""
    (project / "data").mkdir()
    head = '[services.s]\nimage = "any:1"\nargs = ["sleep", "60"]\nvolumes = [{ host_path = "data", container_path = "/data" }]\n'
    count = project / "data" / "count"
    watched = watching()

    plan, verdicts = watched.after(lambda: write("w", f"echo x >> {count}; mkdir {count}.d", head=head))
    watched.until(lambda said: any("written while w.clnrm" in text for text in watched.notes()))
    other, _ = watched.after(lambda: write("c", "exit 0"))

    assert (plan["run"], verdicts) == (["w.clnrm.toml.tera"], {"w.clnrm.toml.tera": "passed"})
    assert other["run"] == [C]
    assert count.read_text() == "x\n"


def test_an_edited_macro_runs_its_users_and_no_other(watching, project):
    watched = watching()

    plan, verdicts = watched.after(lambda: save(project / "_m.tera", "{% macro one() %}2{% endmacro %}\n"))

    assert plan["run"] == [B]
    assert list(verdicts) == [B]
    assert set(reasons(plan)) == {A, C}


def test_a_comment_runs_nothing_and_says_why(watching, write):
    watched = watching()

    plan, verdicts = watched.after(lambda: write("a", comment="# nothing new\n"))
    (test,) = [one for one in watched.events if one.event == "watch.result"][-1].data["tests"]

    assert (plan["run"], verdicts) == ([A], {A: "cached"})
    assert "1 line" in test["cause"]
    assert watched.handle.why()[0] == f"{A}: not run: cached, {test['cause']}"


def test_asked_for_again_it_really_runs_again(watching):
    watched = watching()

    _, all_again = watched.after(watched.handle.run_all, why="asked for")

    assert all_again == {A: "passed", B: "passed", C: "failed"}


def test_a_missing_include_runs_its_test_when_it_is_created(watching, write, project):
    write("d", head='{% include "_later.tera" %}')
    watched = watching()
    broken = {test["id"]: test["status"] for test in watched.handle.result.tests}

    plan, verdicts = watched.after(lambda: save(project / "_later.tera", "# here now\n"))

    assert broken["d.clnrm.toml.tera"] == "error"
    assert (plan["run"], verdicts) == (["d.clnrm.toml.tera"], {"d.clnrm.toml.tera": "passed"})


def test_a_broken_edit_shows_what_is_wrong_where_and_runs_nothing_until_it_is_repaired(watching, write):
    watched = watching()
    since = len(watched.events)

    plan, broken = watched.after(lambda: write("a", head="oops = [\n"))
    said = watched.events[since:]
    repaired, verdicts = watched.after(lambda: write("a"))

    (finding,) = next(one.data["findings"] for one in said if one.event == "watch.diagnostics")
    assert (finding["file"], finding["line"], finding["severity"]) == (A, 1, "error")
    assert (plan["run"], broken) == ([], {A: "error"})
    assert (repaired["run"], verdicts) == ([A], {A: "cached"})
    assert watched.handle.state.findings_of("error") == []


def test_a_save_during_a_run_stops_only_what_it_makes_obsolete(watching, write, project):
    watched = watching()
    since = len(watched.events)
    for name in "ab":
        write(name, f"while ! test -e {project}/may-end; do sleep 0.01; done")

    def begun(said):
        return {one.test for one in said if one.event == "test.start"} >= {A, B}

    watched.until(begun, since)
    since = len(watched.events)
    write("a", "echo other")
    watched.until(lambda said: any(one.event == "test.end" and one.status == "passed" for one in said), since)
    is_b_running = [test.id for test in watched.handle.state.running] == [B]
    (project / "may-end").touch()
    watched.until(lambda said: not watched.handle.state.is_running, since)

    ends = [(one.test, one.status) for one in watched.events[since:] if one.event == "test.end"]
    assert is_b_running
    assert (A, "skipped") in ends
    assert (A, "passed") in ends
    assert [status for test, status in ends if test == B] == ["passed"]


def test_a_newer_verdict_stays_when_the_run_before_it_ends_at_last(write, project):
    write("a")
    write("b", f"while ! test -e {project}/may-end; do sleep 0.01; done")
    watched = Watched(settle=20)
    try:
        watched.until(lambda said: any(one.event == "test.end" and one.test == A for one in said))
        since = len(watched.events)
        write("a", "exit 3")
        watched.until(lambda said: any(one.event == "watch.result" for one in said), since)
        (project / "may-end").touch()
        watched.until(lambda said: sum(one.event == "watch.result" for one in said) == 2, since)
    finally:
        result = watched.handle.stop(PATIENCE_S)

    assert {test["id"]: test["status"] for test in result.tests} == {A: "failed", B: "passed"}
    assert [one.test for one in watched.events if one.event == "test.start"].count(B) == 1


def test_a_deleted_file_takes_its_tests_along(watching, project):
    watched = watching()

    plan, _ = watched.after((project / A).unlink)

    assert plan["run"] == []
    assert A not in reasons(plan)
    assert [test["id"] for test in watched.handle.stop(PATIENCE_S).tests] == [B, C]


def test_a_new_file_is_noticed_and_run(watching, write):
    watched = watching()

    plan, verdicts = watched.after(lambda: write("n"))

    assert (plan["run"], verdicts) == (["n.clnrm.toml.tera"], {"n.clnrm.toml.tera": "passed"})


def test_saves_in_quick_succession_are_one_run(watching, write):
    watched = watching(settle=1_500, debounce=20_000)
    runs = sum(one.event == "run.start" for one in watched.events)

    def three():
        for number in range(3):
            write("a", f"echo {number}")

    plan, _ = watched.after(three)

    assert plan["reasons"] == {A: f"{A} changed"}
    assert sum(one.event == "run.start" for one in watched.events) == runs + 1


def test_a_root_that_is_deleted_and_made_again_is_watched_on(write, project, monkeypatch):
    tests = project / "tests"
    tests.mkdir()
    write("tests/a")
    watched = Watched(settle=20)
    try:
        watched.until(lambda said: any(one.event == "watch.result" for one in said))
        shutil.rmtree(tests)
        watched.until(lambda said: any(one.event == "watch.diagnostics" and one.data["gone"] for one in said))
        since = len(watched.events)
        tests.mkdir()
        write("tests/a", "echo again")
        watched.until(lambda said: any(one.event == "watch.result" for one in said), since)
    finally:
        result = watched.handle.stop(PATIENCE_S)

    assert [(test["id"], test["status"]) for test in result.tests] == [("tests/a.clnrm.toml.tera", "passed")]


def test_a_broken_configuration_is_shown_and_the_old_one_stays(watching, project):
    watched = watching()
    config = project / ".clnrm" / "config.toml"

    save(config, "[watch\n")
    watched.until(lambda said: any(one.event == "watch.note" for one in said))
    plan, _ = watched.after(lambda: save(config, "[watch]\nsettle_ms = 30\n"))

    assert set(plan["run"]) == {A, B, C}
    assert any("CLN803" in note and "still holds" in note for note in watched.notes())


# -------------------------------------------------------------------------------------------- filters


def test_a_baseline_that_is_accepted_elsewhere_judges_again_without_running(project, write):
    with resources.as_file(resources.files("clnrm_nb.self_test")) as source:
        shutil.copy(source / GREEN, project / GREEN)
    watched = Watched(settle=20, baseline=True)
    try:
        watched.until(lambda said: said and said[-1].event == "watch.result")
        plan, verdicts = watched.after(lambda: api.baseline_accept(accept_all=True))
        ran = [one.test for one in watched.events if one.event == "test.start"]
    finally:
        result = watched.handle.stop(PATIENCE_S)

    assert plan["run"] == [GREEN]
    assert verdicts == {GREEN: "cached"}
    assert ran == [GREEN]
    assert result.diff is not None
    assert {part.status for part in result.diff.comparisons} == {"same"}


def test_a_tolerance_rule_that_is_saved_judges_again_without_running_and_a_broken_one_is_told(project):
    with resources.as_file(resources.files("clnrm_nb.self_test")) as source:
        shutil.copy(source / GREEN, project / GREEN)
    api.run(GREEN, backend="process", baseline=True, update_baseline=True, vars={"root": "other"})
    rules = project / ".clnrm" / "baselines" / "rules.toml"
    alias = '[[tolerance]]\nid = "r"\nreason = "renamed"\nselect = { span = "other" }\nalias = "checkout"\n'
    watched = Watched(settle=20, baseline=True)
    try:
        watched.until(lambda said: said and said[-1].event == "watch.result")
        _, with_rule = watched.after(lambda: save(rules, alias))
        since = len(watched.events)
        save(rules, alias.replace("alias", "aliases"))
        watched.until(lambda said: any(one.event == "watch.note" for one in said), since)
        (told,) = watched.notes()
        _, mended = watched.after(lambda: save(rules, alias))
        ran = [one.test for one in watched.events if one.event == "test.start"]
    finally:
        watched.handle.stop(PATIENCE_S)

    assert (with_rule, mended) == ({GREEN: "cached"}, {GREEN: "cached"})
    assert "CLN325" in told
    assert ".clnrm/baselines/rules.toml:1:1" in told
    assert "watching goes on" in told
    assert ran == [GREEN]


def test_accepting_makes_what_is_there_the_baseline_and_judges_again(project, write):
    with resources.as_file(resources.files("clnrm_nb.self_test")) as source:
        shutil.copy(source / GREEN, project / GREEN)
    watched = Watched(settle=20, baseline=True)
    try:
        watched.until(lambda said: said and said[-1].event == "watch.result")
        differing = watched.handle.differing()
        _, verdicts = watched.after(watched.handle.accept)
    finally:
        watched.handle.stop(PATIENCE_S)

    assert differing
    assert verdicts == {GREEN: "cached"}
    assert watched.handle.differing() == []


def test_only_failing_tests_is_a_filter_that_stays_and_what_it_left_out_runs_later(watching, write):
    watched = watching()

    filtered, _ = watched.after(watched.handle.failed_only, why="filter")
    saved, _ = watched.after(lambda: write("a", "echo new"))
    cleared, verdicts = watched.after(watched.handle.clear, why="filters cleared")

    assert filtered["run"] == [C]
    assert saved["run"] == []
    assert reasons(saved)[A] == f"filtered out, though {A} changed"
    assert (cleared["run"], verdicts) == ([A], {A: "passed"})


def test_file_and_test_filters_narrow_what_runs(watching):
    watched = watching()

    by_file, _ = watched.after(lambda: watched.handle.only_files("b.clnrm"), why="filter")
    watched.handle.clear()
    by_test, _ = watched.after(lambda: watched.handle.only_tests("not a.clnrm"), why="filter")

    assert by_file["run"] == [B]
    assert by_test["run"] == [B, C]


def test_a_malformed_filter_is_said_to_be_one_and_changes_nothing(watching):
    watched = watching()

    watched.handle.only_tests("a and (")
    watched.until(lambda said: any(one.event == "watch.note" for one in said))

    assert watched.handle.state.filters == {}
    assert "a and (" in watched.notes()[-1]


def test_asked_for_all_while_tests_run_they_are_stopped_and_begin_again_at_once(watching, write):
    watched = watching()
    since = len(watched.events)
    write("a", "sleep 600")
    watched.until(lambda said: any(one.event == "test.start" for one in said), since)
    since = len(watched.events)

    watched.handle.run_all()
    watched.until(lambda said: sum(one.event == "test.end" for one in said) >= 3, since)

    said = [(one.event, one.test, one.status) for one in watched.events[since:]]
    assert ("test.end", A, "skipped") in said
    assert ("test.start", A, None) in said
    assert {test for event, test, status in said if event == "test.end" and status != "skipped"} == {B, C}


# ---------------------------------------------------------------------------------------- beginning, end


def test_watching_that_is_switched_off_refuses_and_names_the_key(project):
    (project / ".clnrm" / "config.toml").write_text("[watch]\nenabled = false\n")

    with pytest.raises(ConfigError, match=r"watch\.enabled.*config\.toml") as refused:
        api.watch(".")

    assert refused.value.diagnostic.code == "CLN808"


@pytest.mark.parametrize("option", [{"repeat": 2}, {"until_fail": True}, {"resume": True}])
def test_what_only_makes_sense_for_one_run_is_refused(project, option):
    with pytest.raises(UsageError, match="not for watching"):
        api.watch(".", **option)


def test_once_is_the_first_run_and_nothing_else(write, project):
    write("a")

    result = api.watch(".", once=True, backend="process")

    assert [(test["id"], test["status"]) for test in result.tests] == [(A, "passed")]


@pytest.mark.parametrize(("path", "code"), [(".", "CLN004"), ("nowhere", "CLN001")])
def test_once_without_any_file_is_no_success(project, path, code):
    result = api.watch(path, once=True, backend="process")

    assert result.exit_code == 2
    assert [finding["code"] for finding in result.raw["diagnostics"]] == [code]


def test_a_library_with_errors_is_shown_and_is_no_success_until_it_is_repaired(watching, project):
    watched = watching()
    library = project / "_lib.clnrm.toml.tera"

    save(library, "{% macro broken( %}")
    watched.until(lambda said: any(one.event == "watch.diagnostics" and one.data["errors"] for one in said))
    broken = watched.handle.result.exit_code
    save(library, "{% macro whole() %}{% endmacro %}")
    watched.until(
        lambda said: said[-1].event == "watch.plan" and not watched.handle.state.findings_of("error")
    )

    assert broken == 2
    assert watched.handle.stop(PATIENCE_S).exit_code == 1


def test_stopping_during_a_run_says_that_its_test_was_not_run(write, project):
    write("a", "sleep 60")
    watched = Watched(settle=20)
    watched.until(lambda said: any(one.event == "test.start" for one in said))

    result = watched.handle.stop(PATIENCE_S)

    (test,) = result.tests
    assert (test["status"], result.exit_code) == ("skipped", 0)
    assert "watching ended" in test["reason"]


def test_an_interrupt_stops_what_runs_and_exits_as_interrupts_do(write, project):
    write("a", "sleep 60")
    watched = Watched(settle=20)
    watched.until(lambda said: any(one.event == "test.start" for one in said))

    watched.handle.interrupt()
    result = watched.handle.wait(PATIENCE_S)

    assert (result.tests[0]["status"], result.exit_code) == ("interrupted", 130)


def test_no_more_tests_than_allowed_run_at_once_in_all_runs_together(write, project):
    (project / ".clnrm" / "config.toml").write_text("[watch]\nmax_concurrent = 1\n")
    log = project / "log"
    command = f"echo + >> {log}; sleep 0.05; echo - >> {log}"
    for name in "abc":
        write(name, command)
    watched = Watched(settle=20, workers=4)
    try:
        watched.until(lambda said: any(one.event == "test.start" for one in said))
        write("d", command)
        watched.until(lambda said: sum(one.event == "watch.result" for one in said) == 2)
    finally:
        watched.handle.stop(PATIENCE_S)

    assert log.read_text().split() == ["+", "-"] * 4

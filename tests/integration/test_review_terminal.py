"""``clnrm review`` at a real terminal: keys decide, undo restores, what nobody decided still waits."""

import fcntl
import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import termios
import time
from importlib import resources

import pytest

import clnrm_nb
from clnrm_nb import api

FILE = "green.clnrm.toml.tera"
PATIENCE_S = 60.0


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An accepted baseline, and a run that differs from it and waits."""
    (tmp_path / ".clnrm").mkdir()
    with resources.as_file(resources.files("clnrm_nb.self_test")) as source:
        shutil.copy(source / FILE, tmp_path / FILE)
    monkeypatch.chdir(tmp_path)
    run(update_baseline=True)
    run(vars={"root": "other"})
    return tmp_path


def run(**options):
    return clnrm_nb.run(FILE, backend="process", baseline=True, **options)


def baseline(project):
    (file,) = (project / ".clnrm" / "baselines").glob("*.json")
    return file.read_bytes()


class Terminal:
    """A command at a pseudo-terminal of its own."""

    def __init__(self, *words, columns=100, lines=40):
        self._end, inside = pty.openpty()
        environ = {**os.environ, "TERM": "xterm", "NO_COLOR": "1"}
        environ |= {"COLUMNS": str(columns), "LINES": str(lines)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "clnrm_nb", *words],
            stdin=inside,
            stdout=inside,
            stderr=inside,
            env=environ,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509  # One thread, one call.
        )
        os.close(inside)
        self.seen = ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        os.close(self._end)

    def await_text(self, pattern):
        """What has been written since the last such call, once it holds `pattern`."""
        deadline = time.monotonic() + PATIENCE_S
        while not re.search(pattern, self.seen):
            assert select.select([self._end], [], [], max(deadline - time.monotonic(), 0))[0], self.seen
            assert self._read(), self.seen
        found, self.seen = self.seen, ""
        return found

    def press(self, key):
        os.write(self._end, key.encode())

    def exit_code(self):
        while select.select([self._end], [], [], PATIENCE_S)[0] and self._read():
            pass
        return self._process.wait(PATIENCE_S)

    def _read(self):
        try:
            text = os.read(self._end, 65_536).decode(errors="replace")
        except OSError:  # The other end is closed: the command has ended.
            return False
        self.seen += text
        return bool(text)


def picture(screen):
    return screen.partition("causes:")[0]


def test_a_change_is_accepted_by_key_and_the_next_run_is_green(project):
    with Terminal("review", "-m", "new name") as terminal:
        shown = terminal.await_text("q quit")
        terminal.press("a")
        done = terminal.await_text("Nothing is pending")
        terminal.press("q")
        exit_code = terminal.exit_code()

    assert "renamed" in shown
    assert "accepted" in done
    assert exit_code == 0
    assert run(vars={"root": "other"}).ok


def test_undo_restores_the_file_byte_for_byte(project):
    before = baseline(project)

    with Terminal("review") as terminal:
        terminal.await_text("q quit")
        terminal.press("g")
        terminal.await_text("accepted")
        assert baseline(project) != before
        terminal.press("u")
        terminal.await_text("pending")
        terminal.press("q")
        exit_code = terminal.exit_code()

    assert baseline(project) == before
    assert exit_code == 1


def test_rejected_stays_red_and_no_longer_waits(project):
    with Terminal("review") as terminal:
        terminal.await_text("q quit")
        terminal.press("r")
        terminal.await_text("rejected")
        terminal.press("q")
        assert terminal.exit_code() == 0

    again = run(vars={"root": "other"})
    assert not again.ok
    assert "CLN705" in again.diagnostics["code"].tolist()


def test_both_sides_can_be_looked_at_and_the_keys_explained(project):
    with Terminal("review") as terminal:
        terminal.await_text("q quit")
        terminal.press("1")
        assert "other" not in picture(terminal.await_text(r"the baseline:[\s\S]*q quit"))
        terminal.press("2")
        assert "other" in picture(terminal.await_text(r"the run:[\s\S]*q quit"))
        terminal.press("?")
        terminal.await_text("files byte for byte")


def test_ctrl_c_decides_nothing_and_says_so(project):
    before = baseline(project)

    with Terminal("review") as terminal:
        terminal.await_text("q quit")
        terminal.press("\x03")
        exit_code = terminal.exit_code()

    assert exit_code == 130
    assert "interrupted" in terminal.seen
    assert baseline(project) == before


@pytest.mark.parametrize("flag", ["--ci", "--list"])
def test_under_ci_and_on_request_it_only_lists_with_exit_status_1(project, flag):
    before = baseline(project)

    with Terminal("review", flag) as terminal:
        exit_code = terminal.exit_code()

    assert exit_code == 1
    assert "prints" in terminal.seen
    assert "q quit" not in terminal.seen
    assert baseline(project) == before


def test_a_rule_is_chosen_by_number_and_undo_takes_it_out_again(project):
    rules = project / ".clnrm" / "baselines" / "rules.toml"

    with Terminal("review", "--by", "ada") as terminal:
        terminal.await_text("q quit")
        terminal.press("m")
        offered = terminal.await_text("m no rule")
        terminal.press("1")
        done = terminal.await_text(r"Nothing is pending[\s\S]*q quit")
        written = rules.read_text()
        terminal.press("u")
        undone = terminal.await_text("q quit")
        is_gone = not rules.exists()
        terminal.press("q")
        exit_code = terminal.exit_code()

    assert "checkout may be called other" in offered
    assert "tried on" in offered
    assert "rule" in done
    assert 'alias = "other"' in written
    assert 'by = "ada"' in written
    assert "pending" in undone
    assert is_gone
    assert exit_code == 1


def test_escape_and_m_let_the_rules_go_and_the_review_goes_on(project):
    with Terminal("review") as terminal:
        terminal.await_text("q quit")
        terminal.press("m")
        terminal.await_text(r"written to baselines/rules.toml[\s\S]*m no rule")
        terminal.press("f")
        turned = terminal.await_text("m no rule")
        terminal.press("\x1b")
        terminal.await_text("q quit")
        terminal.press("m")
        terminal.await_text("m no rule")
        terminal.press("m")
        terminal.await_text("q quit")
        terminal.press("q")
        exit_code = terminal.exit_code()

    assert "the end of the scenario file" in turned
    assert exit_code == 1
    assert not (project / ".clnrm" / "baselines" / "rules.toml").exists()


def test_rules_of_learning_are_agreed_to_one_by_one_at_a_terminal(project):
    file = project / FILE
    counter = project / "counter"
    program = (
        f"import json, pathlib; p = pathlib.Path({str(counter)!r}); "
        "n = int(p.read_text()) + 1 if p.exists() else 1; p.write_text(str(n)); "
        "print(json.dumps(dict(name='a', trace_id='1' * 32, span_id='2' * 16, "
        "attributes=dict(rows=n * n, ok=n % 2 == 0))))"
    )
    head = file.read_text().partition("[[scenario]]")[0]
    step = f'[[scenario]]\nname = "prints"\nrun = [{{ command = [{json.dumps(sys.executable)}, "-c", {json.dumps(program)}] }}]\n'
    file.write_text(f'{head}{step}\n[[expect.span]]\nname = "a"\n')

    with Terminal("baseline", "learn", f"{FILE}::prints", "--backend", "process", "--by", "ada") as terminal:
        terminal.await_text("q quit")
        terminal.press("y")
        terminal.await_text("q quit")
        terminal.press("n")
        exit_code = terminal.exit_code()

    rules = (project / ".clnrm" / "baselines" / "rules.toml").read_text()
    assert rules.count("[[tolerance]]") == 1
    assert 'by = "ada"' in rules
    assert exit_code == 0


def test_one_edit_of_a_cause_can_be_accepted_by_key(project):
    text = (project / FILE).read_text(encoding="utf-8")
    build = '"attributes": {"build": "{{ build | default(value=1) }}"} }'
    (project / FILE).write_text(text.replace('"status": "ok"}', f'"status": "ok", {build}'), encoding="utf-8")
    run(update_baseline=True)
    (cause,) = run(vars={"build": 2}).diff.comparisons[0].causes
    assert len(cause.edits) == 2

    with Terminal("review") as terminal:
        terminal.await_text("q quit")
        terminal.press("e")
        terminal.await_text(r"checkout/reserve[\s\S]*q quit")
        terminal.press("c")
        terminal.await_text("q quit")
        terminal.press("g")
        terminal.await_text("q quit")
        terminal.press("q")
        assert terminal.exit_code() == 1

    decision = api.baseline_history(f"{FILE}::prints").raw["data"]["decisions"][-1]
    assert (decision["action"], len(decision["edits"]), decision["causes"]) == ("accept", 1, [])
    assert run(vars={"build": 2}).diff.frame["key"].tolist() == ["build"]


def test_a_picture_longer_than_the_terminal_can_be_read_to_its_end(project):
    with Terminal("review", lines=15) as terminal:
        first = terminal.await_text("q quit")
        terminal.press(" ")
        second = terminal.await_text("q quit")

    assert "certified" not in first
    assert "space shows others" in first
    assert "certified" in second


@pytest.mark.parametrize(("columns", "lines"), [(60, 24), (80, 24), (100, 30)])
def test_a_picture_with_its_causes_and_keys_fits_the_terminal(project, columns, lines):
    with Terminal("review", columns=columns, lines=lines) as terminal:
        screen = terminal.await_text("q quit")

    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen).splitlines()
    assert len(shown) < lines
    assert max(map(len, shown[1:])) <= columns


def test_each_side_alone_shows_the_attributes_in_which_it_differs(project):
    text = (project / FILE).read_text(encoding="utf-8")
    with_rows = text.replace('"status": "ok"}', '"status": "ok", "attributes": {"rows": 7}}')
    (project / FILE).write_text(with_rows, encoding="utf-8")
    run()

    with Terminal("review") as terminal:
        terminal.await_text("q quit")
        terminal.press("2")
        new = terminal.await_text("q quit")
        terminal.press("1")
        old = terminal.await_text("q quit")

    assert picture(new).count("rows = 7") == 2
    assert "rows = " not in picture(old)
    assert " ms" not in picture(old)


def test_a_trace_without_a_baseline_is_shown_before_it_is_accepted(project):
    for file in (project / ".clnrm" / "baselines").glob("*.json"):
        file.unlink()
    run(vars={"root": "third"})

    with Terminal("review") as terminal:
        both = terminal.await_text("q quit")
        terminal.press("1")
        old = terminal.await_text("q quit")

    assert "third" in both
    assert "reserve" in both
    assert "the baseline: there is none" in old

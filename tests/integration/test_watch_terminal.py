"""``clnrm watch`` at a real terminal: keys act at once, the screen holds what matters, the terminal is given back."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

import pytest

PATIENCE_S = 60.0
A, B, C = (f"{name}.clnrm.toml.tera" for name in "abc")


class Terminal:
    """A command at a pseudo-terminal of 24 lines and 80 columns."""

    def __init__(self, *words):
        self._end, self._inside = pty.openpty()
        fcntl.ioctl(self._inside, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.before = termios.tcgetattr(self._inside)
        environ = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "clnrm_nb", *words],
            stdin=self._inside,
            stdout=self._inside,
            stderr=self._inside,
            env={**environ, "TERM": "xterm", "NO_COLOR": "1"},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509  # One thread, one call.
        )
        self.seen = ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self._end)
        os.close(self._inside)

    def await_text(self, pattern):
        """What has been written since the last such call, once it holds `pattern`."""
        deadline = time.monotonic() + PATIENCE_S
        while not re.search(pattern, self.seen, re.DOTALL):
            assert time.monotonic() < deadline, self.seen
            if not select.select([self._end], [], [], 0.2)[0]:
                assert self.process.poll() is None, self.seen
                continue
            self.seen += os.read(self._end, 65_536).decode(errors="replace")
        found, self.seen = self.seen, ""
        return found

    def press(self, keys):
        os.write(self._end, keys.encode())

    def exit_code(self):
        deadline = time.monotonic() + PATIENCE_S
        while self.process.poll() is None:
            assert time.monotonic() < deadline, self.seen
            if select.select([self._end], [], [], 0.05)[0]:
                self.seen += os.read(self._end, 65_536).decode(errors="replace")
        while select.select([self._end], [], [], 0)[0]:
            self.seen += os.read(self._end, 65_536).decode(errors="replace")
        return self.process.returncode

    def is_as_before(self):
        return termios.tcgetattr(self._inside) == self.before


@pytest.fixture
def write(tmp_path, monkeypatch):
    (tmp_path / ".clnrm").mkdir()
    monkeypatch.chdir(tmp_path)

    def write(name, command="true"):
        file = tmp_path / f"{name}.clnrm.toml.tera"
        # Whole at once, so that one save is one change however slow the machine is.
        passing = file.with_name(f".{file.name}.tmp")
        passing.write_text(
            f'[meta]\nname = "{name}"\nversion = "1"\n'
            f'[[steps]]\nname = "go"\ncommand = ["sh", "-c", "{command}"]\n'
        )
        passing.replace(file)

    return write


@pytest.fixture
def watch(write):
    """A watcher of three tests, one of which fails, after its first run."""
    write("a")
    write("b")
    write("c", "exit 3")
    with Terminal("watch", "--backend", "process", "--settle", "20") as terminal:
        # Verdicts are shown as they come, before the run itself has ended.
        terminal.await_text(r"waiting for changes · 3 tests\s+\S+ ?failed.*2 passed, 1 failed.*q quit")
        yield terminal


def test_the_screen_says_what_fails_what_ran_and_what_did_not_on_24_lines(watch, write):
    write("a", "echo 1")
    shown = watch.await_text(r"changed +a\.clnrm\.toml\.tera · diagnostics [\d.]+ ms · verdict.*q quit")

    assert "failed c.clnrm.toml.tera  `go`: exit code 3" in shown
    assert "2 tests: does not depend on a.clnrm.toml.tera" in shown
    frames = re.split(r"\x1b\[\d*A|\r\x1b", shown)
    assert all(frame.count("\n") < 24 for frame in frames)


def test_keys_filter_rerun_explain_and_quit_and_the_terminal_is_given_back(watch):
    watch.press("f")
    watch.await_text(r"only +failing tests")
    watch.press("c")
    watch.await_text(r"waiting for changes · 3 tests\s+\S+ ?failed")
    watch.press("pb.clnrm")
    watch.await_text(r"only files whose path holds: b\.clnrm_")
    watch.press("\r")
    watch.await_text(r"only +file b\.clnrm.*not run +b\.clnrm\.toml\.tera: cached")
    watch.press("w")
    watch.await_text(r"b\.clnrm\.toml\.tera: (run|not run: cached)")
    watch.press("?")
    watch.await_text("make the latest traces the baselines of failing comparisons")
    watch.press("?c")
    watch.press("q")
    exit_code = watch.exit_code()

    assert exit_code == 1
    assert "3 tests: 1 passed, 1 failed, 1 cached" in watch.seen
    assert watch.is_as_before()


def test_escape_leaves_a_filter_as_it_was_and_unknown_keys_do_nothing(watch):
    watch.press("\x1b[Axyz")
    watch.press("ta or")
    watch.await_text("only tests that match: a or_")
    watch.press("\x1b")
    shown = watch.await_text("q quit")
    watch.press("q")
    watch.exit_code()

    assert not re.search(r"only +test", shown + watch.seen)


def test_a_key_acts_while_tests_run(write):
    write("a", "sleep 600")
    with Terminal("watch", "--backend", "process", "--settle", "20") as terminal:
        terminal.await_text(r"running 0/1")
        write("b", "exit 0")
        terminal.await_text(r"b\.clnrm\.toml\.tera \(passed")
        started = time.monotonic()
        terminal.press("q")
        exit_code = terminal.exit_code()

    assert time.monotonic() - started < PATIENCE_S / 2
    assert exit_code == 0
    assert "1 skipped" in terminal.seen


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_cleans_up_exits_130_and_gives_the_terminal_back(write, number):
    write("a", "sleep 600")
    with Terminal("watch", "--backend", "process") as terminal:
        terminal.await_text(r"running 0/1")
        os.kill(terminal.process.pid, number)
        exit_code = terminal.exit_code()
        is_as_before = terminal.is_as_before()

    assert exit_code == 130
    assert is_as_before


def test_without_a_terminal_there_are_plain_lines_and_no_escape_codes(write):
    write("a")

    done = _interrupted_when("verdict after", "run", "--watch", "--backend", "process", "-f", "json")

    assert "\x1b" not in done.stderr
    assert "watching 1 test" in done.stderr
    assert '"command": "watch"' in done.stdout
    assert done.returncode == 130


def _interrupted_when(text, *words):
    """Run a command without a terminal, and interrupt it once it has said `text` on stderr."""
    process = subprocess.Popen(
        [sys.executable, "-m", "clnrm_nb", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    lines = []
    assert process.stderr is not None
    for line in process.stderr:
        lines.append(line)
        if text in line:
            process.send_signal(signal.SIGINT)
            break
    out, rest = process.communicate(timeout=PATIENCE_S)
    return subprocess.CompletedProcess(words, process.returncode, out, "".join(lines) + rest)

"""The command channel on real shells of this machine: what a command gets, leaves and says."""

from __future__ import annotations

import asyncio
import os
import selectors
import shutil
import signal
import subprocess
import threading
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from clnrm_nb.executor.backends.docker.channel import Answer, Channel
from clnrm_nb.executor.backends.docker.snippet import (
    SETUP,
    can_be_said,
    command_snippet,
    complaint,
    plain_snippet,
    second_look,
)
from clnrm_nb.executor.backends.docker.stream import STDERR, STDOUT, CappedBytes
from clnrm_nb.executor.backends.protocol import CommandSpec

MOST_BYTES = 10_000_000
TOKEN = b"clnrm:0123456789abcdef:"
LOOKS = 100


def words(answer):
    """What the shell said, without whether something holds its streams: any new process of this machine may."""
    return [record.split()[0] for record in answer.records]


class PipeStream:
    """A shell of this machine in place of an engine's hijacked connection."""

    def __init__(self, program):
        # Called `sh`, as in an image: bash then keeps to POSIX.
        self.process = subprocess.Popen(
            ["sh"],
            executable=program,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env={"PATH": os.environ["PATH"], "OF_CONTAINER": "c"},
            start_new_session=True,
        )

    def frames(self):
        with selectors.DefaultSelector() as waiting:
            waiting.register(self.process.stdout, selectors.EVENT_READ, STDOUT)
            waiting.register(self.process.stderr, selectors.EVENT_READ, STDERR)
            while waiting.get_map():
                for key, _ in waiting.select():
                    if data := os.read(key.fd, 65536):
                        yield key.data, data
                    else:
                        waiting.unregister(key.fileobj)

    def write(self, data):
        self.process.stdin.write(data)

    def close(self):
        """Done by the fixture."""


class Shell:
    """One shell, and how a test asks it."""

    def __init__(self, program):
        self.stream = PipeStream(program)
        self.channel = Channel(self.stream)
        self.reading = threading.Thread(target=self.channel.read)
        self.reading.start()

    async def ask(self, *argv, env=None, workdir=None, limit=MOST_BYTES):
        """Answer, stdout and stderr of a command."""
        command = CommandSpec("command", argv, None, env=env or {}, workdir=workdir)
        return await self.snippet(partial(command_snippet, command, "mark"), limit)

    async def snippet(self, text, limit=MOST_BYTES):
        stdout, stderr = CappedBytes(limit), CappedBytes(limit)
        answer = await asyncio.wait_for(self.channel.ask(text, stdout, stderr), 30.0)
        return answer, bytes(stdout), bytes(stderr)

    def end(self):
        self.stream.process.stdin.close()
        self.stream.process.wait()
        self.reading.join()
        self.stream.process.stdout.close()
        self.stream.process.stderr.close()


@pytest.fixture(params=["dash", "busybox", "bash"])
async def shell(request):
    """A shell that was set up, in turn each of those that images bring."""
    program = shutil.which(request.param)
    if program is None:
        pytest.skip(f"{request.param} is not installed")
    shell = Shell(program)
    await shell.snippet(partial(plain_snippet, SETUP))
    yield shell
    shell.end()


async def test_arguments_variables_and_streams_go_through_a_shell_unchanged(shell):
    every_byte = bytes(range(1, 256)).decode("utf-8", "surrogateescape")

    answer, stdout, stderr = await shell.ask(
        "sh", "-c", 'printf "%s|%s|%s" "$1" "$V" "$OF_CONTAINER"; printf "%s" "$1" >&2; exit 42', "x", every_byte,
        env={"V": "it's\n$HOME `x` \\"},
    )  # fmt: skip

    assert answer.exit_code == 42
    assert stdout == bytes(range(1, 256)) + b"|it's\n$HOME `x` \\|c"
    assert stderr == bytes(range(1, 256))


async def test_nothing_of_a_command_stays_for_the_next(shell):
    probe = ("sh", "-c", 'pwd; umask; ulimit -n; ulimit -c; echo "[$V][$OLDPWD]"; ls /proc/self/fd; set')
    change = "umask 077; ulimit -n 50; cd /tmp; export V=1; trap '' TERM; exec sleep 0"
    _, before, _ = await shell.ask(*probe)

    await shell.ask("sh", "-c", change, env={"V": "v"}, workdir="/tmp")
    await shell.ask("no-such-program", env={"V": "v"}, workdir="/")
    _, after, _ = await shell.ask(*probe)

    pids = ("PPID=", "_=")
    kept = [
        [line for line in text.decode().splitlines() if not line.startswith(pids)] for text in (before, after)
    ]
    assert kept[0] == kept[1]


async def test_a_command_has_default_signals_no_input_and_no_file_of_the_shell(shell):
    _, stdout, _ = await shell.ask("python3", "-c", _SURROUNDINGS)

    assert stdout == b"ignored: []\ninput: b''\nfiles: [0, 1, 2]\n"


# Python ignores SIGPIPE (13) and SIGXFSZ (25) for itself: the kernel's record of its parent's start counts.
_SURROUNDINGS = """
import os, sys
mask = int(next(line for line in open("/proc/self/status") if line.startswith("SigIgn")).split()[1], 16)
print("ignored:", [n for n in range(1, 32) if mask >> (n - 1) & 1 and n not in (13, 25)])
print("input:", sys.stdin.buffer.read())
print("files:", [n for n in range(20) if os.path.exists(f"/proc/self/fd/{n}")])
"""


@pytest.mark.parametrize(
    ("argv", "workdir", "words"),
    [
        (("no-such-program", "x"), None, "not found"),
        (("/etc/passwd",), None, "permission denied"),
        (("/etc",), None, "/etc: "),
        (("true",), "/etc/passwd", "chdir"),
        (("true",), "no such directory", "chdir"),
    ],
)
async def test_what_never_started_says_why(shell, argv, workdir, words):
    answer, stdout, stderr = await shell.ask(*argv, workdir=workdir)

    said = complaint(CommandSpec("command", argv, None), answer.records, stderr)
    assert words in said.lower()
    assert stdout == b""


@pytest.mark.parametrize("script", ["echo mine >&2; exit 126", "exit 127", "/etc/passwd; exit 126"])
async def test_a_program_that_exits_like_one_not_found_has_started(shell, script):
    argv = ("sh", "-c", script)
    answer, _, stderr = await shell.ask(*argv)

    assert complaint(CommandSpec("command", argv, None), answer.records, stderr) is None
    assert answer.exit_code in (126, 127)


@pytest.mark.parametrize("name", ["TERM", "INT", "HUP", "USR1"])
async def test_shell_survives_a_program_that_signals_its_whole_group(shell, name):
    answer, _, stderr = await shell.ask("sh", "-c", f"kill -{name} 0; sleep 5")
    after, stdout, _ = await shell.ask("echo", "alive")

    assert answer.exit_code == 128 + signal.Signals[f"SIG{name}"]
    assert stderr == b""
    assert (after.exit_code, stdout) == (0, b"alive\n")


async def test_shell_that_a_program_killed_is_noticed(shell):
    answer, stdout, _ = await shell.ask("sh", "-c", "echo last; kill -9 $PPID $$")
    after, _, _ = await shell.ask("true")

    assert answer is None
    assert after is None
    assert stdout == b"last\n"


async def test_end_is_seen_although_a_left_process_holds_the_streams(shell):
    answer, stdout, _ = await shell.ask("sh", "-c", "sleep 1000 & echo $!")
    os.kill(int(stdout), signal.SIGKILL)

    assert answer.exit_code == 0
    assert answer.is_held


async def test_left_process_with_streams_of_its_own_holds_nothing(shell):
    # Until it is the program itself, its shell keeps the old streams aside.
    free = (
        "free() { for fd in /proc/$1/fd/*; do for own in 1 2; do "
        "[ $fd -ef /proc/$$/fd/$own ] && return 1; done; done; return 0; }; until free $!; do :; done"
    )
    answer, stdout, _ = await shell.ask("sh", "-c", f"sleep 1000 >/dev/null 2>&1 & {free}; echo $!")
    is_free = await _is_found_free(shell)
    os.kill(int(stdout), signal.SIGKILL)

    assert (answer.exit_code, is_free) == (0, True)


async def _is_found_free(shell):
    """Within some looks: this machine's other processes are seen too, and one that is just ending lets nobody look."""
    for _ in range(LOOKS):
        looked, _, _ = await shell.snippet(second_look)
        if not looked.is_held:
            return True
    return False


def _await_death(pid):
    """A zombie has closed its files; one that has only lost its memory may not have."""
    stat = Path(f"/proc/{pid}/stat")
    with suppress(FileNotFoundError, ProcessLookupError):
        while stat.read_text().rpartition(")")[2].split()[0] not in "ZX":
            pass


async def test_streams_are_found_free_when_the_left_process_has_ended(shell):
    held, stdout, _ = await shell.ask("sh", "-c", "sleep 1000 & echo $!")
    again, _, _ = await shell.snippet(second_look)
    os.kill(int(stdout), signal.SIGKILL)
    await asyncio.to_thread(_await_death, int(stdout))
    is_free = await _is_found_free(shell)

    assert [held.is_held, again.is_held, is_free] == [True, True, True]


async def test_left_process_that_holds_a_stream_elsewhere_is_seen(shell):
    left = "exec 7>&2; sleep 1000 >/dev/null 2>&1 & echo $!"

    answer, stdout, _ = await shell.ask("sh", "-c", left)
    os.kill(int(stdout), signal.SIGKILL)

    assert answer.is_held


async def test_what_looks_like_a_token_is_output(shell):
    text = "clnrm:" + "0" * 32 + ":E0 0"

    answer, stdout, _ = await shell.ask("echo", text)

    assert (words(answer), stdout) == ([b"E0"], text.encode() + b"\n")


async def test_flood_without_newline_is_capped(shell):
    answer, stdout, stderr = await shell.ask(
        "sh", "-c", "head -c 20000000 /dev/zero; head -c 3000000 /dev/zero >&2", limit=1_000_000
    )

    assert answer.exit_code == 0
    assert stdout == stderr == bytes(1_000_000)


async def test_long_argument_arrives(shell):
    _, stdout, _ = await shell.ask("printf", "%s", "x" * 100_000)

    assert len(stdout) == 100_000


# ------------------------------------------------------------------------------------ without a shell


@pytest.mark.parametrize("size", [1, 2, 7, len(TOKEN) - 1, len(TOKEN), len(TOKEN) + 1, 1000])
async def test_token_is_found_however_the_stream_is_cut(size):
    text = b"clnrm:" * 3 + TOKEN[:-1] + b"\0\xff" + TOKEN + b"P127\n" + TOKEN + b"E127 0\nlate"
    stdout, stderr = CappedBytes(1000), CappedBytes(1000)
    answer = Answer(TOKEN, stdout, stderr)

    for at in range(0, len(text), size):
        answer.add(STDOUT, text[at : at + size])
    is_whole = answer.add(STDERR, b"oh" + TOKEN + b"E\n")

    assert is_whole
    assert words(answer) == [b"P127", b"E127"]
    assert bytes(stdout) == b"clnrm:" * 3 + TOKEN[:-1] + b"\0\xff"
    assert bytes(stderr) == b"oh"


async def test_output_that_ends_within_a_token_is_kept_when_the_shell_ends():
    stdout = CappedBytes(1000)
    answer = Answer(TOKEN, stdout, CappedBytes(0))
    answer.add(STDOUT, b"text" + TOKEN[:5])

    answer.finish(is_whole=False)

    assert not await answer.ended
    assert bytes(stdout) == b"text" + TOKEN[:5]


@pytest.mark.parametrize("name", ["a.b", "1A", "UID", "PPID", "IFS", "BASH_ENV", "", "ü", "A B"])
def test_names_that_a_shell_would_not_hand_on_are_refused(name):
    assert not can_be_said(["PATH", name])


def test_ordinary_names_can_be_said():
    assert can_be_said(["PATH", "OTEL_EXPORTER_OTLP_ENDPOINT", "_X", "a", "LC_ALL", "HOME", "PWD"])

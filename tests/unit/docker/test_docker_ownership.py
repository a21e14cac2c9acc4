"""Who made an object, and when nobody can be asked any more."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clnrm_nb.reaper.ownership import Owner, is_gone, this_process

WORD = st.text(st.characters(codec="ascii", exclude_characters=":", exclude_categories=["Cc"]), max_size=40)


@given(WORD, WORD, st.integers(0, 2**31), WORD)
def test_owner_survives_the_way_through_a_label(machine, boot, pid, start):
    owner = Owner(machine, boot, pid, start)

    assert Owner.parse(str(owner)) == owner


@pytest.mark.parametrize("text", ["", "a:b:c:d", "a:b:1", "a:b:1:2:3", "somebody else"])
def test_labels_of_others_are_nobodys(text):
    assert Owner.parse(text) is None


def test_this_process_is_alive_and_always_the_same():
    assert this_process() == this_process()
    assert this_process().pid == os.getpid()
    assert not is_gone(this_process())


def test_other_process_counts_as_another_owner():
    printed = subprocess.run(
        [sys.executable, "-c", "from clnrm_nb.reaper.ownership import this_process; print(this_process())"],
        capture_output=True,
        text=True,
        check=True,
    )
    owner = Owner.parse(printed.stdout.strip())

    assert owner is not None
    assert (owner.machine, owner.boot) == (this_process().machine, this_process().boot)
    assert is_gone(owner)


def test_forked_child_is_another_owner():
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        os.write(writing, str(this_process()).encode())
        os._exit(0)
    os.waitpid(child, 0)

    owner = Owner.parse(os.read(reading, 1000).decode())

    assert owner is not None
    assert owner.pid == child
    os.close(reading)
    os.close(writing)


def test_zombie_has_ended():
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    stat = Path(f"/proc/{child.pid}/stat").read_text()
    owner = replace(this_process(), pid=child.pid, start=stat.rpartition(")")[2].split()[19])
    was_gone = is_gone(owner)

    child.stdin.close()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

    assert not was_gone
    assert is_gone(owner)
    child.wait()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"boot": "an earlier boot"}, True),
        ({"start": "1"}, True),
        ({"pid": 2**22 + 1}, True),
        ({"machine": "another machine"}, False),
        ({"machine": "another machine", "boot": "another boot", "pid": 2**22 + 1}, False),
    ],
    ids=["rebooted", "pid used again", "no such pid", "elsewhere", "elsewhere and dead for all we know"],
)
def test_gone_is_judged_on_this_machine_only(change, expected):
    assert is_gone(replace(this_process(), **change)) is expected

"""The diffs that ``--diff`` shows: patches that apply, made in little time."""

from __future__ import annotations

import shutil
import subprocess
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clnrm_nb.report.patch import split_lines, unified_diff

_TEXTS = st.lists(
    st.sampled_from(["a", "b", "c", "d\u2028e", "unique 1", "unique 2", ""]), max_size=25
).flatmap(lambda lines: st.sampled_from(["\n".join(lines), "".join(f"{line}\n" for line in lines)]))


def _applied(before: str, patch: str) -> str:
    """A text with a patch applied: a small reader of unified diffs."""
    old, new, place = split_lines(before), [], 0
    lines = patch.split("\n")[2:-1]
    for number, line in enumerate(lines):
        is_last = lines[number + 1 : number + 2] == ["\\ No newline at end of file"]
        text = line[1:] + ("" if is_last else "\n")
        if line.startswith("@@"):
            first, _, count = line.split()[1][1:].partition(",")
            start = int(first) - (count != "0")
            new += old[place:start]
            place = start
        elif line[0] in " -":
            assert old[place] == text
            place += 1
        if line[0] in " +":
            new.append(text)
    return "".join([*new, *old[place:]])


@settings(max_examples=200, deadline=None)
@given(_TEXTS, _TEXTS)
def test_a_patch_turns_before_into_after(before, after):
    assert _applied(before, unified_diff("a", before, after)) == after


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_git_applies_it(tmp_path):
    before, after = "a=1\nb=2\n\n[c]\nd=3", "a = 1\nb=2\n\n\n[c]\nd = 3\n"
    (tmp_path / "x.toml").write_text(before)

    words = ["git", "apply", "-"]
    subprocess.run(words, input=unified_diff("x.toml", before, after), text=True, cwd=tmp_path, check=True)

    assert (tmp_path / "x.toml").read_text() == after


def test_a_large_text_with_changes_all_over_takes_little_time():
    """Python's own matcher took minutes for 1 MB."""
    before = "".join(f'[[scenario]]\nname="a{i}"\n[x{i}]\nk=1\n' for i in range(5_000))
    after = before.replace("=", " = ").replace("[x", "\n[x")

    start_s = time.process_time()
    patch = unified_diff("a", before, after)

    assert patch.count("\n-") == 10_000
    assert time.process_time() - start_s < 5

"""`clnrm diff A B` where A, B or the report are no plain files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from xml.etree import ElementTree as ET

import pytest

from clnrm_nb import api


def spans(*names, **fields):
    top = {"name": "top", "trace_id": "1" * 32, "span_id": "f" * 16, "service": "shop"}
    below = [
        top | {"name": name, "span_id": f"{number:016x}", "parent_span_id": "f" * 16} | fields
        for number, name in enumerate(names, 1)
    ]
    return "\n".join(map(json.dumps, [top, *below]))


def clnrm(*words):
    return subprocess.run(
        [sys.executable, "-m", "clnrm_nb", *words], capture_output=True, text=True, check=False, timeout=120
    )


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jsonl").write_text(spans("one", "two"), encoding="utf-8")
    (tmp_path / "b.jsonl").write_text(spans("one", "three"), encoding="utf-8")
    return tmp_path


@pytest.fixture
def pipe(place):
    """A named pipe with a trace in it, for one reader, as a shell makes one of `<(zcat trace.gz)`."""
    os.mkfifo(place / "pipe")
    writer = threading.Thread(target=(place / "pipe").write_text, args=(spans("one", "two"),), daemon=True)
    writer.start()
    yield "pipe"
    writer.join(timeout=60)


def test_a_pipe_is_one_of_two_traces(pipe):
    done = clnrm("diff", "a.jsonl", pipe)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "no edits" in done.stdout


def test_spans_of_a_pipe_are_listed(pipe):
    done = clnrm("spans", pipe)

    assert done.returncode == 0, done.stderr
    assert "3 spans" in done.stdout


@pytest.mark.parametrize(
    ("words", "begin"),
    [
        (("--view", "html", "-o", "report.html"), "<!DOCTYPE html>"),
        (("-o", "report.txt"), "✏️ changed"),
        (("-f", "json", "-o", "report"), '{\n  "format"'),
        (("-f", "json", "--view", "markdown", "-o", "report.md"), "## failed"),
    ],
)
def test_a_report_written_to_a_file_is_not_printed_as_well(place, words, begin):
    done = clnrm("diff", "a.jsonl", "b.jsonl", *words)

    assert (done.returncode, done.stdout) == (1, f"{words[-1]}\n"), done.stderr
    assert begin in (place / words[-1]).read_text(encoding="utf-8")[:60]


def test_a_report_goes_through_a_link_and_the_link_stays(place):
    (place / "kept.md").write_text("old", encoding="utf-8")
    (place / "link.md").symlink_to("kept.md")

    api.diff(["a.jsonl", "b.jsonl"], view="markdown", output="link.md")

    assert (place / "link.md").is_symlink()
    assert (place / "kept.md").read_text(encoding="utf-8").startswith("## failed")


def test_a_report_goes_into_a_pipe_and_the_pipe_stays(place):
    os.mkfifo(place / "pipe")
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append((place / "pipe").read_text("utf-8")), daemon=True)
    reader.start()

    api.diff(["a.jsonl", "b.jsonl"], view="markdown", output="pipe")
    reader.join(timeout=60)

    assert (place / "pipe").is_fifo()
    assert read[0].startswith("## failed")


def test_three_files_make_a_three_way_view(place):
    """It was refused, whatever was named: "a three-way view needs a baseline, and two trace files have none"."""
    (place / "main.jsonl").write_text(spans("one", "two", attributes={"k": 1}), encoding="utf-8")
    (place / "mine.jsonl").write_text(spans("one", "three", attributes={"k": 1}), encoding="utf-8")

    found = api.diff(["a.jsonl", "mine.jsonl"], view="three-way", main="main.jsonl")

    counts = found.raw["data"]["diffs"][0]["three_way"]["counts"]
    assert (found.exit_code, counts["already on main"] > 0, counts["new here"] > 0) == (1, True, True)
    assert "beside main.jsonl" in repr(found)


def test_a_part_of_a_difference_calls_nothing_unchanged_that_another_part_changes(place):
    (place / "c.jsonl").write_text(spans("one", "three", "four", attributes={"k": 1}), encoding="utf-8")

    done = clnrm("diff", "a.jsonl", "c.jsonl", "-f", "junit")

    trees = [out.text or "" for out in ET.fromstring(done.stdout).iter("system-out")]
    assert len(trees) > 1
    assert any("more" in tree for tree in trees)
    assert not any("unchanged" in tree for tree in trees)

from __future__ import annotations

import json

import pytest

from clnrm_nb.executor.artifacts import staging
from clnrm_nb.scenario.model import ArtifactSpec, Determinism, Scenario, Step

PRINTED = b'{"name": "work", "trace_id": "%s", "span_id": "%s", "start_time_unix_nano": 5}\n'


def span_names(path):
    document = json.loads(path.read_text())
    return sorted(
        span["name"]
        for resource in document["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    )


def scenario(*specs, **fields):
    artifacts = tuple(ArtifactSpec(kind=kind, value=value) for kind, value in specs)
    return Scenario(name="buy it", run=(Step(name="go", command=("go",)),), artifacts=artifacts, **fields)


@pytest.fixture
def written(run, a_test, fake_backend, result, project):
    async def write(*specs, **fields):
        printed = PRINTED % (b"ab" * 16, b"cd" * 8)
        fake_backend.on_command["go"] = result(0, b"out\n" + printed, b"err\n")
        outcome = await run(a_test(steps=(), services=["db"], scenarios=(scenario(*specs),), **fields))
        (directory,) = (project.state_dir / "artifacts").iterdir()
        return outcome, directory

    return write


async def test_spans_and_logs_are_always_written(written):
    _, directory = await written()

    (place,) = (path for path in directory.iterdir() if path.name.startswith("buy_it-"))
    assert span_names(place / "spans.json") == ["clnrm.scenario:buy it", "clnrm.step:go", "work"]
    assert (place / "stdout.log").read_text().startswith("out\n")
    assert (place / "stderr.log").read_text() == "err\n"
    assert span_names(directory / "spans.json") == ["clnrm.run", "clnrm.service.start", "clnrm.test"]
    assert (directory / "services" / "db.stdout.log").read_bytes() == b""
    assert (directory / "recording.json").is_file()


async def test_named_span_sets_hold_the_matching_spans(written):
    _, directory = await written(("spans", "work"), ("spans", "default"), ("spans", "clnrm.*"))

    files = {path.name: span_names(path) for path in directory.glob("buy_it-*/spans-*.json")}
    by_size = sorted(files.values(), key=len)
    assert [len(names) for names in by_size] == [1, 2, 3]
    assert files["spans-work.json"] == ["work"]


async def test_files_are_copied_and_what_matches_nothing_is_said(written, fake_backend):
    fake_backend.files = {"/data/*"}

    outcome, directory = await written(("files", "/data/*"), ("files", "/gone"))

    assert [path.read_text() for path in directory.glob("buy_it-*/files/*")] == ["/data/*"]
    (finding,) = outcome.diagnostics
    assert (finding.severity, finding.message) == (
        "warning",
        "no file matches `files:/gone` in the runner container",
    )
    assert outcome.status == "passed"


async def test_with_a_frozen_clock_times_are_relative_to_that_instant(written):
    outcome, directory = await written(determinism=Determinism(freeze_clock="2025-01-01T00:00:00Z"))

    (path,) = directory.glob("buy_it-*/spans.json")
    document = json.loads(path.read_text())
    starts = [
        int(span["startTimeUnixNano"])
        for resource in document["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]
    assert min(starts) == 1735689600 * 10**9
    assert 5 in outcome.spans.start_ns


async def test_a_directory_that_cannot_be_written_does_not_change_the_verdict(run, a_test, project):
    project.state_dir.write_text("a file in the way")

    outcome = await run(a_test())

    (finding,) = outcome.diagnostics
    assert (outcome.status, finding.code, finding.severity) == ("passed", "CLN001", "warning")


def test_a_new_run_replaces_the_old_artifacts_as_a_whole(tmp_path):
    for name in ("old", "new"):
        with staging(tmp_path, "t") as directory:
            (directory / name).write_text(name)

    (kept,) = (tmp_path / "artifacts").iterdir()
    assert [path.name for path in kept.iterdir()] == ["new"]


def test_artifacts_that_are_broken_off_leave_the_old_ones(tmp_path):
    with staging(tmp_path, "t") as directory:
        (directory / "old").write_text("old")

    def break_off():
        with staging(tmp_path, "t") as directory:
            (directory / "new").write_text("new")
            raise OSError("disk full")

    with pytest.raises(OSError, match="full"):
        break_off()

    (kept,) = (tmp_path / "artifacts").iterdir()
    assert [path.name for path in kept.iterdir()] == ["old"]

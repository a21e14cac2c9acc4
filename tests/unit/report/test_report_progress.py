from __future__ import annotations

import io
from typing import Any

from clnrm_nb.executor.events import Event
from clnrm_nb.report.progress import LiveProgress


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def event(
    kind: str,
    /,
    test: str | None = "a.toml",
    status: str | None = None,
    scenario: str | None = None,
    **data: Any,
) -> Event:
    return Event(kind, "run", test=test, status=status, scenario=scenario, data=data)  # type: ignore[arg-type]


def told(progress: LiveProgress, stream: io.StringIO, *events: Event) -> list[str]:
    with progress:
        for item in events:
            progress(item)
    return stream.getvalue().splitlines()


def test_without_a_terminal_each_test_gets_one_plain_line() -> None:
    stream = io.StringIO()

    lines = told(
        LiveProgress(stream),
        stream,
        event("test.queued"),
        event("test.start"),
        event("service.ready", service="api", duration_ms=800.0),
        event("span", count=12),
        event("step.end", status="passed", scenario="checkout", name="run"),
        event("test.end", status="failed", duration_ms=1_240.0),
    )

    assert lines == ["✗ failed a.toml  1.24 s, 12 spans"]


def test_verbose_lines_tell_services_steps_and_findings() -> None:
    stream = io.StringIO()

    lines = told(
        LiveProgress(stream, verbose=True, emoji=False),
        stream,
        event("test.start"),
        event("service.ready", service="api", duration_ms=800.0),
        event("step.end", status="failed", scenario="checkout", name="run"),
        event("diagnostic", code="CLN611", severity="warning", message="ignored"),
        event("test.end", status="passed", duration_ms=5.0),
    )

    assert lines == [
        "started a.toml",
        "a.toml: service api ready 800 ms",
        "a.toml: checkout run failed",
        "warning CLN611 ignored",
        "+ passed a.toml  5 ms",
    ]


def test_a_log_says_that_a_test_goes_on_for_long_or_is_tried_again() -> None:
    stream = io.StringIO()

    lines = told(
        LiveProgress(stream),
        stream,
        event("test.start"),
        event("test.slow", running_s=120.0),
        event("test.retry", status="failed", attempt=2, pause_ms=180.0),
        event("test.repeat", status="passed", number=3),
        event("test.end", status="flaky", duration_ms=1.0),
    )

    assert lines == [
        "a.toml: running for 2 min 0 s",
        "a.toml: failed, attempt 2 in 180 ms",
        "~ flaky a.toml  1 ms",
    ]


def test_resuming_says_what_is_taken_over_or_that_there_is_nothing() -> None:
    stream = io.StringIO()

    lines = told(
        LiveProgress(stream),
        stream,
        event("run.start", test=None, tests=12, resume={"run": "01J", "taken_over": 5}),
        event("run.start", test=None, tests=12, resume={"run": None, "taken_over": 0}),
    )

    assert lines == [
        "resuming run 01J: 5 tests of 12 have their verdict",
        "nothing to resume: this is a run from the start",
    ]


def test_what_strangers_write_cannot_steer_the_terminal() -> None:
    stream = io.StringIO()

    (line,) = told(LiveProgress(stream), stream, event("test.end", test="a\x1b[2J\nb", status="passed"))

    assert line == "✓ passed a\\x1b[2J\\nb"


def test_the_live_lines_count_tests_spans_and_say_what_is_going_on() -> None:
    clock = Clock()
    progress = LiveProgress(io.StringIO(), is_live=True, clock=clock)
    for name in ("a.toml", "b.toml"):
        progress(event("test.queued", test=name))
    progress(event("test.start"))
    clock.now = 1.0
    progress(event("service.ready", service="api"))
    progress(event("span", count=500))
    progress(event("test.start", test="b.toml"))
    progress(event("test.end", test="b.toml", status="passed"))
    clock.now = 2.0

    assert progress._lines() == [
        "1/2 tests (1 passed) · 500 spans, 250/s · 2.00 s",
        "  a.toml · api ready · 2.00 s · 500 spans",
    ]

    clock.now = 10.0
    assert "500 spans, 0/s" in progress._lines()[0]


def test_a_live_display_is_gone_when_the_run_is_over_and_failures_stay() -> None:
    stream = io.StringIO()
    progress = LiveProgress(stream, is_live=True)

    with progress:
        progress(event("test.start"))
        progress(event("test.end", status="passed", duration_ms=1.0))
        progress(event("test.start", test="b.toml"))
        progress(event("test.end", test="b.toml", status="failed", duration_ms=1.0))

    shown = stream.getvalue()
    assert "✗ failed b.toml" in shown
    assert "✓ passed a.toml" not in shown
    assert shown.rstrip("\r\n").endswith("\x1b[2K") or "\x1b[?25h" in shown


def test_events_of_tests_nobody_has_heard_of_do_no_harm() -> None:
    stream = io.StringIO()

    lines = told(
        LiveProgress(stream, verbose=True),
        stream,
        event("run.start", test=None, tests=3),
        event("span", test=None),
        event("scenario.end", test="x", scenario="s", status="passed"),
        event("test.end", test="x", status="skipped"),
        event("run.end", test=None, status="passed"),
    )

    assert lines == ["- skipped x"]

"""One run in which everything happens that a report must be able to say, and traces of any size."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from clnrm_nb.errors import Diagnostic
from clnrm_nb.executor.outcome import CommandOutcome, ExpectationResult, ScenarioOutcome, TestOutcome
from clnrm_nb.report.results import RunResult
from clnrm_nb.spans.model import Event, Resource, Span
from clnrm_nb.spans.table import SpanTable

STARTED_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
EPOCH_NS = 1_767_323_045_000_000_000


def _passed() -> TestOutcome:
    return TestOutcome(
        id="tests/a-passed.clnrm.toml",
        name="passed",
        duration_ms=1_240.0,
        scenarios=[
            ScenarioOutcome(
                "checkout",
                duration_ms=700.0,
                span_count=3,
                trace_digest="sha256:aa",
                commands=[
                    CommandOutcome("run", ["curl", "http://api/"], "api", "passed", 0, 1, 650.0, "ok\n")
                ],
            )
        ],
        expectations=[ExpectationResult("span[GET /]#0", "span", "passed", "`GET /` meets 1 check")],
    )


def _failed() -> TestOutcome:
    return TestOutcome(
        id="tests/b-failed.clnrm.toml[db=redis]",
        name="failed",
        status="failed",
        duration_ms=812.4,
        backend="process",
        hermetic=False,
        complete=False,
        matrix={"db": "redis"},
        scenarios=[
            ScenarioOutcome(
                "checkout",
                "failed",
                700.0,
                [
                    CommandOutcome(
                        "run",
                        ["sh", "-c", "exit 3"],
                        "api",
                        "failed",
                        3,
                        2,
                        650.0,
                        "one\x1b[31mred\ntwo\n",
                        "<script>alert(1)</script>\x00",
                        reason="exit code 3, expected 0",
                    )
                ],
                span_count=12,
            )
        ],
        expectations=[
            ExpectationResult(
                "span[GET *]#0",
                "span",
                "failed",
                "none of 3 spans named `GET *` meets all 2 checks; closest: `GET /x` (api) meets 1 of 2, "
                "unmet: http.status = 200 (is 500)",
                expected="a span `GET *` with kind server, http.status = 200",
                actual="http.status = 200 (is 500)",
                spans=[("1" * 32, "2" * 16)],
                file="tests/b-failed.clnrm.toml",
                line=12,
            ),
            ExpectationResult(
                "hermeticity.no_external_services",
                "hermeticity",
                "not-evaluated",
                "`process` cannot prove it",
                "backend not hermetic",
                file="tests/b-failed.clnrm.toml",
                line=20,
                scenario="checkout",
            ),
        ],
        diagnostics=[
            Diagnostic(
                "CLN605",
                "exit code 3, expected 0",
                file="tests/b-failed.clnrm.toml",
                line=9,
                column=1,
                scenario="checkout",
            ),
            Diagnostic("CLN614", "the trace is incomplete: 1 orphan"),
        ],
    )


def _others() -> list[TestOutcome]:
    return [
        TestOutcome(
            "tests/c-error.clnrm.toml",
            "error",
            "error",
            reason="CLN201 expected `=`",
            diagnostics=[
                Diagnostic(
                    "CLN201",
                    "expected `=`",
                    file="tests/c-error.clnrm.toml",
                    line=3,
                    column=4,
                    hint="write it",
                )
            ],
        ),
        TestOutcome(
            "tests/d-incomplete.clnrm.toml",
            "incomplete",
            "incomplete",
            replayed=True,
            hermetic=False,
            backend="replay",
            scenarios=[ScenarioOutcome("steps", "incomplete", 3.0)],
            expectations=[
                ExpectationResult("window[0]", "window", "not-evaluated", "no times", "no timestamps")
            ],
        ),
        TestOutcome("tests/e-cached.clnrm.toml", "cached", "cached", "passed", 5.0, cached=True),
        TestOutcome(
            "tests/f-flaky.clnrm.toml",
            "flaky",
            "flaky",
            duration_ms=9.0,
            scenarios=[ScenarioOutcome("steps", "passed", 8.0)],
        ),
        TestOutcome("tests/g-skipped.clnrm.toml", "skipped", "skipped", reason="not started (--max-fail 1)"),
        TestOutcome("tests/h-interrupted.clnrm.toml", "interrupted", "interrupted"),
    ]


@pytest.fixture
def outcomes() -> list[TestOutcome]:
    """A test of every status."""
    return [_passed(), _failed(), *_others()]


@pytest.fixture
def result(outcomes: list[TestOutcome], make_table: Callable[..., SpanTable]) -> RunResult:
    """A run of a test of every status, two of them with spans."""
    outcomes[0].spans = make_table(6)
    outcomes[1].spans = make_table(20)
    finding = Diagnostic("CLN801", "unknown key `watch.debounce`", file="cleanroom.toml", line=2, column=1)
    return RunResult(outcomes, [finding], started_at=STARTED_AT, duration_ms=2_100.0)


@pytest.fixture
def make_table() -> Callable[..., SpanTable]:
    """``make_table(n)``: a random tree of `n` spans of four services; a few of them failed."""

    def make(number: int, seed: int = 1) -> SpanTable:
        chance, table = random.Random(seed), SpanTable()
        resources = [Resource({"service.name": name}) for name in ("gateway", "orders", "stock", "db")]
        for index in range(number):
            parent = None if index == 0 else chance.randrange(max(0, index - 30), index)
            start = (
                EPOCH_NS if parent is None else (table.start_ns[parent] or 0) + chance.randrange(1, 3_000_000)
            )
            is_bad = index % 97 == 5
            table.append(
                Span(
                    trace_id=f"{1:032x}",
                    span_id=f"{index + 1:016x}",
                    name=f"GET /api/v1/resource/{index % 37}",
                    parent_span_id=None if parent is None else table.span_id[parent],
                    kind="server",
                    start_ns=start,
                    end_ns=start + chance.randrange(100_000, 1_000_000_000),
                    status_code="error" if is_bad else "unset",
                    status_message="boom" if is_bad else "",
                    attributes={"http.method": "GET"},
                    events=(Event("retry", start, {"n": 1}),) if is_bad else (),
                    resource=resources[index % 4],
                ),
                scenario="checkout",
            )
        return table

    return make

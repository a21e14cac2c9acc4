"""One run in which everything happens that a report must be able to say, and traces of any size."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from clnrm_nb.diff.compare import compare
from clnrm_nb.diff.model import Diff
from clnrm_nb.errors import Diagnostic
from clnrm_nb.executor.outcome import CommandOutcome, ExpectationResult, ScenarioOutcome, TestOutcome
from clnrm_nb.report.diffs import Compared, TraceDiff
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


MS = 1_000_000


def make_shop(*, is_new: bool) -> SpanTable:
    """A small trace; the new one differs in every way a report must be able to say."""
    api, db, mail = (Resource({"service.name": name}) for name in ("api", "db", "mail"))
    spans = [
        Span(
            "t",
            "1",
            "GET /checkout",
            kind="server",
            start_ns=0,
            end_ns=40 * MS,
            status_code="error" if is_new else "unset",
            attributes={"http.status": 500 if is_new else 200, "user": "1" if is_new else 1},
            resource=api,
        ),
        Span("t", "2", "SELECT cart", "1", "client", 5 * MS, 15 * MS, attributes={"rows": 3}, resource=db),
        Span("t", "3", "render", "1", start_ns=20 * MS, end_ns=40 * MS, resource=api),
        Span(
            "t",
            "4",
            "template.new" if is_new else "template.old",
            "3",
            start_ns=25 * MS,
            end_ns=30 * MS,
            attributes={"a": 1, "b": 2, "file": "x.html"},
            resource=api,
        ),
        Span("t", "5", "log", "1", start_ns=38 * MS, end_ns=39 * MS, resource=api),
    ]
    if is_new:
        spans.append(Span("t", "7", "send mail", "3", "client", 31 * MS, 38 * MS, resource=mail))
    else:
        spans.append(Span("t", "6", "INSERT order", "1", "client", 16 * MS, 19 * MS, resource=db))
        spans.append(Span("t", "8", "fsync", "6", start_ns=17 * MS, end_ns=18 * MS, resource=db))
    retries = range(3 if is_new else 2)
    spans += [
        Span("t", f"r{i}", "retry", "5", start_ns=38 * MS, end_ns=39 * MS, resource=api) for i in retries
    ]
    return SpanTable(spans)


def _settled(diff: Diff) -> Diff:
    """A diff whose reasons are ours, so that golden files do not change with those of the matcher."""
    edits = sorted(diff.edits, key=lambda edit: edit.edit_id)
    causes = sorted(diff.causes, key=lambda cause: cause.edits)
    return replace(
        diff,
        edits=tuple(replace(edit, rule="rule", reason="the reason") for edit in edits),
        causes=tuple(causes),
    )


@pytest.fixture
def comparisons() -> list[Compared]:
    """A comparison of every status."""
    old, new = make_shop(is_new=False), make_shop(is_new=True)
    test = "tests/shop.clnrm.toml"
    changed, same = _settled(compare(old, new)), compare(old, old)
    reviews = {changed.edits[0].edit_id: "pending"}
    unused = Diagnostic("CLN706", "no scenario owns `old.json`", file=".clnrm/baselines/old.json")
    return [
        Compared(test, "checkout", "changed", changed, old, new, "CLN704", version=3, reviews=reviews),
        Compared(test, "login", "same", same, old, old, version=1),
        Compared(test, "refund", "rejected", changed, old, new, "CLN705", version=2, composed=True),
        Compared("tests/mail.clnrm.toml", None, "missing", code="CLN701", trace_digest="sha256:aa"),
        Compared("tests/mail.clnrm.toml", "slow", "incomplete", same, old, old, "CLN707"),
        Compared("tests/torn.clnrm.toml", "a", "error", code="CLN702"),
        Compared("tests/gone.clnrm.toml", "b", "unused", code="CLN706", diagnostics=[unused]),
    ]


@pytest.fixture
def diff(comparisons: list[Compared]) -> TraceDiff:
    """A diff with a comparison of every status."""
    return TraceDiff(comparisons, started_at=STARTED_AT, duration_ms=12.5)


@pytest.fixture
def make_diff(make_table: Callable[..., SpanTable]) -> Callable[..., TraceDiff]:
    """``make_diff(n, k)``: `n` spans on both sides, one attribute of `k` of them changed."""

    def make(number: int, edits: int = 1, **options: Any) -> TraceDiff:
        old, new = make_table(number), make_table(number)
        new.attributes = [dict(attributes) for attributes in new.attributes]
        for index in range(edits):
            new.attributes[index * number // edits]["http.method"] = f"POST {index}"
        compared = Compared("a.clnrm.toml", "checkout", "changed", compare(old, new), old, new, "CLN704")
        return TraceDiff([compared], **options)

    return make

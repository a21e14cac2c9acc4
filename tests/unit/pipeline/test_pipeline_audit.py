"""Tests that were run in used containers, checked against fresh ones; and what the report says of both."""

from __future__ import annotations

import pytest
from jsonschema import Draft202012Validator

from clnrm_nb.executor.backends.protocol import PoolReport
from clnrm_nb.executor.outcome import ScenarioOutcome, TestOutcome
from clnrm_nb.pipeline.audit import audit
from clnrm_nb.report.results import RunResult
from clnrm_nb.schemas import schema


def outcome(name, *, digest="sha256:a", isolation="verified", **fields):
    return TestOutcome(
        id=name,
        name=name,
        isolation=isolation,
        scenarios=[ScenarioOutcome("only", trace_digest=digest)],
        trace_digest=digest,
        **fields,
    )


@pytest.fixture
def run_again():
    """Answers of a fresh run; ``asked`` holds what was run again."""

    class Fresh:
        def __init__(self):
            self.asked = []
            self.changes = {"isolation": "fresh"}

        async def __call__(self, chosen):
            self.asked += chosen
            return [outcome(name, **self.changes) for name in chosen]

    return Fresh()


async def audited(outcomes, again, percent=100.0):
    report = PoolReport(made=1, uses=len(outcomes))
    await audit(outcomes, again, percent=percent, seed="run", report=report)
    return report


async def test_equal_traces_change_nothing(run_again):
    one = outcome("one")

    report = await audited([one], run_again)

    assert (report.audited, report.differing) == (1, 0)
    assert (one.status, one.diagnostics) == ("passed", [])


async def test_another_trace_is_cln807_and_fails_the_test(run_again):
    run_again.changes["digest"] = "sha256:b"
    one = outcome("one")

    report = await audited([one], run_again)

    assert (report.audited, report.differing) == (1, 1)
    assert one.status == "failed"
    assert [(each.code, each.severity) for each in one.diagnostics] == [("CLN807", "error")]
    assert "scenario `only`" in one.reason


async def test_test_that_fails_when_fresh_is_cln807(run_again):
    run_again.changes |= {"status": "failed", "reason": "exit code 1"}
    one = outcome("one")

    await audited([one], run_again)

    assert one.status == "failed"
    assert one.reason == "audit: run again as `fresh` it is failed: exit code 1"


async def test_interrupted_audit_says_nothing(run_again):
    run_again.changes["status"] = "interrupted"
    one = outcome("one")

    report = await audited([one], run_again)

    assert (report.audited, one.status) == (0, "passed")


@pytest.mark.parametrize(("percent", "count"), [(0.0, 0), (0.1, 1), (10.0, 2), (50.0, 10), (100.0, 20)])
async def test_share_is_rounded_up(run_again, percent, count):
    await audited([outcome(f"t{number}") for number in range(20)], run_again, percent)

    assert len(set(run_again.asked)) == len(run_again.asked) == count


async def test_only_what_passed_as_verified_is_audited(run_again):
    outcomes = [outcome("warm", isolation="warm"), outcome("failed", status="failed"), outcome("one")]

    await audited(outcomes, run_again)

    assert run_again.asked == ["one"]


# -------------------------------------------------------------------------------------- the report


def test_report_counts_runners_in_text_and_document():
    pool = PoolReport(made=2, uses=24, reused=22, audited=3, differing=1)
    pool.discard("a process was left: /proc/9")

    result = RunResult([outcome("one")], pool=pool)

    Draft202012Validator(schema("report")).validate(result.raw)
    assert result.raw["data"]["pool"]["discards"] == {"a process was left: /proc/9": 1}
    assert (
        "verified: 24 uses of 2 runners, 1 thrown away: a process was left: /proc/9 (1); audited 3, differing 1"
    ) in repr(result)


def test_report_of_a_run_without_used_runners_does_not_mention_them():
    result = RunResult([outcome("one", isolation="warm")], pool=PoolReport())

    assert "pool" not in result.raw["data"]
    assert "verified:" not in repr(result)


def test_result_read_back_still_counts_runners():
    result = RunResult([outcome("one")], pool=PoolReport(made=1, uses=2, reused=1))

    again = RunResult.from_document(result.raw)

    assert again.raw["data"]["pool"] == result.raw["data"]["pool"]
    assert "2 uses of 1 runner, 0 thrown away" in repr(again)

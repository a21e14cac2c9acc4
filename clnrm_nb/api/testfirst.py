"""``redgreen``: whether the tests are red, as before the code is written, or green, as after it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clnrm_nb.api.contexts import Context, context_of, refuse_unknown
from clnrm_nb.api.retelling import JUDGED, NO_ANSWER, PASSED, run_only, told
from clnrm_nb.api.running import prepare
from clnrm_nb.errors import UsageError
from clnrm_nb.report.text import number_text
from clnrm_nb.state.redgreen import append_records

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clnrm_nb.api.running import Paths
    from clnrm_nb.executor.events import Listener
    from clnrm_nb.report.results import RunResult
    from clnrm_nb.report.verdict import Leave

__all__ = ["redgreen"]


def redgreen(
    paths: Paths = ".",
    *,
    expect: str | None = None,
    context: Context | None = None,
    listener: Listener | None = None,
    **options: Any,
) -> RunResult:
    """Run tests and say whether all pass (green), none does (red), or only some (mixed).

    Parameters
    ----------
    expect : {"red", "green"}, optional
        The state that is exit status 0; every other is 1. Default: red and green are 0, mixed is 1.

    Returns
    -------
    RunResult
        What no verdict was reached on (an invalid file, no backend, an interrupt) keeps its own exit status.
        ``allow_not_evaluated`` and ``flaky`` decide what passes, as in a run.
        ``.clnrm/tdd-history.json`` has one more record a test.
    """
    if expect not in (None, "red", "green"):
        raise UsageError(f"--expect {expect!r} is neither red nor green")
    here = context_of(context, options)
    refuse_unknown("redgreen", options)
    prepared = prepare(paths, None, here, options)
    result = run_only(prepared, listener)
    judged = [test for test in result.tests if test["status"] in JUDGED]
    passed = sum(_passes(test, result.leave) for test in judged)
    state = "green" if judged and passed == len(judged) else "red" if judged and not passed else "mixed"
    at = result.raw["started_at"]
    records = [_record(test, at, passed=_passes(test, result.leave)) for test in judged]
    result.add_findings(append_records(here.project.state_dir / "tdd-history.json", records))
    sentence, exit_code = _verdict(state, expect, passed, len(judged))
    if result.exit_code in NO_ANSWER:
        sentence, exit_code = f"no verdict on all tests; so far {sentence}", result.exit_code
    data = {"state": state, "expected": expect}
    return told(prepared, result, "redgreen", exit_code, sentence, data=data)


def _passes(test: Mapping[str, Any], leave: Leave) -> bool:
    """Whether a test fails nothing, by what the person lets pass."""
    if test["status"] == "incomplete":
        return leave.not_evaluated
    return test["status"] in PASSED and (leave.flaky or test["status"] != "flaky")


def _verdict(state: str, expect: str | None, passed: int, total: int) -> tuple[str, int]:
    found = f"{state}: {passed} of {number_text(total, 'test')} passed"
    if expect is not None and state != expect:
        return f"{found}, expected {expect}", 1
    return found, int(state == "mixed")


def _record(test: Mapping[str, Any], at: str, *, passed: bool) -> dict[str, Any]:
    """The record of one test; from its document, which holds no secret."""
    commands = (command for scenario in test["scenarios"] for command in scenario["commands"])
    reasons = [test["reason"], *(command["reason"] for command in commands)]
    failed = [one["message"] for one in test["expectations"] if one["status"] != "passed"]
    error = next((reason for reason in (*reasons, *failed) if reason), test["status"])
    return {
        "timestamp": at,
        "file_path": test["id"].partition("[")[0],
        "test_name": test["id"],
        "state": "green" if passed else "red",
        "passed": passed,
        "duration_ms": test["duration_ms"],
        **({} if passed else {"error": error}),
    }

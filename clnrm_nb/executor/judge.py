"""The rules for commands: what an exit code and an output mean (``format.md`` 1.5, 1.6).

Pure functions over a step and its result, the same ones for a command that ran just now and for one out of
a recording.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from clnrm_nb.codes import CODES
from clnrm_nb.executor.outcome import worst
from clnrm_nb.patterns import EndlessError, compiled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clnrm_nb.codes import Status
    from clnrm_nb.errors import Diagnostic
    from clnrm_nb.executor.backends.protocol import CommandResult
    from clnrm_nb.scenario.model import Scenario, Step, TestFile

__all__ = [
    "Judgement",
    "forbidden_program",
    "is_leak_asserted",
    "judge_command",
    "judge_mixture",
    "status_of_findings",
    "within_scenario",
]

_DECIDING_WARNINGS: Final = frozenset({"CLN612", "CLN614"})


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a command's result means: a status, and unless it passed the code and one sentence why.

    ``is_final`` failures (timeouts, no exit code) are failures even where failing was expected.
    """

    status: Status = "passed"
    code: str | None = None
    reason: str | None = None
    is_final: bool = False


def judge_command(step: Step, result: CommandResult, *, limit: str = "") -> Judgement:
    """Judge one attempt by the command's own rules.

    Parameters
    ----------
    step : Step
        What the command must do.
    result : CommandResult
        What it did.
    limit : str
        The limit that stopped a command that timed out, such as ``30 s (scenario)``.

    Returns
    -------
    Judgement
        ``failed`` with CLN604, CLN605 or CLN606, the first rule that is broken; ``incomplete`` with CLN612
        where a replay does not know; else passed.
    """
    if not result.is_known:
        return Judgement(
            "incomplete", "CLN612", "not evaluated: the replayed file holds no result", is_final=True
        )
    if result.timed_out:
        return Judgement("failed", "CLN604", f"`{step.name}` killed after {limit}".rstrip(), is_final=True)
    if result.oom_killed:
        return _exit("killed for using more memory than its limit allows", is_final=True)
    if result.exit_code is None:
        return _exit(f"no exit code: {result.error or 'its end was not seen'}", is_final=True)
    try:
        return _judge_exit_code(step, result.exit_code) or _judge_output(step, result) or Judgement()
    except EndlessError as error:
        return Judgement("incomplete", error.code, f"not evaluated: {error.message}", is_final=True)


def _exit(reason: str, *, is_final: bool = False) -> Judgement:
    return Judgement("failed", "CLN605", reason, is_final)


def _judge_exit_code(step: Step, exit_code: int) -> Judgement | None:
    if step.should_fail and exit_code == 0:
        return _exit("exit code 0, expected a failure")
    is_any_failure_right = step.should_fail and step.expected_exit_code == 0
    if not is_any_failure_right and exit_code != step.expected_exit_code:
        return _exit(f"exit code {exit_code}, expected {step.expected_exit_code}")
    return None


def _judge_output(step: Step, result: CommandResult) -> Judgement | None:
    wanted, unwanted = step.expected_output_regex, step.expected_output_regex_not
    if wanted is None and unwanted is None and not step.expected_output_contains:
        return None
    stdout = result.stdout.decode("utf-8", "replace").strip()
    cut = " (it was cut: too long)" if result.truncated else ""
    if wanted is not None and not compiled(wanted).search(stdout):
        return Judgement("failed", "CLN606", f"stdout does not match `{wanted}`{cut}")
    if unwanted is not None and compiled(unwanted).search(stdout):
        return Judgement("failed", "CLN606", f"stdout matches `{unwanted}`, which it must not")
    for text in step.expected_output_contains:
        if text not in stdout:
            return Judgement("failed", "CLN606", f"stdout does not contain {text!r}{cut}")
    return None


def within_scenario(wanted: str | None, judgement: Judgement) -> Judgement:
    """The same command under the scenario's ``expect_failure`` or ``expect_partial_failure``.

    Only what a command may do by itself counts as the failure that was expected: a timeout, a kill for
    memory, or a command that could not be started never does.
    """
    failed = judgement.status == "failed"
    if wanted not in ("failure", "partial_failure") or judgement.is_final:
        return judgement
    if failed:
        return Judgement("passed", None, f"failed, as expected: {judgement.reason}")
    if wanted == "failure" and judgement.status in ("passed", "flaky"):
        return _exit("succeeded, but the scenario expects failure")
    return judgement


def judge_mixture(scenario: Scenario, judgements: Sequence[Judgement]) -> Judgement:
    """``expect_partial_failure`` over all commands, each judged by its own rules: some fail, some succeed."""
    if scenario.outcome != "partial_failure" or any(one.is_final for one in judgements):
        return Judgement()
    failed = [one for one in judgements if one.status == "failed"]
    if not failed:
        return _exit("no command failed, but at least one must (expect_partial_failure)")
    if len(failed) == len(judgements):
        return _exit("every command failed, but at least one must succeed (expect_partial_failure)")
    return Judgement()


def forbidden_program(scenario: Scenario, step: Step) -> str | None:
    """The program of `step` if ``policy.disallowed_commands`` names it: exact program names."""
    forbidden = scenario.policy.disallowed_commands
    program = step.command[0]
    if program in forbidden or program.rpartition("/")[2] in forbidden:
        return program
    return None


def is_leak_asserted(test: TestFile) -> bool:
    """Whether something left behind (CLN610) is an error of this test (``format.md`` 5.4)."""
    blocks = [test.expect, *(scenario.expect for scenario in test.scenarios if scenario.expect)]
    checks = (check for block in blocks for check in block.hermeticity)
    return (
        test.cleanup.verify_cleanup
        or any(status.cleanup_must_succeed for block in blocks for status in block.status)
        or any(
            check.no_container_leakage
            or check.no_network_leakage
            or check.no_volume_leakage
            or check.no_process_leakage
            for check in checks
        )
    )


def status_of_findings(diagnostics: Sequence[Diagnostic]) -> Status:
    """The status that findings alone give a test: errors, CLN612 and CLN614 (``format.md`` 11.2)."""
    return worst(
        [
            status
            for finding in diagnostics
            if finding.severity == "error" or finding.code in _DECIDING_WARNINGS
            if (status := CODES[finding.code].status)
        ]
    )

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clnrm_nb.errors import Diagnostic
from clnrm_nb.executor.backends.protocol import CommandResult
from clnrm_nb.executor.judge import (
    Judgement,
    forbidden_program,
    is_leak_asserted,
    judge_command,
    judge_mixture,
    status_of_findings,
    within_scenario,
)
from clnrm_nb.scenario.model import (
    Cleanup,
    Expect,
    HermeticityExpectation,
    Metadata,
    Policy,
    Scenario,
    StatusExpectation,
    Step,
    TestFile,
)


def step(**fields):
    return Step(name="x", command=("true",), **fields)


def result(exit_code=0, stdout=b"", **fields):
    return CommandResult(exit_code, stdout, b"", 1.0, **fields)


FAILED = Judgement("failed", "CLN605", "exit code 1, expected 0")


@pytest.mark.parametrize(
    ("rules", "got", "code"),
    [
        ({}, result(0), None),
        ({}, result(2), "CLN605"),
        ({"expected_exit_code": 3}, result(3), None),
        ({"expected_exit_code": 3}, result(0), "CLN605"),
        ({"should_fail": True}, result(7), None),
        ({"should_fail": True}, result(0), "CLN605"),
        ({"should_fail": True, "expected_exit_code": 2}, result(7), "CLN605"),
        ({"expected_output_regex": "^ok$"}, result(stdout=b"\n ok \n"), None),
        ({"expected_output_regex": "^ok$"}, result(stdout=b"not ok"), "CLN606"),
        ({"expected_output_regex_not": "error"}, result(stdout=b"fine"), None),
        ({"expected_output_regex_not": "error"}, result(stdout=b"an error"), "CLN606"),
        ({"expected_output_contains": ("a", "b")}, result(stdout=b"b a"), None),
        ({"expected_output_contains": ("a", "c")}, result(stdout=b"b a"), "CLN606"),
        ({"expected_output_regex": "^ok$"}, result(1, b"no"), "CLN605"),
        ({}, result(None, timed_out=True), "CLN604"),
        ({"should_fail": True}, result(None, timed_out=True), "CLN604"),
        ({"should_fail": True}, result(137, oom_killed=True), "CLN605"),
        ({"should_fail": True}, result(None, error="program `x` not found"), "CLN605"),
    ],
)
def test_a_command_is_judged_by_exit_code_then_output(rules, got, code):
    judgement = judge_command(step(**rules), got, limit="30 s")

    assert judgement.code == code
    assert judgement.status == ("failed" if code else "passed")


def test_a_regex_that_takes_re_for_ever_is_judged_and_one_that_nothing_ends_is_not_evaluated():
    output = b"a" * 50_000 + b"!"

    assert (
        judge_command(step(expected_output_regex="(a+)+$"), result(stdout=output), limit="").code == "CLN606"
    )
    for rule in ("expected_output_regex", "expected_output_regex_not"):
        judgement = judge_command(step(**{rule: "(a{1,999}){1,999}$"}), result(stdout=output), limit="")
        assert (judgement.status, judgement.code, judgement.is_final) == ("incomplete", "CLN314", True)
        assert "might never end on a text of 50,001 characters" in judgement.reason


def test_a_timeout_names_the_limit_that_was_reached():
    judgement = judge_command(step(), result(None, timed_out=True), limit="30 s")

    assert judgement.reason == "`x` killed after 30 s"


def test_output_that_is_not_utf8_is_judged_all_the_same():
    assert (
        judge_command(step(expected_output_contains=("ok",)), result(stdout=b"\xff\x00ok")).status == "passed"
    )


def test_a_command_a_replay_does_not_know_is_not_evaluated():
    judgement = judge_command(step(), result(None, is_known=False))

    assert (judgement.status, judgement.code) == ("incomplete", "CLN612")


def test_an_expected_failure_passes_and_says_why():
    judgement = within_scenario("failure", FAILED)

    assert (judgement.status, judgement.reason) == ("passed", "failed, as expected: exit code 1, expected 0")


def test_a_success_where_failure_is_expected_fails():
    assert within_scenario("failure", Judgement()).code == "CLN605"


@pytest.mark.parametrize("wanted", ["failure", "partial_failure"])
def test_a_timeout_is_never_the_failure_that_was_expected(wanted):
    timeout = judge_command(step(), result(None, timed_out=True), limit="1 s")

    assert within_scenario(wanted, timeout) == timeout


@given(st.sampled_from([None, "success"]), st.sampled_from([Judgement(), FAILED]))
def test_without_expected_failure_the_own_rules_decide(wanted, judgement):
    assert within_scenario(wanted, judgement) == judgement


@pytest.mark.parametrize(
    ("judgements", "status"),
    [
        ([Judgement(), FAILED], "passed"),
        ([Judgement(), Judgement()], "failed"),
        ([FAILED, FAILED], "failed"),
    ],
)
def test_partial_failure_needs_one_of_each(judgements, status):
    scenario = Scenario(name="s", outcome="partial_failure")

    assert judge_mixture(scenario, judgements).status == status


@pytest.mark.parametrize(
    ("argv", "found"), [(("rm", "-r"), "rm"), (("/bin/rm",), "/bin/rm"), (("rmdir",), None), (("sh",), None)]
)
def test_only_exact_program_names_are_forbidden(argv, found):
    scenario = Scenario(name="s", policy=Policy(disallowed_commands=("rm",)))

    assert forbidden_program(scenario, Step(name="x", command=argv)) == found


@pytest.mark.parametrize(
    "fields",
    [
        {"cleanup": Cleanup(verify_cleanup=True)},
        {"expect": Expect(hermeticity=(HermeticityExpectation(no_container_leakage=True),))},
        {"expect": Expect(status=(StatusExpectation(cleanup_must_succeed=True),))},
        {
            "scenarios": (
                Scenario(
                    name="s", expect=Expect(hermeticity=(HermeticityExpectation(no_process_leakage=True),))
                ),
            )
        },
    ],
)
def test_leakage_is_asserted_by_any_of_its_keys(fields):
    assert is_leak_asserted(TestFile(file="f", metadata=Metadata(name="f"), **fields))
    assert not is_leak_asserted(TestFile(file="f", metadata=Metadata(name="f")))


@pytest.mark.parametrize(
    ("findings", "status"),
    [
        ([], "passed"),
        ([Diagnostic("CLN611", "x")], "passed"),
        ([Diagnostic("CLN614", "x")], "incomplete"),
        ([Diagnostic("CLN614", "x"), Diagnostic("CLN603", "x")], "failed"),
        ([Diagnostic("CLN603", "x"), Diagnostic("CLN601", "x")], "error"),
        ([Diagnostic("CLN610", "x", severity="warning")], "passed"),
        ([Diagnostic("CLN610", "x")], "failed"),
    ],
)
def test_findings_give_the_status_of_the_table(findings, status):
    assert status_of_findings(findings) == status

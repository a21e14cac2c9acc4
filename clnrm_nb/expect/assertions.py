"""``[assertions]`` (older form, ``format.md`` 7.9): the two keys that are evaluated."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from clnrm_nb.expect.claim import NOT_HERMETIC, Claim, Finding, failed, not_evaluated, passed, plural
from clnrm_nb.expect.hermeticity import outside_hosts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clnrm_nb.executor.outcome import TestOutcome
    from clnrm_nb.expect.claim import Scope

__all__ = ["claims"]


def claims(scope: Scope) -> Iterator[Claim]:
    """One claim a key; a key set to false asks for nothing."""
    for block in scope.expect.assertions:
        if block.value is False:
            continue
        if block.key == "container_should_have_executed_commands":
            look = partial(_commands, block.value, scope.outcome)
        else:
            look = partial(_hermetic, scope)
        yield Claim(
            f"assertions.{block.key}", "assertions", block.source, block.value, look, about_spans=False
        )


def _commands(wanted: Any, outcome: TestOutcome) -> Finding:
    least = int(wanted)
    commands = [command for scenario in outcome.scenarios for command in scenario.commands]
    ran = sum(command.status != "skipped" for command in commands)
    if outcome.replayed and not commands:
        return not_evaluated("what is replayed holds no commands", "no commands recorded")
    message = f"{plural(ran, 'command')} ran, expected at least {least}"
    return passed(message, ran) if ran >= least else failed(message, ran)


def _hermetic(scope: Scope) -> Finding:
    outcome = scope.outcome
    if not outcome.hermetic or outcome.replayed:
        message = (
            f"the run was not hermetic ({'a replay' if outcome.replayed else f'backend {outcome.backend}'})"
        )
        return failed(message, False, reason=NOT_HERMETIC)
    hosts = outside_hosts(scope, [host for block in scope.expect.hermeticity for host in block.allow_hosts])
    if hosts:
        rows = sorted(row for named in hosts.values() for row in named)
        return failed(f"spans name outside hosts: {'; '.join(sorted(hosts))}", sorted(hosts), rows)
    return passed("the backend is hermetic and no span names an outside host", True)

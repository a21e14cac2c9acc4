"""Steps and scenarios: commands in order or at once, retries, limits, and what they add up to.

The top-level steps of a file are run and reported as a scenario of their own, named ``steps``. Outcomes are
made before anything runs and filled in place, so that whatever ends a test leaves a true account: what was
under way is ``interrupted``, what never began ``skipped``.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from clnrm_nb.errors import Diagnostic
from clnrm_nb.executor.backends.protocol import CommandSpec, Replaying
from clnrm_nb.executor.judge import (
    Judgement,
    forbidden_program,
    judge_command,
    judge_mixture,
    within_scenario,
)
from clnrm_nb.executor.outcome import CommandOutcome, ScenarioOutcome, worst
from clnrm_nb.executor.plan import STEPS
from clnrm_nb.executor.together import together
from clnrm_nb.scenario.model import Scenario

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clnrm_nb.executor.attempt import Attempt
    from clnrm_nb.executor.backends.protocol import CommandResult
    from clnrm_nb.executor.environment import Telemetry
    from clnrm_nb.executor.tracing import OwnSpan
    from clnrm_nb.scenario.model import Step, TestFile

__all__ = ["ScenarioRun", "run_scenarios", "scenarios_of"]

_LAST_LINES: Final = 5


def scenarios_of(test: TestFile) -> list[Scenario]:
    """All scenarios of a file in the order they run, the top-level steps first."""
    if not test.steps:
        return list(test.scenarios)
    taken = {scenario.name for scenario in test.scenarios}
    name = STEPS if STEPS not in taken else f"{STEPS} (top level)"
    return [Scenario(name=name, steps=test.steps, source=("steps",)), *test.scenarios]


async def run_scenarios(attempt: Attempt, runs: Sequence[ScenarioRun]) -> None:
    """Run all scenarios: one after another, neighbours that are ``concurrent`` at once.

    After each but the last the trace is waited for until it is quiet. The last one stays open until the
    services have been stopped, so that what they still export is its own (:meth:`ScenarioRun.close`).
    """
    groups = _groups(runs)
    for number, group in enumerate(groups, 1):
        with attempt.timed("scenarios"):
            await together([run.run() for run in group])
        if number < len(groups):
            with attempt.timed("quiet"):
                await _quiet(attempt)
            for run in group:
                run.close()


def _groups(runs: Sequence[ScenarioRun]) -> list[list[ScenarioRun]]:
    groups: list[list[ScenarioRun]] = []
    for run in runs:
        if groups and run.scenario.concurrent and groups[-1][-1].scenario.concurrent:
            groups[-1].append(run)
        else:
            groups.append([run])
    return groups


async def _quiet(attempt: Attempt) -> None:
    if not attempt.context.backend.replayed:
        flush_max_s = attempt.context.settings.executor.flush_max_ms / 1e3
        await attempt.collector.quiet(min(flush_max_s, attempt.remaining_s))


class ScenarioRun:
    """One scenario of one test attempt.

    Parameters
    ----------
    scenario : Scenario
    outcome : ScenarioOutcome
        Filled in place; ``skipped`` until it starts.
    """

    def __init__(self, attempt: Attempt, scenario: Scenario, outcome: ScenarioOutcome) -> None:
        self.scenario = scenario
        self.outcome = outcome
        self._attempt = attempt
        self._deadline_s = float("inf")
        self._span: OwnSpan
        self._telemetry: Telemetry

    @staticmethod
    def prepared(scenario: Scenario, reason: str) -> ScenarioOutcome:
        """The outcome of a scenario that has not started, all its commands included."""
        commands = [
            CommandOutcome(step.name, list(step.command), step.service, "skipped", attempts=0, reason=reason)
            for step in (*scenario.run, *scenario.steps)
        ]
        return ScenarioOutcome(scenario.name, "skipped", commands=commands, reason=reason)

    async def run(self) -> None:
        """Run its commands and judge them. Raises only what ends the test."""
        attempt, outcome, scenario = self._attempt, self.outcome, self.scenario
        self._span = attempt.tracer.scenario(scenario.name)
        token = attempt.collector.open_scenario(scenario.name, self._span.trace_id, self._span.span_id)
        self._telemetry = attempt.telemetry(token, self._span, scenario.name)
        started_s = time.monotonic()
        if (limit_s := self._limit_s) is not None:
            self._deadline_s = started_s + limit_s
        outcome.status, outcome.reason = "interrupted", None
        try:
            with self._span.entered():
                judgements = (await together([self._commands(), self._play()]))[0]
                self._judge(judgements)
        finally:
            outcome.duration_ms = self._duration_ms(started_s)
            if outcome.status not in ("passed", "flaky"):
                self._span.fail(outcome.reason or outcome.status)
            self._span.end()
            attempt.emit(
                "scenario.end",
                scenario=scenario.name,
                status=outcome.status,
                data={"duration_ms": round(outcome.duration_ms, 3)},
            )

    def _duration_ms(self, started_s: float) -> float:
        """How long it took; in a replay, how long its commands took when they were recorded."""
        if not self._attempt.context.backend.replayed:
            return (time.monotonic() - started_s) * 1e3
        durations_ms = [command.duration_ms for command in self.outcome.commands]
        return max(durations_ms, default=0.0) if self.scenario.concurrent else sum(durations_ms)

    def close(self) -> None:
        """End its interval: spans that start from now on are no longer its own by time."""
        self._attempt.collector.close_scenario(self.scenario.name)

    @property
    def _limit_s(self) -> float | None:
        limits = [self.scenario.timeout_s, self.scenario.policy.max_execution_time_s]
        return min((limit for limit in limits if limit is not None), default=None)

    async def _play(self) -> list[Judgement]:
        unit = self._attempt.unit
        if self._attempt.context.backend.replayed and isinstance(unit, Replaying):
            await unit.play(self.scenario.name, self._attempt.collector.add_recorded)
        return []

    def _judge(self, judgements: Sequence[Judgement]) -> None:
        mixture = judge_mixture(self.scenario, judgements)
        if mixture.code:
            self._report(mixture.code, mixture.reason or "")
        statuses = [command.status for command in self.outcome.commands]
        self.outcome.status = worst([mixture.status, *(status for status in statuses if status != "skipped")])
        failed = next((c for c in self.outcome.commands if c.status in ("failed", "error")), None)
        self.outcome.reason = mixture.reason or (f"`{failed.name}`: {failed.reason}" if failed else None)

    # --------------------------------------------------------------------------------------- commands

    async def _commands(self) -> list[Judgement]:
        """The judgement of each command that was started, by its own rules."""
        scenario, outcomes = self.scenario, self.outcome.commands
        pairs = list(zip((*scenario.run, *scenario.steps), outcomes, strict=True))
        if scenario.concurrent:
            return await together([self._command(step, outcome) for step, outcome in pairs])
        if not scenario.parallel_services:
            return await self._in_order(pairs)
        split = len(scenario.run)
        judgements = await together([self._command(step, outcome) for step, outcome in pairs[:split]])
        if any(outcome.status == "failed" for outcome in outcomes[:split]):
            self._skip(pairs[split:])
            return judgements
        return judgements + await self._in_order(pairs[split:])

    async def _in_order(self, pairs: Sequence[tuple[Step, CommandOutcome]]) -> list[Judgement]:
        judgements: list[Judgement] = []
        for number, (step, outcome) in enumerate(pairs, 1):
            judgements.append(await self._command(step, outcome))
            if outcome.status == "failed" and not step.continue_on_failure:
                self._skip(pairs[number:])
                break
        return judgements

    def _skip(self, pairs: Sequence[tuple[Step, CommandOutcome]]) -> None:
        for _, outcome in pairs:
            outcome.status, outcome.reason = "skipped", "an earlier step failed"
            self._ended(outcome)

    async def _command(self, step: Step, outcome: CommandOutcome) -> Judgement:
        """Run one command with its retries; its judgement by its own rules."""
        outcome.status, outcome.reason = "interrupted", None
        span = self._attempt.tracer.step(step.name, self._span)
        try:
            if program := forbidden_program(self.scenario, step):
                reason = f"`{program}` is not run: policy.disallowed_commands names it"
                own = Judgement("failed", "CLN605", reason, is_final=True)
            else:
                with span.entered():
                    own = await self._attempts(step, outcome, span)
            judged = within_scenario(self.scenario.outcome, own)
            outcome.status, outcome.reason, outcome.code = judged.status, judged.reason, judged.code
            if judged.code:
                span.fail(judged.reason or judged.status)
                self._report(judged.code, self._sentence(step, judged), step, hint=_last_lines(outcome))
            return own
        finally:
            span.end()
            self._ended(outcome)

    async def _attempts(self, step: Step, outcome: CommandOutcome, span: OwnSpan) -> Judgement:
        judgement = Judgement()
        # A recording keeps the last attempt, which stands for all.
        most = 1 if self._attempt.context.backend.replayed else max(step.retry.max_attempts, 1)
        outcome.attempts = 0
        for number in range(1, most + 1):
            limit_s, limit = self._limit(step)
            if limit_s <= 0:
                return Judgement(
                    "failed", "CLN604", f"`{step.name}` not started: no time left of {limit}", is_final=True
                )
            result = await self._attempt.execute(self._spec(step, limit_s))
            outcome.attempts += result.attempts
            self._take(step, outcome, result, span)
            judgement = judge_command(step, result, limit=limit)
            if judgement.status != "failed":
                break
            if number < most:
                await asyncio.sleep(min(step.retry.delay_s, max(self._limit(step)[0], 0.0)))
        if judgement.status == "passed" and outcome.attempts > 1:
            return Judgement("flaky", None, f"passed in attempt {outcome.attempts}")
        return judgement

    def _limit(self, step: Step) -> tuple[float, str]:
        """The limit that is reached first: seconds from now, and how to name it."""
        attempt = self._attempt
        own_s = step.timeout_s or attempt.plan.step_timeout_s
        limits = [(own_s, f"{own_s:g} s")]
        if self._limit_s is not None:
            text = f"{self._limit_s:g} s, the limit of scenario `{self.scenario.name}`"
            limits.append((self._deadline_s - time.monotonic(), text))
        limits.append((attempt.remaining_s, f"{attempt.plan.timeout_s:g} s, the limit of the test"))
        limit_s, text = min(limits, key=lambda limit: limit[0])
        return limit_s, text

    def _spec(self, step: Step, limit_s: float) -> CommandSpec:
        is_immediate = self.scenario.timeout_strategy == "immediate"
        return CommandSpec(
            step.name,
            step.command,
            step.service,
            env=self._attempt.environment(self._telemetry, step.service, step),
            workdir=step.workdir,
            timeout_s=limit_s,
            grace_s=0.0 if is_immediate else self.scenario.grace_period_s,
            scenario=self.scenario.name,
        )

    def _take(self, step: Step, outcome: CommandOutcome, result: CommandResult, span: OwnSpan) -> None:
        """Keep what one attempt left: output, spans printed on it, figures."""
        attempt, name = self._attempt, self.scenario.name
        outcome.exit_code = result.exit_code
        outcome.duration_ms += result.duration_ms
        outcome.truncated = result.truncated
        for stream in ("stdout", "stderr"):
            data = attempt.masker.data(getattr(result, stream), is_cut=result.truncated)
            setattr(outcome, stream, data.decode("utf-8", "replace"))
        span.event(
            "container.exec",
            **{
                "clnrm.attempt": outcome.attempts,
                "clnrm.service.name": step.service,
                "process.exit.code": result.exit_code,
            },
        )
        if not attempt.context.backend.replayed:
            attempt.collector.add_output(result.stdout, name, source=step.name)
            attempt.collector.end_output(name, source=step.name)

    # -------------------------------------------------------------------------------------- reporting

    @staticmethod
    def _sentence(step: Step, judgement: Judgement) -> str:
        reason = judgement.reason or judgement.status
        return reason if judgement.code == "CLN604" else f"`{step.name}`: {reason}"

    def _report(self, code: str, message: str, step: Step | None = None, *, hint: str | None = None) -> None:
        source = step.source if step and step.source else self.scenario.source
        self._attempt.report(Diagnostic(code, message, hint=hint, scenario=self.scenario.name), source)

    def _ended(self, outcome: CommandOutcome) -> None:
        self._attempt.emit(
            "step.end",
            scenario=self.scenario.name,
            status=outcome.status,
            data={
                "name": outcome.name,
                "exit_code": outcome.exit_code,
                "attempts": outcome.attempts,
                "duration_ms": round(outcome.duration_ms, 3),
            },
        )


def _last_lines(outcome: CommandOutcome) -> str | None:
    for name, text in (("stderr", outcome.stderr), ("stdout", outcome.stdout)):
        # The end of a long output is enough to find its last lines in.
        lines = text[-4096:].strip().splitlines()[-_LAST_LINES:]
        if lines:
            return f"{name} ends with:\n" + "\n".join(f"    {line}" for line in lines)
    return None

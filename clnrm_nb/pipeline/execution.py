"""The tests of one run on one backend: those that can run, as often as was asked for, each ending once."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from clnrm_nb.executor.backends.protocol import Pooling
from clnrm_nb.executor.kept import lent_backend
from clnrm_nb.executor.masking import mask_outcome
from clnrm_nb.executor.pool import TestHistory, run_tests
from clnrm_nb.pipeline.audit import audit
from clnrm_nb.pipeline.evidence import Evidences
from clnrm_nb.pipeline.inputs import plan_of
from clnrm_nb.pipeline.judge import errored, judge
from clnrm_nb.pipeline.resume import Resumption
from clnrm_nb.pipeline.rounds import run_rounds
from clnrm_nb.pipeline.telling import tell_whole
from clnrm_nb.spans.phases import phase

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, MutableMapping, Sequence

    from clnrm_nb.cache import Key
    from clnrm_nb.config.project import Project
    from clnrm_nb.config.settings import Settings
    from clnrm_nb.executor.backends.protocol import Backend, PoolReport
    from clnrm_nb.executor.control import Control
    from clnrm_nb.executor.events import Listener
    from clnrm_nb.executor.outcome import TestOutcome
    from clnrm_nb.executor.plan import TestPlan
    from clnrm_nb.pipeline.inputs import Inputs
    from clnrm_nb.pipeline.ledger import Ledger
    from clnrm_nb.pipeline.load import LoadedTest
    from clnrm_nb.pipeline.redacting import Redacting
    from clnrm_nb.secrets import Masker
    from clnrm_nb.spans.table import SpanTable
    from clnrm_nb.state import State
    from clnrm_nb.state.evidence import Attempt

__all__ = ["Execution"]


@dataclass(slots=True)
class Execution:
    """What the tests of a run are executed with.

    Parameters
    ----------
    repeat, until_fail
        See :func:`~clnrm_nb.pipeline.rounds.run_rounds`.
    environ : mapping
        Where ``[secrets]`` are read from; empty: the environment of this process.
    ledger : Ledger, optional
        Takes each verdict; ``None`` for tests that run several times, which cannot be gone on with.
    resumption : Resumption
        Verdicts that are there already.
    backend : str
        Name of the backend.
    make_inputs : callable
        Makes inputs that hold nothing yet.
    inputs : Inputs, optional
        What tests depend on, as far as it was read to look them up; for the next round only.
    masker : Masker
        Hides secrets.
    redact : callable, optional
        Hides what ``redact`` rules select in the spans of a test.
    control : Control, optional
        Lets somebody give up tests while the run goes on.
    """

    project: Project
    settings: Settings
    state: State
    run_id: str
    listener: Listener
    repeat: int
    until_fail: bool
    environ: Mapping[str, str]
    ledger: Ledger | None
    resumption: Resumption
    tables: MutableMapping[str, SpanTable] | None
    masker: Masker
    backend: str
    make_inputs: Callable[[], Inputs]
    inputs: Inputs | None = None
    control: Control | None = None
    redact: Redacting | None = None
    evidence: list[Attempt] = field(default_factory=list)
    """What the tests that ran were reached from."""
    pool: PoolReport | None = None
    """What became of containers that are used again, where the backend has such."""
    keys: dict[str, Key] = field(default_factory=dict)
    """Confirmed keys of tests that ran."""

    async def run(self, chosen: Sequence[LoadedTest]) -> list[TestOutcome]:
        """One outcome a test, in the order of `chosen`."""
        outcomes = {test.test_id: errored(test, self.backend) for test in chosen if test.test is None}
        mine = {test.test_id for test in chosen}
        outcomes |= {name: one for name, one in self.resumption.outcomes.items() if name in mine}
        for outcome in outcomes.values():
            mask_outcome(outcome, self.masker)
            tell_whole(outcome, self.listener, self.run_id)
        open_tests = {test.test_id: test for test in chosen if test.test_id not in outcomes}
        if open_tests:
            async with lent_backend(self.backend, self.settings) as backend:
                for outcome in await self._rounds(open_tests, backend):
                    outcomes[outcome.id] = outcome
                await self._audit(open_tests, backend, outcomes)
        return [outcomes[test.test_id] for test in chosen]

    async def _rounds(self, tests: Mapping[str, LoadedTest], backend: Backend) -> list[TestOutcome]:
        if self.inputs is not None:
            self.inputs.keep(tests)
        evidences = Evidences(backend, self.make_inputs, self.inputs)
        self.inputs = None

        async def run_once(listener: Listener) -> list[TestOutcome]:
            return await self._one_round(tests, backend, listener, evidences)

        outcomes = await run_rounds(
            run_once,
            self.listener,
            repeat=self.repeat,
            until_fail=self.until_fail,
            settings=self.settings.executor,
        )
        self.evidence += evidences.attempts
        self.keys |= evidences.keys
        return outcomes

    async def _one_round(
        self,
        tests: Mapping[str, LoadedTest],
        backend: Backend,
        listener: Listener,
        evidences: Evidences,
    ) -> list[TestOutcome]:
        plans = self._plans(tests)
        with phase("clnrm.inputs"):
            await evidences.take(tests)

        def evaluate(plan: TestPlan, outcome: TestOutcome) -> None:
            judge(tests[plan.id], outcome)
            evidences.say(plan.id, outcome.status)

        outcomes = await run_tests(
            plans,
            backend,
            settings=self.settings,
            project=self.project,
            run_id=self.run_id,
            publish=listener,
            history=self._history(),
            evaluate=evaluate,
            ended=self.ledger.add if self.ledger else None,
            environ=self.environ or os.environ,
            tables=self.tables,
            control=self.control,
            masker=self.masker,
            redact=self.redact,
        )
        await evidences.confirm(outcomes)
        return outcomes

    async def _audit(
        self, tests: Mapping[str, LoadedTest], backend: Backend, outcomes: Mapping[str, TestOutcome]
    ) -> None:
        """Check what ran in used containers, beside the run that listeners follow."""
        if not isinstance(backend, Pooling):
            return
        self.pool = backend.pool_report()

        async def again(chosen: Collection[str]) -> list[TestOutcome]:
            return await run_tests(
                [replace(plan, isolation="fresh") for plan in self._plans(tests) if plan.id in chosen],
                backend,
                settings=self.settings,
                project=self.project,
                run_id=self.run_id,
                evaluate=lambda plan, outcome: judge(tests[plan.id], outcome),
                environ=self.environ or os.environ,
                masker=self.masker,
                redact=self.redact,
            )

        if not any(outcome.status == "interrupted" for outcome in outcomes.values()):
            percent = self.settings.cache.audit_percent
            await audit(outcomes.values(), again, percent=percent, seed=self.run_id, report=self.pool)

    def _plans(self, tests: Mapping[str, LoadedTest]) -> list[TestPlan]:
        return [
            plan_of(test, self.project, self.settings) for test in tests.values() if test.test is not None
        ]

    def _history(self) -> dict[str, TestHistory]:
        durations_ms = self.state.durations()
        return {
            test_id: TestHistory(row["status"], durations_ms.get(test_id, row["duration_ms"]))
            for test_id, row in self.state.last_results().items()
        }

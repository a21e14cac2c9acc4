"""What becomes of an answer on the run's side: an outcome as if the test had run here."""

from __future__ import annotations

import asyncio
import tarfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from clnrm_nb.errors import Diagnostic
from clnrm_nb.executor.artifacts import staging, write_artifacts
from clnrm_nb.executor.backends.dask.clock import moved
from clnrm_nb.executor.backends.dask.files import extract
from clnrm_nb.executor.backends.dask.payload import outcome_of, read_spans
from clnrm_nb.executor.judge import status_of_findings
from clnrm_nb.executor.masking import mask_outcome
from clnrm_nb.executor.outcome import TestOutcome
from clnrm_nb.executor.scenarios import ScenarioRun, scenarios_of
from clnrm_nb.secrets import Masker
from clnrm_nb.spans.table import SpanTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clnrm_nb.codes import Status
    from clnrm_nb.executor.attempt import RunContext
    from clnrm_nb.executor.backends.dask.payload import Reply
    from clnrm_nb.executor.backends.dask.pulse import Errand
    from clnrm_nb.executor.plan import TestPlan

__all__ = ["arrived", "unrun"]


async def arrived(errand: Errand, reply: Reply, findings: Sequence[Diagnostic], ahead_ns: int) -> TestOutcome:
    """The outcome of a test that ran on a worker; its spans and artifacts are put in place here.

    Parameters
    ----------
    reply : Reply
        Of kind ``done``.
    findings : sequence of Diagnostic
        What is other than in a local run.
    ahead_ns : int
        Of the worker's clock.
    """
    plan, context = errand.plan, errand.context
    errand.show(reply.events[errand.n_events :], ahead_ns)
    outcome = outcome_of(reply.outcome, plan)
    outcome.diagnostics += findings
    if reply.spans:
        outcome.spans = context.tables[plan.id] = moved(read_spans(reply.spans), ahead_ns)
        _joined(outcome.spans, context, reply, ahead_ns)
        if context.redact is not None:
            hidden = context.redact(plan.id, outcome.spans)
            mask_outcome(outcome, Masker(hidden.texts))
            outcome.diagnostics += [replace(finding, test=plan.id) for finding in hidden.findings]
    if outcome.status != "interrupted":
        await _keep_artifacts(errand, outcome, reply)
    return outcome


async def _keep_artifacts(errand: Errand, outcome: TestOutcome, reply: Reply) -> None:
    def write() -> None:
        with staging(errand.context.project.state_dir, errand.plan.id) as directory:
            extract(reply.files, directory, keeps_modes=False)
            write_artifacts(directory, errand.plan, outcome, {})

    try:
        await asyncio.shield(asyncio.ensure_future(asyncio.to_thread(write)))
    except (OSError, tarfile.TarError) as error:
        text = f"the artifacts could not be written: {error}"
        outcome.diagnostics.append(Diagnostic("CLN001", text, severity="warning", test=errand.plan.id))


def unrun(
    plan: TestPlan,
    context: RunContext,
    *findings: Diagnostic,
    inner: str,
    status: Status | None = None,
    reason: str | None = None,
) -> TestOutcome:
    """The outcome of a test that ran nowhere, with the findings that say why.

    Parameters
    ----------
    inner : str
        The backend it would have run on.
    status : str, optional
        Default: what the findings make it.
    """
    outcome = TestOutcome(
        id=plan.id,
        name=plan.test.metadata.name,
        backend=inner,
        hermetic=inner == "docker" and plan.is_hermetic_by_file,
        isolation="fresh",
        matrix=dict(plan.test.matrix),
        hash=plan.hash,
        reason=reason or next((finding.message for finding in findings), None),
        scenarios=[ScenarioRun.prepared(each, reason or "not started") for each in scenarios_of(plan.test)],
        diagnostics=list(findings),
    )
    outcome.status = status or status_of_findings(outcome.diagnostics)
    for finding in findings:
        context.emit("diagnostic", test=plan.id, data=finding.to_json())
    return outcome


def _joined(table: SpanTable, context: RunContext, reply: Reply, ahead_ns: int) -> None:
    """Put the run's own span in its place, and say at the test's span where it ran."""
    own = [row for row in range(len(table)) if table.own[row]]
    run = SpanTable([context.run_span.snapshot()])
    for row in own:
        if table.span_id[row] == run.span_id[0]:
            table.replace(row, run, 0)
        elif table.name[row] == "clnrm.test":
            where: dict[str, Any] = {"clnrm.dask.worker": reply.worker}
            if ahead_ns:
                where["clnrm.clock.ahead_ms"] = round(ahead_ns / 1e6, 3)
            table.attributes[row] = {**table.attributes[row], **where}

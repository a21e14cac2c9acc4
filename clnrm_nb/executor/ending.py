"""The end of a test before teardown: services stopped, spans collected, artifacts written.

Steps 7 and 8 of ``format.md`` 5.1.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.errors import Diagnostic
from clnrm_nb.executor.artifacts import ServiceLog, collect_files, staging, write_artifacts
from clnrm_nb.executor.backends import has_containers
from clnrm_nb.executor.masking import mask_files, mask_outcome, mask_spans
from clnrm_nb.secrets import Masker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from clnrm_nb.executor.attempt import Attempt
    from clnrm_nb.executor.scenarios import ScenarioRun
    from clnrm_nb.scenario.model import TestFile
    from clnrm_nb.spans.table import SpanTable

__all__ = ["STOP_GRACE_S", "Ending"]

_log = logging.getLogger(__name__)

STOP_GRACE_S: Final = 5.0
"""Between TERM and KILL of a service at the end: as long as an SDK may take for its last export."""

_DRAIN_PAUSE_S: Final = 0.005


class Ending:
    """Ends one attempt in good order; :meth:`take_spans` alone serves a test that was broken off."""

    def __init__(self, attempt: Attempt, runs: Sequence[ScenarioRun]) -> None:
        self._attempt = attempt
        self._runs = runs
        self._killed: list[str] = []
        self._is_taken = False
        self._redacted = Masker()

    async def end(self) -> None:
        """Steps 7 and 8."""
        attempt, outcome = self._attempt, self._attempt.outcome
        with attempt.timed("stop"):
            await self._quiet()
            if _asks_for_objects(attempt.plan.test):
                outcome.objects = await attempt.unit.objects()
            await self._stop()
        with attempt.timed("collect"):
            logs = self._service_logs()
            await self._drained()
            self.take_spans()
        outcome.images = self._images()
        hidden = self._redacted.data
        logs = {name: ServiceLog(hidden(log.stdout), hidden(log.stderr)) for name, log in logs.items()}
        try:
            with attempt.timed("artifacts"):
                await self._artifacts(logs)
        finally:
            # Now, since copying files has something to say too.
            for finding in attempt.unit.diagnostics():
                attempt.report(finding)

    async def _quiet(self) -> None:
        """Let services export what they have: not every program does so when it gets TERM.

        Only where it can matter, as it costs 150 ms: services, and spans of theirs seen or asked for.
        """
        attempt = self._attempt
        is_traced = False in attempt.collector.table.own or attempt.plan.test.has_expectations
        if attempt.running and is_traced and attempt.remaining_s:
            flush_max_s = attempt.context.settings.executor.flush_max_ms / 1e3
            await attempt.collector.quiet(min(flush_max_s, attempt.remaining_s))

    async def _stop(self) -> None:
        attempt = self._attempt
        grace_ms = attempt.plan.test.cleanup.kill_timeout_ms
        grace_s = STOP_GRACE_S if grace_ms is None else grace_ms / 1e3
        if attempt.running:
            self._killed = await attempt.unit.stop_services(grace_s)
            for name in attempt.running:
                is_killed = name in self._killed
                attempt.tracer.test.event(
                    "container.stop", **{"clnrm.service.name": name, "killed": is_killed}
                )
        for run in self._runs:
            run.close()

    def _service_logs(self) -> dict[str, ServiceLog]:
        """What services printed, spans looked for on their stdout."""
        attempt = self._attempt
        logs = {}
        for name, running in attempt.running.items():
            stdout, stderr = running.stdout(), running.stderr()
            attempt.collector.add_output(stdout, None, source=name)
            attempt.collector.end_output(None, source=name)
            # Whether a service printed more than is kept is not known: as if it had.
            masked = [attempt.masker.data(data, is_cut=True) for data in (stdout, stderr)]
            logs[name] = ServiceLog(*masked)
        return logs

    async def _drained(self) -> None:
        """All senders have ended; wait only for what the receiver has not read yet."""
        attempt = self._attempt
        deadline_s = time.monotonic() + attempt.context.settings.executor.flush_max_ms / 1e3
        is_busy = attempt.context.receiver.connections_busy
        while is_busy(attempt.tokens) and time.monotonic() < deadline_s:  # noqa: ASYNC110  # Bytes in the kernel make no event here.
            await asyncio.sleep(_DRAIN_PAUSE_S)

    def take_spans(self) -> None:
        """Put the spans received into the outcome; again: nothing."""
        if self._is_taken:
            return
        self._is_taken = True
        attempt, outcome = self._attempt, self._attempt.outcome
        if outcome.diagnostics and any(finding.severity == "error" for finding in outcome.diagnostics):
            attempt.tracer.test.fail("see the findings of the test")
        attempt.tracer.end()
        collected = attempt.collector.finish(killed=self._killed)
        outcome.spans, outcome.complete = collected.table, collected.complete
        for scenario in outcome.scenarios:
            scenario.span_count = _count(collected.table, scenario.name)
        mask_spans(collected.table, attempt.masker)
        if attempt.context.redact is not None:
            hidden = attempt.context.redact(attempt.plan.id, collected.table)
            self._redacted = Masker(hidden.texts)
            mask_outcome(outcome, self._redacted)
            for finding in hidden.findings:
                attempt.report(finding)
        for finding in collected.diagnostics:
            attempt.report(finding)

    def _images(self) -> list[str]:
        attempt = self._attempt
        if not has_containers(attempt.context.backend.name):
            return []
        images = [attempt.plan.services[name].image or "" for name in attempt.running]
        commands = (command for scenario in attempt.outcome.scenarios for command in scenario.commands)
        if any(command.service is None and command.attempts for command in commands):
            images.append(attempt.plan.runner_image)
        return list(dict.fromkeys(images))

    async def _artifacts(self, logs: dict[str, ServiceLog]) -> None:
        """Write what a person may want to look at; a full disk does not change a verdict."""
        attempt = self._attempt
        try:
            with staging(attempt.context.project.state_dir, attempt.plan.id) as directory:
                if not attempt.context.backend.replayed:
                    for finding in await collect_files(attempt.unit, attempt.plan, directory):
                        attempt.report(finding)
                    await _in_thread(mask_files, directory, attempt.masker)
                    await _in_thread(mask_files, directory, self._redacted)
                mask_outcome(attempt.outcome, attempt.masker)
                await _in_thread(write_artifacts, directory, attempt.plan, attempt.outcome, logs)
        except OSError as error:
            text = attempt.masker.text(f"the artifacts could not be written: {error}")
            _log.warning("%s: %s", attempt.plan.id, text)
            attempt.report(Diagnostic("CLN001", text, severity="warning"))


async def _in_thread(work: Callable[..., None], *arguments: Any) -> None:
    """Do `work` in a thread; a cancellation waits for its end, as its files are about to be removed."""
    task = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def _asks_for_objects(test: TestFile) -> bool:
    blocks = [test.expect, *(scenario.expect for scenario in test.scenarios if scenario.expect)]
    return any(block.resources for block in blocks)


def _count(table: SpanTable, scenario: str) -> int:
    return sum(name == scenario and not own for name, own in zip(table.scenario, table.own, strict=True))

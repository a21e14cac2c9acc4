"""A worker's side: the backend, engine and receiver of its process, and the tests that run on them now.

Everything here runs on the process's own engine loop (:mod:`clnrm_nb.executor.loop`), as a local run does;
Dask's loop only carries questions and answers. What happens in a test is kept for its client to fetch, a
numbered piece at a time, so that nothing is lost or told twice however often it asks. A client that has not
asked for a while is taken for dead, and its tests are stopped: containers of a run that nobody waits for
serve nobody.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from clnrm_nb.config.project import Project, find_project
from clnrm_nb.config.settings import load_settings
from clnrm_nb.errors import BackendUnavailableError, ClnrmError, Diagnostic
from clnrm_nb.executor.attempt import RunContext
from clnrm_nb.executor.backends import open_backend
from clnrm_nb.executor.backends.dask.files import artifact_files, extract
from clnrm_nb.executor.backends.dask.parent import remote_run
from clnrm_nb.executor.backends.dask.payload import (
    VERSIONS,
    Reply,
    outcome_bytes,
    source_marker,
    write_spans,
)
from clnrm_nb.executor.plan import make_plan
from clnrm_nb.executor.settle import internal_error
from clnrm_nb.executor.test_run import run_test
from clnrm_nb.scenario.model import TestFile
from clnrm_nb.secrets import Masker
from clnrm_nb.spans.receiver import Limits, Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from clnrm_nb.config.settings import Settings
    from clnrm_nb.executor.backends.dask.payload import Parcel
    from clnrm_nb.executor.backends.protocol import Backend, Unit, UnitSpec
    from clnrm_nb.executor.events import Event
    from clnrm_nb.executor.outcome import TestOutcome
    from clnrm_nb.spans.table import SpanTable

__all__ = ["ABANDONED_S", "Station", "station"]

_log = logging.getLogger(__name__)

ABANDONED_S: Final = 30.0
"""A client that has not asked after a test for so long is dead."""

_MOST_RECALLED: Final = 10_000
_MOST_SETTINGS: Final = 16
_MOST_ROWS: Final = 2_000
"""Spans handed over in one answer while a test runs; the outcome has all of them."""


@cache
def station() -> Station:
    """The one of this process."""
    return Station()


@dataclass(slots=True)
class _Live:
    """One test that runs here."""

    parcel: Parcel
    watch: asyncio.TimerHandle | None = None
    task: asyncio.Task[Reply] | None = None
    events: list[dict[str, Any]] = field(default_factory=list)
    tables: dict[str, SpanTable] = field(default_factory=dict)
    is_abandoned: bool = False

    def take(self, event: Event) -> None:
        """Keep an event for the client."""
        self.events.append(event.to_json())

    def heard(self) -> None:
        """Somebody waits for it."""
        self.end_watch()
        self.watch = asyncio.get_running_loop().call_later(ABANDONED_S, self.abandon)

    def end_watch(self) -> None:
        """It has ended."""
        if self.watch is not None:
            self.watch.cancel()

    def cancel(self) -> None:
        """Stop the test; it answers after its teardown."""
        if self.task is not None:
            self.task.cancel()

    def abandon(self) -> None:
        """Nobody has asked for too long."""
        _log.warning("%r: its run has not been heard of for %g s; stopped", self.parcel, ABANDONED_S)
        self.is_abandoned = True
        self.cancel()


class Station:
    """See the module."""

    def __init__(self) -> None:
        self._live: dict[str, _Live] = {}
        self._recalled: set[str] = set()
        self._backends: dict[tuple[str, str], asyncio.Task[Backend]] = {}
        self._receivers: dict[int, Receiver] = {}
        self._settings: dict[bytes, Settings] = {}

    # ------------------------------------------------------------------------------------------ one test

    async def perform(self, parcel: Parcel, worker: str, directory: str) -> Reply:
        """Run one test to its end and say how it ended; never raises for what it does.

        Parameters
        ----------
        worker : str
            Its address, for the answer.
        directory : str
            Of this worker, for the copy of the project.
        """
        if parcel.fence in self._recalled:
            return Reply("nothing", worker)
        live = _Live(parcel)
        live.heard()
        self._live[parcel.fence] = live
        live.task = asyncio.ensure_future(self._answered(live, worker, directory))
        try:
            return await live.task
        finally:
            live.end_watch()
            del self._live[parcel.fence]

    async def _answered(self, live: _Live, worker: str, directory: str) -> Reply:
        try:
            return await self._performed(live, worker, directory)
        except asyncio.CancelledError:
            # Before anything was started.
            return Reply("abandoned" if live.is_abandoned else "nothing", worker)
        except ClnrmError as error:
            return Reply.refusing(worker, error.diagnostic)
        except Exception as error:  # noqa: BLE001  # The run says so at the test; this worker goes on.
            return Reply.refusing(worker, internal_error(error))

    async def _performed(self, live: _Live, worker: str, directory: str) -> Reply:
        parcel = live.parcel
        document = parcel.opened()
        if document["versions"] != VERSIONS:
            return Reply.refusing(worker, _other_versions(document["versions"], worker))
        with _workspace(directory) as root:
            if parcel.files:
                await asyncio.to_thread(extract, parcel.files, root, keeps_modes=True)
            outcome = await self._run(live, document, root)
            if outcome.status == "interrupted" and parcel.fence not in self._recalled:
                # Not by the run: it gets no verdict of this start.
                return Reply("abandoned" if live.is_abandoned else "stopped", worker)
            return await asyncio.shield(asyncio.ensure_future(_packed(live, outcome, root, worker)))

    async def _run(self, live: _Live, document: Mapping[str, Any], root: Path) -> TestOutcome:
        parcel = live.parcel
        project = Project(root, root / ".clnrm")
        settings = self._settings_of(document["settings"])
        plan = make_plan(
            TestFile.model_validate_json(orjson.dumps(document["file"])),
            directory=root / document["directory"],
            project=project,
            settings=settings,
            test_id=parcel.test_id,
            hash=document["hash"],
            locate=source_marker,
        )
        plan.directory.mkdir(parents=True, exist_ok=True)
        backend = await self._backend(document["inner"], settings)
        context = RunContext(
            run_id=document["run"],
            backend=_Labelled(backend, document["label"]),
            settings=settings,
            project=project,
            receiver=await self._receiver(settings),
            run_span=remote_run(document["run_span"]),
            publish=live.take,
            environ=parcel.secrets,
            tables=live.tables,
            masker=Masker(parcel.secrets.values()),
        )
        outcome = await run_test(plan, context)
        if any(finding.code == "CLN601" for finding in outcome.diagnostics):
            # The next test reaches for the engine anew.
            self._backends = {key: task for key, task in self._backends.items() if not _is(task, backend)}
        return outcome

    def _settings_of(self, sent: Mapping[str, Any]) -> Settings:
        """What the run has set, over what the user of this worker has; read once for equal runs."""
        key = orjson.dumps(sent)
        if key not in self._settings:
            if len(self._settings) >= _MOST_SETTINGS:
                self._settings.clear()
            self._settings[key] = load_settings(find_project(), overrides=sent)
        return self._settings[key]

    async def _backend(self, inner: str, settings: Settings) -> Backend:
        """Open for all tests of this process, as one run has one backend."""
        key = (inner, settings.containers.pull_policy)
        task = self._backends.get(key)
        if task is None:
            task = self._backends[key] = asyncio.ensure_future(open_backend(inner, settings))
        try:
            return await asyncio.shield(task)
        except BackendUnavailableError:
            self._backends.pop(key, None)
            raise

    async def _receiver(self, settings: Settings) -> Receiver:
        most_mb = settings.receiver.max_request_mb
        if most_mb not in self._receivers:
            self._receivers[most_mb] = Receiver(Limits(max_bytes=most_mb * 1024 * 1024))
            await self._receivers[most_mb].start(0)
        return self._receivers[most_mb]

    # ------------------------------------------------------------------------------------ asked meanwhile

    async def report(self, asked: Mapping[str, tuple[int, int]]) -> dict[str, Any]:
        """What is new about tests that run here.

        Parameters
        ----------
        asked : mapping
            By fencing id: how many events and how many spans the client has.

        Returns
        -------
        dict
            ``now_ns``, and ``tests``: by fencing id the new events and spans.
        """
        tests = {}
        for fence, (n_events, n_rows) in asked.items():
            if (live := self._live.get(fence)) is not None:
                live.heard()
                tests[fence] = {"events": live.events[n_events:], "spans": _new_spans(live, n_rows)}
        return {"now_ns": time.time_ns(), "tests": tests}

    async def recall(self, fence: str) -> bool:
        """Stop a test without grace, or keep it from starting; whether it runs here. It answers as any."""
        if len(self._recalled) >= _MOST_RECALLED:
            self._recalled.clear()
        self._recalled.add(fence)
        live = self._live.get(fence)
        if live is None:
            return False
        live.cancel()
        return True

    async def close(self) -> None:
        """The worker ends: so does everything that runs on it."""
        tasks = [live.task for live in self._live.values() if live.task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for opening in self._backends.values():
            opened = await asyncio.gather(opening, return_exceptions=True)
            if not isinstance(opened[0], BaseException):
                await opened[0].close()
        for receiver in self._receivers.values():
            await receiver.stop()
        self._backends, self._receivers = {}, {}


class _Labelled:
    """A backend whose objects carry the fencing id of one start."""

    def __init__(self, inner: Backend, label: str) -> None:
        self._inner = inner
        self._label = label
        self.name, self.hermetic, self.replayed = inner.name, inner.hermetic, inner.replayed

    async def open(self) -> None:
        """It is open."""

    def policy_findings(self, spec: UnitSpec) -> list[Diagnostic]:
        """The inner backend's."""
        return self._inner.policy_findings(spec)

    async def open_unit(self, spec: UnitSpec) -> Unit:
        """The inner backend's, labelled."""
        return await self._inner.open_unit(replace(spec, attempt=self._label))

    async def close(self) -> None:
        """It stays open for other tests."""


def _is(task: asyncio.Task[Backend], backend: Backend) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None and task.result() is backend


def _new_spans(live: _Live, n_rows: int) -> bytes:
    table = live.tables.get(live.parcel.test_id)
    if table is None or len(table) <= n_rows:
        return b""
    rows = range(n_rows, min(len(table), n_rows + _MOST_ROWS))
    # Spans are masked when the test ends; what leaves earlier is masked here.
    return Masker(live.parcel.secrets.values()).data(write_spans(table.select(rows)))


async def _packed(live: _Live, outcome: TestOutcome, root: Path, worker: str) -> Reply:
    files = b""
    try:
        files = await asyncio.to_thread(artifact_files, root / ".clnrm", live.parcel.test_id)
    except ClnrmError as error:
        text = f"files of the test stay on the worker: {error.message}"
        outcome.diagnostics.append(Diagnostic("CLN001", text, severity="warning", test=outcome.id))
    spans = write_spans(outcome.spans) if outcome.spans is not None else b""
    return Reply("done", worker, outcome_bytes(outcome), spans, files, tuple(live.events))


def _other_versions(theirs: Mapping[str, Any], worker: str) -> Diagnostic:
    text = f"worker {worker} has {_shown(VERSIONS)}, the run {_shown(theirs)}"
    return Diagnostic("CLN601", text, hint="Install the same version of clnrm_nb everywhere.")


def _shown(versions: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


@contextmanager
def _workspace(directory: str) -> Iterator[Path]:
    """A project root of one test's own."""
    root = Path(tempfile.mkdtemp(prefix="clnrm-dask-", dir=directory))
    # Containers mount parts of it, and not all run as root.
    root.chmod(0o755)
    try:
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)

"""The semantic hash of each test of a run, taken before it starts and confirmed after it has ended.

Mounted files are read before anything runs, and looked at again afterwards: of a test whose inputs changed in
between nobody can say what it was a test of, so it has no hash. Image ids are those of what really ran.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.cache import Fingerprints, LocalKey, Surroundings, UnreadableError, parts_of, why_uncacheable
from clnrm_nb.executor.backends import has_containers
from clnrm_nb.executor.backends.docker.mounts import resolve
from clnrm_nb.executor.backends.protocol import KnowsImages
from clnrm_nb.executor.recording import recording_file
from clnrm_nb.state.evidence import VERDICTS, Attempt

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clnrm_nb.cache import Key
    from clnrm_nb.codes import Status
    from clnrm_nb.config.project import Project
    from clnrm_nb.config.settings import Settings
    from clnrm_nb.executor.backends.protocol import Backend
    from clnrm_nb.executor.outcome import TestOutcome
    from clnrm_nb.executor.plan import TestPlan
    from clnrm_nb.pipeline.load import LoadedTest

__all__ = ["Evidences"]

_log = logging.getLogger(__name__)

_ENGINE_S: Final = 10.0
_RAN: Final = frozenset({"passed", "failed", "incomplete", "flaky"})
_PASSED_ON: Final = {"process": ("PATH", "LANG")}
"""What backends hand on of the environment of this process."""


@dataclass(slots=True)
class _Inputs:
    """Of one test: its key or why there is none, and the files it rests on."""

    key: Key | None = None
    reason: str | None = None
    files: list[Path] = field(default_factory=list)
    images: tuple[str, ...] = ()


class Evidences:
    """The inputs of the tests of one run, round for round, and what was said about them.

    Parameters
    ----------
    environ : mapping
        The environment secrets and mounts are looked up in.

    Attributes
    ----------
    attempts : list of Attempt
        Grows with each round that is confirmed.
    """

    def __init__(
        self, *, project: Project, settings: Settings, backend: Backend, environ: Mapping[str, str]
    ) -> None:
        self._project = project
        self._settings = settings
        self._backend = backend
        self._environ = environ
        self._key = LocalKey(project.state_dir / "key")
        self._prints = Fingerprints()
        self._inputs: dict[str, _Inputs] = {}
        self._said: dict[str, list[Status]] = {}
        self._images: Mapping[str, str | None] = {}
        self._numbers: Counter[str] = Counter()
        self.attempts: list[Attempt] = []

    async def take(self, tests: Mapping[str, LoadedTest], plans: Sequence[TestPlan]) -> None:
        """Read what the tests depend on. To be awaited before any of them starts, in every round."""
        self._prints = Fingerprints(ignore=[self._project.state_dir])
        self._inputs, self._said, self._images = {}, {}, {}
        await asyncio.to_thread(self._take, tests, plans)

    def say(self, test_id: str, status: Status) -> None:
        """Note the verdict of one attempt."""
        self._said.setdefault(test_id, []).append(status)

    async def confirm(self, outcomes: Sequence[TestOutcome]) -> None:
        """Give each test that ran its hash, or the reason why it has none; keep the evidence that makes."""
        ran = [outcome for outcome in outcomes if outcome.status in _RAN]
        is_stopped = any(outcome.status == "interrupted" for outcome in outcomes)
        if is_stopped or not await self._is_confirmed(ran):
            # Whoever stops a run does not wait for its files to be read.
            for outcome in ran:
                outcome.hash_reason = "uncacheable: the run was interrupted"
            return
        for outcome in ran:
            self._settle(outcome)

    # ------------------------------------------------------------------------------------------- before

    def _take(self, tests: Mapping[str, LoadedTest], plans: Sequence[TestPlan]) -> None:
        for plan in plans:
            inputs = self._inputs[plan.id] = _Inputs(images=plan.images)
            try:
                self._collect(tests[plan.id], plan, inputs)
            except UnreadableError as error:
                inputs.reason = f"uncacheable: {error}"
            except OSError as error:
                inputs.reason = f"uncacheable: `.clnrm/key` cannot be kept: {error.strerror}"
            except Exception as error:  # noqa: BLE001  # Such as `~nobody`: the test itself is refused for it.
                inputs.reason = f"uncacheable: {type(error).__name__}: {error}"

    def _collect(self, loaded: LoadedTest, plan: TestPlan, inputs: _Inputs) -> None:
        assert loaded.checked is not None
        rendered = loaded.checked.rendered
        inputs.reason = why_uncacheable(rendered)
        if inputs.reason:
            return
        mounts = self._mounts(plan)
        replayed = self._replayed(plan)
        included = [
            self._project.root / name for name in rendered.dependencies.files if name != rendered.file
        ]
        inputs.files = [*mounts.values(), *included, *([replayed] if replayed else [])]
        for path in included:
            self._prints.of(path)
        name = self._backend.name
        around = Surroundings(
            backend=name,
            isolation=plan.isolation,
            limits=_limits(plan, self._settings),
            mounts={name: self._prints.of(path) for name, path in mounts.items()},
            environ=self._environ,
            passed_on=_PASSED_ON.get(name, ()),
            more={"recording": self._prints.of(replayed)} if replayed else {},
        )
        inputs.key = parts_of(plan.test, rendered, around, seal=self._key.seal)

    def _mounts(self, plan: TestPlan) -> dict[str, Path]:
        """Where the volumes of a test lead; what cannot be said is refused by the backend in any case."""
        found: dict[str, Path] = {}
        for service in plan.services.values():
            for volume in service.volumes:
                try:
                    source = resolve(volume, plan.directory, self._environ).source
                except KeyError:
                    continue
                found[f"{service.name}:{volume.container_path}"] = source
        return found

    def _replayed(self, plan: TestPlan) -> Path | None:
        if not self._backend.replayed:
            return None
        return recording_file(Path(self._settings.executor.replay), plan.id)

    # -------------------------------------------------------------------------------------------- after

    async def _is_confirmed(self, outcomes: Sequence[TestOutcome]) -> bool:
        """Look at everything again; false if somebody would not wait for that."""
        try:
            await self._ask_for_images(outcomes)
            await asyncio.to_thread(self._look_again)
        except asyncio.CancelledError:
            # All tests have ended: their verdicts stand, and only the evidence is given up.
            task = asyncio.current_task()
            while task is not None and task.cancelling():
                task.uncancel()
            return False
        return True

    async def _ask_for_images(self, outcomes: Sequence[TestOutcome]) -> None:
        if not isinstance(self._backend, KnowsImages):
            self._refuse_unknown_images(outcomes)
            return
        names = {name for outcome in outcomes for name in self._inputs[outcome.id].images}
        try:
            async with asyncio.timeout(_ENGINE_S):
                self._images = await self._backend.image_ids(sorted(names))
        except Exception as error:  # noqa: BLE001  # Whatever an engine does now, the tests have their verdicts.
            _log.info("the engine does not say what images ran: %s", error)
            for outcome in outcomes:
                self._refuse(self._inputs[outcome.id], "the engine does not say what images ran")

    def _refuse_unknown_images(self, outcomes: Sequence[TestOutcome]) -> None:
        """A tag may have moved between two runs: without content addresses they are not known to be equal."""
        for outcome in outcomes:
            inputs = self._inputs[outcome.id]
            if inputs.images and has_containers(self._backend.name):
                self._refuse(inputs, f"the backend `{self._backend.name}` does not say what images ran")

    def _look_again(self) -> None:
        changed = {
            path: self._prints.has_changed(path)
            for path in {path for inputs in self._inputs.values() for path in inputs.files}
        }
        for inputs in self._inputs.values():
            path = next((path for path in inputs.files if changed[path]), None)
            if path is not None:
                self._refuse(inputs, f"`{self._project.relative(path)}` changed during the run")

    @staticmethod
    def _refuse(inputs: _Inputs, why: str) -> None:
        inputs.key, inputs.reason = None, f"uncacheable: {why}"

    def _settle(self, outcome: TestOutcome) -> None:
        inputs = self._inputs[outcome.id]
        if inputs.key is None:
            outcome.hash_reason = inputs.reason
            return
        known = {name: self._images[name] for name in inputs.images if name in self._images}
        key = inputs.key.with_images(known)
        outcome.hash = key.hash
        for status in self._said.get(outcome.id, ()):
            self._numbers[outcome.id] += 1
            if status in VERDICTS:
                number = self._numbers[outcome.id]
                self.attempts.append(Attempt(outcome.id, number, key.hash, key.verdict, status))


def _limits(plan: TestPlan, settings: Settings) -> dict[str, Any]:
    """All that may stop a test or slow it down."""
    return {
        "services": {
            name: [one.limits.memory_mb, one.limits.cpu_millicores, one.timeout_s]
            for name, one in plan.services.items()
        },
        "runner": [plan.runner_memory_mb, plan.runner_cpu_millicores, plan.runner_image],
        "test_s": plan.timeout_s,
        "step_s": plan.step_timeout_s,
        "flush_ms": settings.executor.flush_max_ms,
    }

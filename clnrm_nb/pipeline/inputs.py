"""What tests depend on, read before any of them runs, and looked at again afterwards.

Mounted files are read before anything starts: of a test whose inputs changed in between nobody can say what
it was a test of. Which images ran only an engine can tell; a key is whole when they have been added.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.cache import Fingerprints, LocalKey, Surroundings, UnreadableError, parts_of, why_uncacheable
from clnrm_nb.executor.backends import has_containers
from clnrm_nb.executor.backends.docker.mounts import named
from clnrm_nb.executor.plan import make_plan
from clnrm_nb.pipeline.ruled import rules_for

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from clnrm_nb.cache import Key
    from clnrm_nb.config.project import Project
    from clnrm_nb.config.settings import Settings
    from clnrm_nb.diff.rules import Rule
    from clnrm_nb.executor.plan import TestPlan
    from clnrm_nb.pipeline.load import LoadedTest

__all__ = ["Inputs", "TestInputs", "plan_of"]

_PASSED_ON: Final = {"process": ("PATH", "LANG")}
"""What backends hand on of the environment of this process."""

_NAMED: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)")


def plan_of(test: LoadedTest, project: Project, settings: Settings) -> TestPlan:
    """The plan of a valid test."""
    assert test.test is not None
    return make_plan(
        test.test,
        directory=test.directory,
        project=project,
        settings=settings,
        test_id=test.test_id,
        locate=test.locate,
    )


@dataclass(slots=True)
class TestInputs:
    """Of one test: its key, images aside, or why there is none, and what that rests on.

    Parameters
    ----------
    files : list of Path
        Everything to look at again after the run.
    mounts : dict of str to Path
        What its volumes and recordings name, links not resolved: they may lead elsewhere tomorrow.
    environment : set of str
        Names of all variables that have a say.
    images : tuple of str
        Names.
    """

    __test__ = False

    key: Key | None = None
    reason: str | None = None
    files: list[Path] = field(default_factory=list)
    mounts: dict[str, Path] = field(default_factory=dict)
    environment: set[str] = field(default_factory=set)
    images: tuple[str, ...] = ()

    def refuse(self, why: str) -> None:
        """There is no key: it would lie."""
        self.key, self.reason = None, f"uncacheable: {why}"


class Inputs(dict[str, TestInputs]):
    """The inputs of tests by id; those that mount the same directory read it once.

    Parameters
    ----------
    backend : str
        Name of the backend the tests run on.
    environ : mapping
        The environment secrets and mounts are looked up in.
    rules : sequence of Rule
        The project's.
    """

    def __init__(
        self,
        *,
        project: Project,
        settings: Settings,
        backend: str,
        environ: Mapping[str, str],
        rules: Sequence[Rule] = (),
    ) -> None:
        super().__init__()
        self._project = project
        self._settings = settings
        self._backend = backend
        self._environ = environ
        self._rules = rules
        self._key = LocalKey(project.state_dir / "key")
        self.prints = Fingerprints(ignore=[project.state_dir])

    def take(self, tests: Mapping[str, LoadedTest]) -> None:
        """Read what valid tests depend on; blocks for as long as reading what they mount takes."""
        for test_id, test in tests.items():
            inputs = self[test_id] = TestInputs()
            try:
                self._collect(test, plan_of(test, self._project, self._settings), inputs)
            except UnreadableError as error:
                inputs.refuse(str(error))
            except OSError as error:
                inputs.refuse(f"`.clnrm/key` cannot be kept: {error.strerror}")
            except Exception as error:  # noqa: BLE001  # Such as `~nobody`: the test itself is refused for it.
                inputs.refuse(f"{type(error).__name__}: {error}")

    def keep(self, test_ids: Collection[str]) -> None:
        """Forget all other tests."""
        for test_id in self.keys() - set(test_ids):
            del self[test_id]

    def look_again(self) -> None:
        """Take the key from every test whose inputs are not what they were."""
        paths = {path for inputs in self.values() for path in inputs.files}
        changed = {path: self.prints.has_changed(path) for path in paths}
        for inputs in self.values():
            path = next((path for path in inputs.files if changed[path]), None)
            if path is not None:
                inputs.refuse(f"`{self._project.relative(path)}` changed during the run")

    # ---------------------------------------------------------------------------------------------------

    def _collect(self, loaded: LoadedTest, plan: TestPlan, inputs: TestInputs) -> None:
        assert loaded.checked is not None
        rendered = loaded.checked.rendered
        inputs.images = plan.images if has_containers(self._backend) else ()
        inputs.reason = why_uncacheable(rendered)
        if inputs.reason:
            return
        mounts = self._mounts(plan, inputs)
        replayed = self._replayed(plan)
        inputs.mounts = {**mounts, **({"recording": replayed} if replayed else {})}
        included = [
            self._project.root / name for name in rendered.dependencies.files if name != rendered.file
        ]
        inputs.files = [*inputs.mounts.values(), *included]
        for path in included:
            self.prints.of(path)
        passed_on = _PASSED_ON.get(self._backend, ())
        inputs.environment |= {*passed_on, *plan.test.secrets.env, *rendered.dependencies.environment}
        around = Surroundings(
            backend=self._backend,
            isolation=plan.isolation,
            limits=_limits(plan, self._settings),
            mounts={name: self.prints.of(path) for name, path in mounts.items()},
            environ=self._environ,
            passed_on=passed_on,
            more={"recording": self.prints.of(replayed)} if replayed else {},
        )
        key = parts_of(plan.test, rendered, around, seal=self._key.seal)
        inputs.key = replace(key, rules=rules_for(loaded, self._rules))

    def _mounts(self, plan: TestPlan, inputs: TestInputs) -> dict[str, Path]:
        """Where the volumes of a test lead; what cannot be said is refused by the backend in any case."""
        found: dict[str, Path] = {}
        for service in plan.services.values():
            for volume in service.volumes:
                inputs.environment |= {*_NAMED.findall(volume.host_path)}
                inputs.environment |= {"HOME"} if volume.host_path.startswith("~") else set()
                try:
                    place = named(volume, plan.directory, self._environ)
                except KeyError:
                    continue
                found[f"{service.name}:{volume.container_path}"] = place
        return found

    def _replayed(self, plan: TestPlan) -> Path | None:
        if self._backend != "replay":
            return None
        from clnrm_nb.executor.recording import recording_file

        return recording_file(Path(self._settings.executor.replay), plan.id)


def _limits(plan: TestPlan, settings: Settings) -> dict[str, Any]:
    """All that may stop a test or slow it down."""
    return {
        "services": {
            name: {
                "memory_mb": one.limits.memory_mb,
                "cpu_millicores": one.limits.cpu_millicores,
                "timeout_s": one.timeout_s,
            }
            for name, one in plan.services.items()
        },
        "runner": {
            "memory_mb": plan.runner_memory_mb,
            "cpu_millicores": plan.runner_cpu_millicores,
            "image": plan.runner_image,
        },
        "test_s": plan.timeout_s,
        "step_s": plan.step_timeout_s,
        "flush_ms": settings.executor.flush_max_ms,
    }

"""What a watcher knows of the tests of a project without running them: which there are, what each is made of.

Files are rendered and validated when they are new or something they depend on has changed, never otherwise.
What that found out (templates read, files missed, mounts) are the facts of the dependency graph.
"""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clnrm_nb.baseline.store import BaselineStore
from clnrm_nb.cache.parts import plain
from clnrm_nb.config.discovery import Discovery, discover, is_scenario_name
from clnrm_nb.config.sources import file_sources
from clnrm_nb.executor.backends.docker.mounts import resolve
from clnrm_nb.executor.recording import recording_file
from clnrm_nb.pipeline.judge import errored
from clnrm_nb.pipeline.load import Sources, load
from clnrm_nb.pipeline.secrets import masker_of
from clnrm_nb.report.text import json_ready
from clnrm_nb.spans.content import canonical_json
from clnrm_nb.watch import Canary, Facts, FileWatcher, Graph, Place, Reading, Rules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from clnrm_nb.api.contexts import Context
    from clnrm_nb.errors import Diagnostic
    from clnrm_nb.executor.outcome import TestOutcome
    from clnrm_nb.pipeline.load import LoadedTest, Variables
    from clnrm_nb.pipeline.request import RunRequest
    from clnrm_nb.scenario.model import TestFile
    from clnrm_nb.secrets import Masker
    from clnrm_nb.watch import Batch, Remark

__all__ = ["KnownTest", "Looked", "WatchedProject"]


@dataclass(frozen=True, slots=True)
class KnownTest:
    """One test as it was last read; what selections ask for.

    Parameters
    ----------
    meaning : str or None
        Equal for files that mean the same, however they are written; ``None``: the file holds errors.
    errored : TestOutcome, optional
        Its outcome where it cannot be run.
    """

    test_id: str
    file: str
    """Absolute."""
    tags: Sequence[str]
    scenario_ids: Sequence[str]
    meaning: str | None
    errored: TestOutcome | None = None


@dataclass(slots=True)
class Looked:
    """What reading some files has found out."""

    files: list[str] = field(default_factory=list)
    """From the project root, as findings name them."""
    findings: list[dict[str, Any]] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    """Ids of tests that are not there any more."""

    def add(self, other: Looked) -> None:
        """What another look has found out too."""
        self.files += other.files
        self.findings += other.findings
        self.gone += other.gone

    def to_json(self, window: int) -> dict[str, Any]:
        """Of ``watch.diagnostics``: at most so many findings, errors first."""
        severities = [finding["severity"] for finding in self.findings]
        return {
            "files": self.files,
            "errors": severities.count("error"),
            "warnings": severities.count("warning"),
            "findings": sorted(self.findings, key=lambda found: found["severity"] != "error")[:window],
            "findings_total": len(self.findings),
            "gone": self.gone,
        }


class WatchedProject:
    """The tests under the watched paths, and the files they depend on.

    Parameters
    ----------
    here : Context
    request : RunRequest
        Whose sources and variables hold.
    variable_files : sequence of str
        ``--vars``.
    """

    def __init__(self, here: Context, request: RunRequest, variable_files: Sequence[str] = ()) -> None:
        self.here = here
        self.request = request
        self.tests: dict[str, KnownTest] = {}
        self.graph = Graph(frozenset(self._configuration()))
        self.variable_files = frozenset(_absolute(path) for path in variable_files)
        self._baselines = BaselineStore(here.project)
        self._maskers: dict[str, Masker] = {}
        """By file, where it has secrets."""
        self._libraries: dict[str, list[Diagnostic]] = {}
        self._contents: dict[str, str | None] = {}
        self._readings: list[Reading] = []

    def _configuration(self) -> list[str]:
        sources = file_sources(self.here.project, self.here.config_file, os.environ)
        return [_absolute(source.path) for source in sources]

    @property
    def paths(self) -> list[str]:
        """The watched paths, from the project root."""
        return [self.here.project.relative(path) for path in self.request.sources.paths]

    def mask(self, text: str) -> str:
        """`text` without the secrets of any test."""
        for masker in self._maskers.values():
            text = masker.text(text)
        return text

    def watcher(self, deliver: Callable[[Batch], None], tell: Callable[[Remark], None]) -> FileWatcher:
        """What notices that files changed; not started."""
        project, settings = self.here.project, self.here.settings
        rules = Rules(
            str(project.root),
            str(project.state_dir),
            patterns=settings.watch.patterns,
            ignore_patterns=settings.watch.ignore_patterns,
            outputs=[str(project.root / settings.reporting.report_dir)],
        )
        given = [Path(_absolute(path)) for path in self.request.sources.paths]
        roots = [
            Place(str(path.parent), recursive=False)
            if path.is_file()
            else Place(str(path), settings.watch.recursive)
            for path in given
        ]
        canary = Canary(str(project.state_dir / "watch"))
        return FileWatcher(self.graph, rules, roots, deliver, tell, canary=canary)

    def readings(self) -> list[Reading]:
        """What was read since this was last asked, so that no save in the middle of it is missed."""
        readings, self._readings = self._readings, []
        return readings

    # ------------------------------------------------------------------------------------------ reading

    def read_all(self) -> Looked:
        """Read every scenario file under the watched paths; all that was known before is forgotten."""
        discovery = self._discovery()
        looked = self.read(str(path) for path in discovery.files)
        there = {str(path) for path in discovery.files}
        gone = [test for test in self.tests.values() if test.file not in there]
        self._forget(gone, looked)
        general = [finding for finding in discovery.diagnostics if finding.code != "CLN004"]
        looked.findings += [json_ready(finding.to_json()) for finding in general]
        return looked

    def belongs(self, path: str) -> bool:
        """Whether a file that has just appeared is found under the watched paths."""
        return Path(path) in self._discovery().files

    def libraries(self, paths: Iterable[str]) -> list[str]:
        """Those of some paths that are files under the watched paths which make no test, or were such."""
        named = [path for path in paths if is_scenario_name(os.path.basename(path))]  # noqa: PTH119  # Text.
        mine = [path for path in named if not self.graph.tests_of(path)]
        return [path for path in mine if path in self._libraries or self.belongs(path)]

    def findings(self) -> list[Diagnostic]:
        """What belongs to no test, as it is now: paths without files, libraries that hold errors."""
        return [*self._discovery().diagnostics, *(one for found in self._libraries.values() for one in found)]

    def _discovery(self) -> Discovery:
        here = self.here
        return discover(self.request.sources.paths, here.project, here.settings.discovery.ignore)

    def read(self, files: Iterable[str]) -> Looked:
        """Render and validate these scenario files, in place of what was known of them."""
        here, looked = self.here, Looked()
        paths = sorted(path for path in {Path(file) for file in files} if path.is_file())
        if not paths:
            return looked
        since_ns, self._contents = time.monotonic_ns(), {}
        sources = Sources(paths, no_template=self.request.sources.no_template)
        loaded = load(sources, self.request.variables, project=here.project, settings=here.settings)
        before = [self.tests[test] for path in paths for test in self.graph.tests_of(str(path))]
        found = {test.test_id: test for test in loaded.tests}
        self._forget([test for test in before if test.test_id not in found], looked)
        for test in loaded.tests:
            self._know(test)
        self._keep_secrets(paths, loaded.tests)
        for path in paths:
            name = here.project.relative(path)
            self._libraries[str(path)] = [one for one in loaded.diagnostics if one.file == name]
        self._readings.append(Reading(self._contents, since_ns))
        looked.files = [here.project.relative(path) for path in paths]
        findings = [*loaded.diagnostics, *(each for test in loaded.tests for each in test.diagnostics)]
        looked.findings = [json_ready(finding.to_json(), self.mask) for finding in dict.fromkeys(findings)]
        return looked

    def _keep_secrets(self, paths: Iterable[Path], tests: Sequence[LoadedTest]) -> None:
        """Know what hides the secrets of each file."""
        environ = self.request.variables.environ or os.environ
        for path in paths:
            of_file = [test for test in tests if self.tests[test.test_id].file == str(path)]
            self._maskers.pop(str(path), None)
            if masker := masker_of(of_file, environ):
                self._maskers[str(path)] = masker

    def remove(self, files: Iterable[str]) -> Looked:
        """Scenario files are gone, and with them their tests."""
        looked = Looked()
        for file in files:
            looked.files.append(self.here.project.relative(file))
            self._libraries.pop(file, None)
            self._forget([self.tests[test] for test in self.graph.tests_of(file)], looked)
        return looked

    def _forget(self, tests: Iterable[KnownTest], looked: Looked) -> None:
        for test in tests:
            looked.gone.append(test.test_id)
            self.graph.drop(test.test_id)
            self.tests.pop(test.test_id, None)

    def _know(self, loaded: LoadedTest) -> None:
        file = _absolute(self.here.project.root / loaded.test_id.partition("[")[0])
        if loaded.checked is not None:
            file = _absolute(loaded.checked.rendered.path)
        backend = self.here.settings.executor.backend
        self.tests[loaded.test_id] = KnownTest(
            loaded.test_id,
            file,
            tuple(loaded.tags),
            tuple(loaded.scenario_ids),
            _meaning(loaded.test) if loaded.test is not None else None,
            errored(loaded, backend) if loaded.test is None else None,
        )
        self.graph.put(self._facts(loaded, file))

    # -------------------------------------------------------------------------------------------- facts

    def _facts(self, loaded: LoadedTest, file: str) -> Facts:
        here = self.here
        root = here.project.root
        templates: set[str] = set()
        missing: set[str] = set()
        if loaded.checked is not None:
            read = loaded.checked.rendered.dependencies
            templates = {_absolute(root / name) for name in read.files} - {file}
            missing = {_absolute(root / name) for name in read.missing_files}
            self._contents |= dict.fromkeys(missing)
            self._contents |= {_absolute(root / name): digest for name, digest in read.files.items()}
        libraries = {_absolute(root / name) for name in here.settings.template.macros}
        return Facts(
            test=loaded.test_id,
            file=file,
            templates=frozenset(templates | libraries),
            missing=frozenset(missing - templates),
            variables=self.variable_files,
            mounts=frozenset(self._mounts(loaded)),
            baselines=frozenset(self._accepted(loaded)),
            recordings=frozenset(self._recordings(loaded.test_id)),
        )

    def _mounts(self, loaded: LoadedTest) -> Iterable[str]:
        """What volumes mount: as it is written, and where that leads."""
        if loaded.test is None:
            return
        environ = self.request.variables.environ or os.environ
        for service in loaded.test.services.values():
            for volume in service.volumes:
                try:
                    source = resolve(volume, loaded.directory, environ).source
                except (KeyError, OSError, RuntimeError):
                    # Such as `~nobody`: the test itself is refused for it.
                    continue
                yield str(source)
                written = _absolute(loaded.directory / volume.host_path)
                if written != str(source):
                    yield written

    def _accepted(self, loaded: LoadedTest) -> Iterable[str]:
        if self.request.comparison is None:
            return
        yield str(self._baselines.rules_path)
        for name in (loaded.test_id, f"{loaded.test_id}::steps", *loaded.scenario_ids):
            yield str(self._baselines.path(name))
        yield _absolute(self.here.project.root / self.here.settings.diff.baseline_path)

    def _recordings(self, test_id: str) -> Iterable[str]:
        replay = self.here.settings.executor.replay
        if replay:
            yield _absolute(replay)
            if (file := recording_file(Path(replay), test_id)) is not None:
                yield _absolute(file)

    def read_variables(self, variables: Variables) -> None:
        """From now on these hold."""
        self.request = replace(self.request, variables=variables)


def _absolute(path: Path | str) -> str:
    """As the watcher names it: a symlink keeps its own name."""
    return os.path.abspath(path)  # noqa: PTH100  # resolve() would rename symlinked files.


def _meaning(test: TestFile) -> str:
    """Equal for files that mean the same: comments, order and spelling do not count."""
    return hashlib.sha256(canonical_json(plain(test)).encode("utf-8", "surrogatepass")).hexdigest()

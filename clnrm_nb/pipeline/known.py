"""The tests of a run, read only as far as they have changed: manifests first, files where those differ.

A file of which nothing differs that its tests were made from is not opened; its tests are known from what was
written down when it was last rendered. Whoever needs more of such a test has its file loaded after all.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.cache.fingerprint import Fingerprints
from clnrm_nb.cache.localkey import LocalKey
from clnrm_nb.cache.manifest import Inputs as ManifestInputs
from clnrm_nb.cache.manifest import Manifest, ManifestTest, digest_of_values, request_of
from clnrm_nb.cache.present import Present
from clnrm_nb.pipeline.files import file_requests
from clnrm_nb.pipeline.garbage import rare_collections
from clnrm_nb.report.text import json_ready

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from clnrm_nb.cache import CacheStore, Cause
    from clnrm_nb.config.project import Project
    from clnrm_nb.config.settings import Settings
    from clnrm_nb.errors import Diagnostic
    from clnrm_nb.pipeline.inputs import Inputs, TestInputs
    from clnrm_nb.pipeline.load import LoadedTest
    from clnrm_nb.pipeline.request import RunRequest
    from clnrm_nb.report.text import Mask
    from clnrm_nb.template import TemplateRequest

__all__ = ["KnownTest", "SourceFile", "Tests"]

_log = logging.getLogger(__name__)

_WITHOUT_A_SAY: Final[dict[str, bool | set[str]]] = {
    "cli": True,
    "watch": True,
    "cache": True,
    "diff": True,
    "baseline": True,
    "output": True,
    "notebook": True,
    "observability": True,
    "reporting": True,
    "receiver": True,
    "executor": {
        "backend",
        "docker_host",
        "worker_count",
        "max_concurrent_containers",
        "memory_budget_mb",
        "fail_fast",
        "max_fail",
        "retries",
        "flaky",
        "allow_not_evaluated",
        "groups",
        "pool",
        "dask",
    },
}
"""Settings that change neither what a file means nor how its tests run; all others count."""


@dataclass(frozen=True, slots=True)
class KnownTest:
    """A test of a file that need not be read."""

    known: ManifestTest
    file: SourceFile = field(repr=False)

    @property
    def test_id(self) -> str:
        """See :class:`~clnrm_nb.pipeline.load.LoadedTest`."""
        return self.known.id

    @property
    def tags(self) -> Sequence[str]:
        """See :class:`~clnrm_nb.pipeline.load.LoadedTest`."""
        return self.known.tags

    @property
    def scenario_ids(self) -> Sequence[str]:
        """See :class:`~clnrm_nb.pipeline.load.LoadedTest`."""
        return self.known.scenarios


@dataclass(slots=True)
class SourceFile:
    """One file or cell of a run, with its tests in matrix order.

    Parameters
    ----------
    name : str
        What its manifest is looked up by.
    manifest : Manifest, optional
        That of its last rendering.
    change : Cause, optional
        The first thing that differs from it.
    """

    request: TemplateRequest
    name: str
    manifest: Manifest | None = None
    change: Cause | None = None
    tests: Sequence[KnownTest | LoadedTest] = ()
    findings: Sequence[Diagnostic] = ()
    is_read: bool = False

    @property
    def is_known(self) -> bool:
        """Whether its tests are known without reading it."""
        return not self.is_read and self.manifest is not None and self.change is None


class Tests:
    """All tests that a run may choose from.

    Parameters
    ----------
    backend : str
        Name of the backend that they would run on.
    uses_manifests : bool
        False: every file is read.

    Attributes
    ----------
    files : list of SourceFile
        In path order.
    root, state_dir : Path
        Of the project.
    """

    def __init__(
        self,
        request: RunRequest,
        *,
        project: Project,
        settings: Settings,
        store: CacheStore,
        backend: str,
        uses_manifests: bool,
    ) -> None:
        self._settings = settings
        self._store = store
        self._environ = request.variables.environ or os.environ
        self._outside = {**request.variables.parameters, **request.variables.given}
        requests, self._findings = file_requests(
            request.sources, request.variables, project=project, settings=settings
        )
        self.root = project.root
        self.state_dir = project.state_dir
        self._seal = LocalKey(project.state_dir / "key").seal
        self._of_settings = _settings_digest(settings, backend)
        self._given = _given_digest(request)
        self._present = self.present(Fingerprints(ignore=[project.state_dir]))
        self.files = [SourceFile(one, request_of(one.file, self._given)) for one in requests]
        if uses_manifests:
            self._recall()
        unread = [file for file in self.files if not file.is_known]
        if unread:
            self.load(unread)

    def __iter__(self) -> Iterator[KnownTest | LoadedTest]:
        """All tests, in path order, combinations in matrix order."""
        return (test for file in self.files for test in file.tests)

    @property
    def loaded(self) -> list[LoadedTest]:
        """Those whose files were read."""
        return [test for test in self if not isinstance(test, KnownTest)]

    @property
    def diagnostics(self) -> list[Diagnostic]:
        """Findings that belong to no test."""
        return [*self._findings, *(finding for file in self.files for finding in file.findings)]

    def present(self, prints: Fingerprints) -> Present:
        """The inputs of all files as they are from now on."""
        return Present(
            self.root,
            self._environ,
            self._seal,
            settings=self._of_settings,
            given=self._given,
            prints=prints,
        )

    def load(self, files: Collection[SourceFile]) -> None:
        """Read some files; their tests are replaced."""
        from clnrm_nb.pipeline.load import load_file

        with rare_collections():
            for file in files:
                loaded = load_file(file.request, self._settings)
                file.tests, file.findings, file.is_read = loaded.tests, loaded.diagnostics, True

    def secrets(self) -> set[str]:
        """Values from outside that may be secrets of tests whose files were not read."""
        from clnrm_nb.secrets import names_a_secret

        known = [file.manifest for file in self.files if file.manifest is not None and file.is_known]
        named = {name for one in known for test in one.tests for name in test.more.get("secrets", ())}
        read = {name for one in known for name in one.environment}
        found = {self._environ.get(name) for name in named | {name for name in read if names_a_secret(name)}}
        if known:
            found |= {value for name, value in self._outside.items() if names_a_secret(name)}
        return {value for value in found if isinstance(value, str)}

    # ----------------------------------------------------------------------------------------- manifests

    def _recall(self) -> None:
        """Find the files that need not be read."""
        # A cell has no file whose record could be trusted.
        files = {file.name: file for file in self.files if file.request.text is None}
        try:
            manifests = self._store.manifests(files.keys())
        except Exception:  # noqa: BLE001  # Whatever is wrong with what is stored, files can be read.
            _log.warning("the cache could not be asked; every file is read", exc_info=True)
            return
        for name, manifest in manifests.items():
            file = files[name]
            file.manifest = manifest
            file.change = manifest.holds(self._present)
            if file.change is None:
                file.tests = [KnownTest(test, file) for test in manifest.tests]
                file.findings = _findings(manifest.diagnostics)

    def renewed(self) -> list[Manifest]:
        """Manifests that hold and whose records had to be looked into."""
        known = (file.manifest for file in self.files if file.is_known)
        return [again for one in known if one is not None and (again := one.renewed(self._present))]

    def manifests(self, inputs: Inputs, mask: Mask) -> list[Manifest]:
        """Those of files that were read and all of whose tests could run.

        Parameters
        ----------
        inputs : Inputs
            What their tests depend on.
        """
        present = self.present(inputs.prints)
        made = (self._manifest(file, inputs, present, mask) for file in self.files if not file.is_known)
        return [manifest for manifest in made if manifest is not None]

    def _manifest(self, file: SourceFile, inputs: Inputs, present: Present, mask: Mask) -> Manifest | None:
        tests: list[LoadedTest] = list(file.tests)  # type: ignore[arg-type]  # It was read.
        is_whole = all(test.test is not None and test.test_id in inputs for test in tests)
        # Reports that a test names are written after each run, by what its file says.
        if file.request.text is not None or not tests or not is_whole or any(map(_has_reports, tests)):
            return None
        read = [test.checked.rendered.dependencies for test in tests if test.checked]
        mine = [inputs[test.test_id] for test in tests]
        try:
            return Manifest.of(
                file.name,
                file.request.file,
                ManifestInputs(
                    files={name: digest for one in read for name, digest in one.files.items()},
                    missing=sorted({name for one in read for name in one.missing_files}),
                    environment=sorted({name for one in mine for name in one.environment}),
                    mounts=_all_mounts(mine),
                ),
                [_manifest_test(test, inputs, mask) for test in tests],
                present,
                diagnostics=[json_ready(finding.to_json(), mask) for finding in file.findings],
            )
        except Exception:  # noqa: BLE001  # Whatever cannot be written down is found out anew the next time.
            return None


def _all_mounts(tests: Sequence[TestInputs]) -> dict[str, Path]:
    """What all tests of a file mount; combinations may mount different things under one name."""
    found: dict[str, Path] = {}
    for index, one in enumerate(tests):
        for name, path in one.mounts.items():
            found[name if found.get(name, path) == path else f"{name} of combination {index + 1}"] = path
    return found


def _manifest_test(test: LoadedTest, inputs: Inputs, mask: Mask) -> ManifestTest:
    # Of use only where a file was read; runs in which nothing changed are spared the import.
    from clnrm_nb.pipeline.tolerating import remembered_terms

    assert test.test is not None
    mine = inputs[test.test_id]
    more = {
        "findings": [finding.to_json() for finding in test.diagnostics],
        "secrets": list(test.test.secrets.env),
        "tolerance": list(test.test.tolerance),
        "terms": remembered_terms(test),
    }
    return ManifestTest(
        id=test.test_id,
        name=test.test.metadata.name,
        base=mine.key.base if mine.key else None,
        images=mine.images,
        expectations=mine.key.judged if mine.key else None,
        reason=mine.reason,
        tags=tuple(test.tags),
        scenarios=tuple(test.scenario_ids),
        matrix=dict(test.test.matrix),
        more=json_ready({name: value for name, value in more.items() if value}, mask),
    )


def _has_reports(test: LoadedTest) -> bool:
    assert test.test is not None
    report = test.test.report
    return any((report.json_path, report.junit, report.digest, report.html, report.markdown))


def _settings_digest(settings: Settings, backend: str) -> str:
    dumped = settings.model_dump(mode="json", exclude=_WITHOUT_A_SAY)
    return digest_of_values([backend, dumped])


def _given_digest(request: RunRequest) -> str:
    """Of what renderings are given: also the order of tables and the kind of a number show in a text."""
    variables = request.variables
    given = [variables.given, variables.parameters, variables.determinism, request.sources.no_template]
    return digest_of_values(json.dumps(given, default=repr))


def _findings(documents: Sequence[Mapping[str, Any]]) -> list[Diagnostic]:
    if not documents:
        return []
    from clnrm_nb.executor.stored import finding_from

    return [finding_from(document) for document in documents]

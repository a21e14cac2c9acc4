"""Files in, checked tests out: discover, render each matrix combination, validate.

Nothing here raises for what a file holds: everything wrong is a finding of that file, and the other files
go on.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clnrm_nb.config.discovery import discover
from clnrm_nb.config.project import test_id
from clnrm_nb.spans.phases import phase
from clnrm_nb.template import TemplateRequest, combinations, render
from clnrm_nb.validation import check

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from clnrm_nb.config.project import Project
    from clnrm_nb.config.settings import Settings
    from clnrm_nb.errors import Diagnostic, Location
    from clnrm_nb.scenario.model import TestFile
    from clnrm_nb.validation import Checked

__all__ = ["Cell", "Loaded", "LoadedTest", "Sources", "Variables", "load", "template_request"]


@dataclass(frozen=True, slots=True)
class Cell:
    """A scenario file typed into a notebook cell: always a template, relative paths from `directory`."""

    name: str
    text: str
    directory: Path


@dataclass(frozen=True, slots=True)
class Variables:
    """Template variables given from outside, by precedence (``format.md`` 3.2).

    Parameters
    ----------
    given : mapping
        Command line, API arguments, magic options.
    parameters : mapping
        Notebook parameters.
    environ : mapping
        The environment templates may read.
    determinism : mapping
        Seed and clock of a recorded run, which win over those of the files.
    """

    given: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    determinism: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sources:
    """What to load: paths (files or directories), or cells."""

    paths: Sequence[Path] = ()
    cells: Sequence[Cell] = ()
    no_template: bool = False


@dataclass(frozen=True, slots=True)
class LoadedTest:
    """One scenario file × one matrix combination, with all its findings.

    ``checked`` is ``None`` where the file's matrix cannot be read, so that there is nothing to render.
    """

    test_id: str
    directory: Path
    checked: Checked | None
    diagnostics: list[Diagnostic]

    @property
    def test(self) -> TestFile | None:
        """The typed file; ``None`` if it holds errors."""
        return self.checked.test if self.checked and self.checked.outcome != "error" else None

    @property
    def outcome(self) -> str:
        """``ok``, ``ok-with-warnings`` or ``error``."""
        return self.checked.outcome if self.checked else "error"

    @property
    def tags(self) -> Sequence[str]:
        """Its tags."""
        return self.test.metadata.tags if self.test else ()

    @property
    def scenario_ids(self) -> Sequence[str]:
        """Ids of its scenarios."""
        return [f"{self.test_id}::{scenario.name}" for scenario in self.test.scenarios] if self.test else ()

    def locate(self, source: tuple[str | int, ...]) -> Location | None:
        """Where a block stands in the file a person edits."""
        return self.checked.locate(source) if self.checked and source else None


@dataclass(frozen=True, slots=True)
class Loaded:
    """Everything found: tests in path order, and findings that belong to no test (discovery, libraries)."""

    tests: list[LoadedTest]
    diagnostics: list[Diagnostic]

    def diagnostics_of(self, test_ids: Collection[str]) -> list[Diagnostic]:
        """General findings and those of these tests in file order, each once: combinations repeat them."""
        chosen = (finding for test in self.tests if test.test_id in test_ids for finding in test.diagnostics)
        return sorted(dict.fromkeys([*self.diagnostics, *chosen]), key=lambda finding: finding.sort_key)


def template_request(
    path: Path,
    project: Project,
    settings: Settings,
    variables: Variables,
    *,
    file: str | None = None,
    text: str | None = None,
    no_template: bool = False,
    matrix: Mapping[str, Any] | None = None,
) -> TemplateRequest:
    """The rendering of one file under this project's settings."""
    return TemplateRequest(
        path=path,
        file=file or project.relative(path),
        project_root=project.root,
        text=text,
        variables=variables.given,
        parameters=variables.parameters,
        environ=variables.environ,
        matrix=matrix or {},
        library_files=[project.root / name for name in settings.template.macros],
        no_template=no_template,
        determinism=variables.determinism,
    )


def load(sources: Sources, variables: Variables, *, project: Project, settings: Settings) -> Loaded:
    """Discover, render and check.

    Parameters
    ----------
    sources : Sources
        Paths or cells; relative paths from the working directory.
    variables : Variables
        What templates see from outside.

    Returns
    -------
    Loaded
        In path order, combinations in matrix order.
    """
    requests: list[TemplateRequest] = []
    findings: list[Diagnostic] = []
    if sources.paths:
        discovery = discover(sources.paths, project, settings.discovery.ignore)
        findings.extend(discovery.diagnostics)
        requests += [
            template_request(path, project, settings, variables, no_template=sources.no_template)
            for path in discovery.files
        ]
    requests += [
        template_request(
            cell.directory / f"{cell.name}.clnrm.toml.tera",
            project,
            settings,
            variables,
            file=f"cell:{cell.name}",
            text=cell.text,
        )
        for cell in sources.cells
    ]
    tests: list[LoadedTest] = []
    with _rare_collections():
        for request in requests:
            _load_one(request, settings, tests, findings)
    return Loaded(tests, findings)


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Collect garbage less often: nearly all that is made here stays (a thousand files: 15 % less time)."""
    usual = gc.get_threshold()
    gc.set_threshold(max(usual[0], 10_000) if usual[0] else 0, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)


def _load_one(
    request: TemplateRequest, settings: Settings, tests: list[LoadedTest], findings: list[Diagnostic]
) -> None:
    chosen, matrix_findings = combinations(request)
    directory = request.path.parent
    if not chosen:
        tests.append(LoadedTest(request.file, directory, None, matrix_findings))
        return
    for matrix in chosen:
        with phase("clnrm.render", {"clnrm.file": request.file}):
            rendered = render(replace(request, matrix=matrix))
        with phase("clnrm.validate", {"clnrm.file": request.file}):
            checked = check(rendered, strict_toml=settings.template.strict_toml)
        if checked.test is not None and request.determinism:
            held = checked.test.determinism.model_copy(update=dict(request.determinism))
            checked = replace(checked, test=checked.test.model_copy(update={"determinism": held}))
        if checked.kind == "scenario":
            found = [*matrix_findings, *checked.diagnostics]
            tests.append(LoadedTest(test_id(request.file, matrix), directory, checked, found))
        else:
            findings.extend(checked.diagnostics)

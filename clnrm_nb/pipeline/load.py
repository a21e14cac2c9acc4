"""Files in, checked tests out: discover, render each matrix combination, validate.

Nothing here raises for what a file holds: everything wrong is a finding of that file, and the other files
go on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from clnrm_nb.config.project import test_id
from clnrm_nb.pipeline.files import file_requests, template_request
from clnrm_nb.pipeline.garbage import rare_collections
from clnrm_nb.pipeline.request import Cell, Sources, Variables
from clnrm_nb.spans.phases import phase
from clnrm_nb.template import combinations, render
from clnrm_nb.validation import check

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from clnrm_nb.config.project import Project
    from clnrm_nb.config.settings import Settings
    from clnrm_nb.errors import Diagnostic, Location
    from clnrm_nb.scenario.model import TestFile
    from clnrm_nb.template import TemplateRequest
    from clnrm_nb.validation import Checked

__all__ = [
    "Cell",
    "Loaded",
    "LoadedTest",
    "Sources",
    "Variables",
    "load",
    "load_file",
    "template_request",
]


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
    requests, findings = file_requests(sources, variables, project=project, settings=settings)
    with rare_collections():
        found = [load_file(request, settings) for request in requests]
    return Loaded(
        [test for one in found for test in one.tests],
        [*findings, *(finding for one in found for finding in one.diagnostics)],
    )


def load_file(request: TemplateRequest, settings: Settings) -> Loaded:
    """Render and check the combinations of one file."""
    chosen, matrix_findings = combinations(request)
    directory = request.path.parent
    if not chosen:
        return Loaded([LoadedTest(request.file, directory, None, matrix_findings)], [])
    loaded = Loaded([], [])
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
            loaded.tests.append(LoadedTest(test_id(request.file, matrix), directory, checked, found))
        else:
            loaded.diagnostics.extend(checked.diagnostics)
    return loaded

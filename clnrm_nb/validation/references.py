"""Names that must exist, and names that must be unique: CLN401, CLN405."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clnrm_nb.config.nearest import did_you_mean
from clnrm_nb.scenario.offers import better_spelling, meant_key, meant_word
from clnrm_nb.validation.walk import all_steps, is_written

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clnrm_nb.scenario.findings import Findings
    from clnrm_nb.scenario.model import KeyPath, TestFile
    from clnrm_nb.validation.walk import Document

__all__ = ["check_references"]


def check_references(test: TestFile, document: Document, findings: Findings) -> None:
    """Every service that is named exists; no two scenarios share a name."""
    for name, path in _service_references(test, document):
        if name not in test.services:
            # Nobody means a service that depends on itself.
            owner = path[1] if path[0] in ("services", "service") else None
            known = [each for each in test.services if each != owner]
            meant_name = meant_key if path[-1] == name else meant_word
            repair = meant_name(path, name, known)
            findings.add("CLN401", path, f"no service `{name}`{did_you_mean(name, known)}", repair=repair)
    _check_scenario_names(test, findings)


def _service_references(test: TestFile, document: Document) -> Iterator[tuple[str, KeyPath]]:
    for service in test.services.values():
        for index, name in enumerate(service.depends_on):
            path = service.path_of("depends_on")
            by_name = is_written(document, (*path, name))
            yield name, (*path, name if by_name else index)
    for scenario in test.scenarios:
        if scenario.service is not None:
            yield scenario.service, scenario.path_of("service")
        for index, name in enumerate(scenario.parallel_services):
            yield name, scenario.path_of("parallel_services", index)
    for step in all_steps(test):
        # A step may have its service from its scenario, which is where that is reported.
        if step.service is not None and is_written(document, step.path_of("service")):
            yield step.service, step.path_of("service")
    for index, name in enumerate(test.secrets.services):
        yield name, ("secrets", "services", index)


def _check_scenario_names(test: TestFile, findings: Findings) -> None:
    first: dict[str, KeyPath] = {}
    for scenario in test.scenarios:
        path = scenario.path_of("name")
        if scenario.name and first.setdefault(scenario.name, path) != path:
            findings.add(
                "CLN405",
                path,
                f"scenario `{scenario.name}` is defined twice",
                related=((first[scenario.name], "the first one"),),
                repair=better_spelling(path, scenario.name, f"{scenario.name}-2", safe=False),
            )

"""Ways through a test file that several checks go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from clnrm_nb.scenario.model import Expect, KeyPath, Step, TestFile

__all__ = ["Document", "all_expects", "all_steps", "is_written", "variables_of"]

Document = dict[str, Any]
"""A parsed TOML document."""


def all_steps(test: TestFile) -> Iterator[Step]:
    """Every command of the file: top-level steps, then each scenario's runs and steps."""
    yield from test.steps
    for scenario in test.scenarios:
        yield from scenario.run
        yield from scenario.steps


def all_expects(test: TestFile) -> Iterator[Expect]:
    """The file's expectations, then those of each scenario that has its own."""
    yield test.expect
    for scenario in test.scenarios:
        if scenario.expect is not None:
            yield scenario.expect


def is_written(document: Document, path: KeyPath) -> bool:
    """Whether the document has something at `path`."""
    here: Any = document
    for part in path:
        keys = here if isinstance(here, dict) else range(len(here)) if isinstance(here, list) else ()
        if part not in keys:
            return False
        here = here[part]
    return True


def variables_of(test: TestFile) -> Iterator[tuple[str, str, KeyPath]]:
    """Every environment variable the file sets: name, value and path."""
    holders: list[tuple[Mapping[str, str], KeyPath]] = [
        (service.env, service.path_of("env")) for service in test.services.values()
    ]
    holders.extend((step.env, step.path_of("env")) for step in all_steps(test) if step.env)
    for env, path in holders:
        for name, value in env.items():
            yield name, value, (*path, name)

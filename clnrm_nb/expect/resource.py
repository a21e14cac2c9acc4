"""``[[expect.resource]]`` (``format.md`` 7.8): the test's objects just before teardown."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from clnrm_nb.expect.claim import NOT_FOUND, Claim, Finding, failed, not_evaluated, passed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clnrm_nb.executor.outcome import TestOutcome
    from clnrm_nb.expect.claim import Scope
    from clnrm_nb.scenario.model import ResourceExpectation

__all__ = ["claims"]

_CONTAINER_OBJECTS = frozenset({"container", "network", "volume"})


def claims(scope: Scope) -> Iterator[Claim]:
    """One claim a block."""
    for block in scope.expect.resources:
        expected = f"{block.type} `{block.name}` {'exists' if block.exists else 'does not exist'}"
        look = partial(_look, block, scope.outcome)
        identity = f"resource.{block.type}[{block.name}]"
        yield Claim(identity, "resource", block.source, expected, look, about_spans=False)


def _look(block: ResourceExpectation, outcome: TestOutcome) -> Finding:
    names = sorted(outcome.objects.get(block.type, ()))
    matching = [name for name in names if block.name.matches(name)]
    if not names and _is_unknown(block.type, outcome):
        return not_evaluated(
            f"the {outcome.backend} backend has no {block.type} objects to look at", NOT_FOUND
        )
    if bool(matching) == block.exists:
        found = ", ".join(f"`{name}`" for name in matching) or "none"
        return passed(f"{block.type} `{block.name}`: {found}", matching)
    if block.exists:
        present = ", ".join(f"`{name}`" for name in names) or "none"
        return failed(
            f"no {block.type} `{block.name}` just before teardown; present: {present}",
            names,
            reason=NOT_FOUND,
        )
    return failed(
        f"{block.type} {', '.join(f'`{name}`' for name in matching)} exists just before teardown", matching
    )


def _is_unknown(kind: str, outcome: TestOutcome) -> bool:
    """Whether the backend could not have told of such an object."""
    return outcome.replayed or (outcome.backend == "process" and kind in _CONTAINER_OBJECTS)

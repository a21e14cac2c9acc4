"""Names that a shell or a notebook completes; where anything goes wrong, there are none."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clnrm_nb.config.project import Project
    from clnrm_nb.state import State

__all__ = ["names_of"]


def names_of(kind: str) -> list[str]:
    """The names of a kind that this project knows.

    Parameters
    ----------
    kind : {"tests", "baselines"}
        Ids of tests that have run, or were looked up; ids of baselines, and of traces that wait.
    """
    with suppress(Exception):
        from clnrm_nb.config.project import find_project
        from clnrm_nb.state import State

        project = find_project(state_dir=None)
        with State.open(project.state_dir) as state:
            if kind == "baselines":
                return _baselines(project, state)
            rows = state.read(
                "SELECT test_id FROM results UNION SELECT test_id FROM cache_decisions ORDER BY test_id"
            )
            return [row["test_id"] for row in rows]
    return []


def _baselines(project: Project, state: State) -> list[str]:
    from clnrm_nb.baseline.store import BaselineStore
    from clnrm_nb.state.reviews import Reviews

    accepted = {stored.id for stored in BaselineStore(project).files() if stored.id}
    return sorted(accepted | {review.id for review in Reviews(state).all()})

"""The labels by which this package knows its own objects in an engine, and nobody else's."""

from __future__ import annotations

from typing import Final

__all__ = ["OWNER", "RUN", "SERVICE", "TEST", "UNIT", "filters", "unit_labels"]

RUN: Final = "clnrm_nb.run"
TEST: Final = "clnrm_nb.test"
OWNER: Final = "clnrm_nb.owner"
UNIT: Final = "clnrm_nb.unit"
"""One attempt of a test: two attempts of one test may be alive at once, and each removes only its own."""
SERVICE: Final = "clnrm_nb.service"


def unit_labels(run_id: str, test_id: str, owner: str, unit: str) -> dict[str, str]:
    """Labels of every object of one unit."""
    return {RUN: run_id, TEST: test_id, OWNER: owner, UNIT: unit}


def filters(label: str, value: str | None = None) -> dict[str, str | list[str]]:
    """The engine's list filter for a label, with a value or with any."""
    return {"label": [label if value is None else f"{label}={value}"]}

"""The labels by which this package knows its own objects in an engine, and nobody else's."""

from __future__ import annotations

from typing import Final

__all__ = ["ATTEMPT", "OWNER", "RUN", "SERVICE", "TEST", "UNIT", "filters", "unit_labels"]

RUN: Final = "clnrm_nb.run"
TEST: Final = "clnrm_nb.test"
OWNER: Final = "clnrm_nb.owner"
UNIT: Final = "clnrm_nb.unit"
"""One attempt of a test: two attempts of one test may be alive at once, and each removes only its own."""
ATTEMPT: Final = "clnrm_nb.attempt"
"""Number and fencing id of the attempt, where tests run on several machines."""
SERVICE: Final = "clnrm_nb.service"


def unit_labels(run_id: str, test_id: str, owner: str, unit: str, attempt: str = "") -> dict[str, str]:
    """Labels of every object of one unit."""
    labels = {RUN: run_id, TEST: test_id, OWNER: owner, UNIT: unit}
    return {**labels, ATTEMPT: attempt} if attempt else labels


def filters(label: str, value: str | None = None) -> dict[str, str | list[str]]:
    """The engine's list filter for a label, with a value or with any."""
    return {"label": [label if value is None else f"{label}={value}"]}

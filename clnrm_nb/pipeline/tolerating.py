"""The tolerance rules of the tests of a run: from their files, or from what is known of files not read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clnrm_nb.baseline.compare import Terms
from clnrm_nb.baseline.tolerances import scenario_rules
from clnrm_nb.pipeline.known import KnownTest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clnrm_nb.pipeline.load import LoadedTest

__all__ = ["terms_of"]


def terms_of(tests: Iterable[KnownTest | LoadedTest]) -> dict[str, Terms]:
    """What each test is compared under."""
    return {test.test_id: _terms(test) for test in tests}


def _terms(test: KnownTest | LoadedTest) -> Terms:
    if isinstance(test, KnownTest):
        return Terms(rules=scenario_rules(test.known.more.get("tolerance", ())))
    loaded = test.test
    if loaded is None:
        return Terms()
    at = test.locate(("tolerance", 0)) if loaded.tolerance else None
    return Terms(rules=scenario_rules(loaded.tolerance), rules_at=at)

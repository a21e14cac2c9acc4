"""The tolerance rules of a run: the project's, and those of its tests, whether files were read or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clnrm_nb.baseline.compare import Terms
from clnrm_nb.baseline.tolerances import scenario_rules
from clnrm_nb.pipeline.known import KnownTest
from clnrm_nb.spans.redaction import Redaction, redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from clnrm_nb.diff.rules import Rule
    from clnrm_nb.pipeline.load import LoadedTest
    from clnrm_nb.spans.table import SpanTable

__all__ = ["Redacting", "terms_of"]


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


class Redacting:
    """The ``redact`` rules of a run at work on the spans of its tests.

    Parameters
    ----------
    project : sequence of Rule
    tests : iterable
        Whose files may have rules of their own.
    """

    def __init__(self, project: Sequence[Rule], tests: Iterable[KnownTest | LoadedTest]) -> None:
        self._project = _redactions(project)
        self._own = {
            name: rules for name, one in terms_of(tests).items() if (rules := _redactions(one.rules))
        }

    def __bool__(self) -> bool:
        """Whether there is any such rule."""
        return bool(self._project or self._own)

    def __call__(self, test_id: str, table: SpanTable) -> set[str]:
        """Hide what rules select in the spans of a test, in place; what was hidden."""
        return redact(table, (*self._own.get(test_id, ()), *self._project), test_id)


def _redactions(rules: Iterable[Rule]) -> tuple[Redaction, ...]:
    return tuple(
        Redaction(rule.id, rule.value, rule.select)
        for rule in rules
        if rule.word == "redact" and not rule.is_expired()
    )

"""The ``redact`` rules of a run: of its project and of its tests, whether their files were read or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clnrm_nb.pipeline.tolerating import terms_of
from clnrm_nb.spans.redaction import Redaction, redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from clnrm_nb.diff.rules import Rule
    from clnrm_nb.pipeline.known import KnownTest
    from clnrm_nb.pipeline.load import LoadedTest
    from clnrm_nb.spans.redaction import Hidden
    from clnrm_nb.spans.table import SpanTable

__all__ = ["Redacting"]


class Redacting:
    """``redact`` rules at work on the spans of tests.

    Parameters
    ----------
    project : sequence of Rule
    tests : iterable
        Whose files may have rules of their own.
    """

    def __init__(self, project: Sequence[Rule], tests: Iterable[KnownTest | LoadedTest]) -> None:
        self._project = _redactions(project)
        self._own = {
            name: found for name, one in terms_of(tests).items() if (found := _redactions(one.rules))
        }

    def __bool__(self) -> bool:
        """Whether there is any such rule."""
        return bool(self._project or self._own)

    def __call__(self, test_id: str, table: SpanTable) -> Hidden:
        """Hide what rules select in the spans of a test, in place; what was hidden."""
        return redact(table, (*self._own.get(test_id, ()), *self._project), test_id)


def _redactions(rules: Iterable[Rule]) -> tuple[Redaction, ...]:
    return tuple(
        Redaction(rule.id, rule.value, rule.select)
        for rule in rules
        if rule.word == "redact" and not rule.is_expired()
    )

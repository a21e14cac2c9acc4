"""The ``redact`` rules of a run: of its project and of its tests, whether their files were read or not.

A test that has ended is redacted where it is kept. What is shown of it before that, its growing spans and its
findings, is redacted here, and rather too much of it than too little.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from clnrm_nb.pipeline.tolerating import terms_of
from clnrm_nb.spans.redaction import Redaction, redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from clnrm_nb.diff.rules import Rule
    from clnrm_nb.executor.events import Event
    from clnrm_nb.pipeline.known import KnownTest
    from clnrm_nb.pipeline.load import LoadedTest
    from clnrm_nb.spans.redaction import Hidden
    from clnrm_nb.spans.table import SpanTable

__all__ = ["Redacting"]

_QUOTING: Final = ("message", "hint")


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
        return redact(table, self._rules(test_id), test_id)

    def growing(self, test_id: str, table: SpanTable) -> None:
        """Hide in some of the spans of a test that goes on, in place, whatever a rule may select."""
        redact(table, [rule.anywhere for rule in self._rules(test_id)], test_id)

    def told(self, event: Event) -> Event:
        """An event as it may be shown: findings quote what programs print, maybe before its span has come."""
        rules = self._rules(event.test or "")
        if event.event != "diagnostic" or not rules:
            return event
        data = dict(event.data)
        for name in _QUOTING:
            for rule in rules if data.get(name) else ():
                data[name] = rule.blanked(data[name])
        return replace(event, data=data)

    def _rules(self, test_id: str) -> tuple[Redaction, ...]:
        return (*self._own.get(test_id, ()), *self._project)


def _redactions(rules: Iterable[Rule]) -> tuple[Redaction, ...]:
    return tuple(
        Redaction(rule.id, rule.value, rule.select, rule.place)
        for rule in rules
        if rule.word == "redact" and not rule.is_expired()
    )

"""An outcome read back from its document, as far as the document holds it (``format.md`` 11.3).

What only judging needs (addresses, objects, images) is not kept; an outcome read back has been judged. Nor is
the hash of its inputs: it is confirmed at the end of the run in which the test ran, and not later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.errors import Diagnostic, Fix, Related, TextEdit
from clnrm_nb.executor.outcome import (
    AttemptOutcome,
    CommandOutcome,
    ExpectationResult,
    ScenarioOutcome,
    TestOutcome,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clnrm_nb.spans.table import SpanTable

__all__ = ["finding_from", "outcome_from"]

_OF_TEST: Final = (
    "id",
    "name",
    "status",
    "stored_status",
    "duration_ms",
    "cached",
    "backend",
    "hermetic",
    "replayed",
    "isolation",
    "matrix",
    "reason",
    "complete",
    "trace_digest",
    "timings_ms",
    "taken_over_from",
)
_OF_SCENARIO: Final = ("name", "status", "duration_ms", "span_count", "trace_digest", "reason")
_OF_FINDING: Final = (
    "code",
    "message",
    "file",
    "line",
    "column",
    "end_line",
    "end_column",
    "hint",
    "severity",
    "test",
    "scenario",
)


def outcome_from(document: Mapping[str, Any], spans: SpanTable | None = None) -> TestOutcome:
    """The outcome of a test's document.

    Raises
    ------
    KeyError, TypeError
        It is not such a document.
    """
    return TestOutcome(
        **_some(document, _OF_TEST),
        scenarios=[_scenario(each) for each in document["scenarios"]],
        expectations=[_expectation(each) for each in document["expectations"]],
        diagnostics=[finding_from(each) for each in document["diagnostics"]],
        attempts=[AttemptOutcome(**each) for each in document.get("attempts", ())],
        spans=spans,
    )


def _scenario(document: Mapping[str, Any]) -> ScenarioOutcome:
    commands = [CommandOutcome(**command) for command in document["commands"]]
    return ScenarioOutcome(**_some(document, _OF_SCENARIO), commands=commands)


def _expectation(document: Mapping[str, Any]) -> ExpectationResult:
    spans = [(trace_id, span_id) for trace_id, span_id in document["spans"]]
    return ExpectationResult(**{**document, "spans": spans})


def finding_from(document: Mapping[str, Any]) -> Diagnostic:
    """A finding of its document."""
    rendered, fix = document.get("rendered"), document.get("fix")
    return Diagnostic(
        **_some(document, _OF_FINDING),
        rendered=(rendered["line"], rendered["column"]) if rendered else None,
        related=tuple(Related(**each) for each in document["related"]),
        fix=Fix(**{**fix, "edits": tuple(TextEdit(**each) for each in fix["edits"])}) if fix else None,
    )


def _some(document: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    return {key: document[key] for key in keys if key in document}

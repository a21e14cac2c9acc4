"""Older forms of expectations (``format.md`` 7.9) as the tables they stand for.

``validate`` takes these forms as they are, so they are findings of ``migrate`` alone. What has no form among
the current tables is reported with its reason and stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.scenario.findings import Findings, locate_all
from clnrm_nb.scenario.repairs import Delete, Move, Rename, Repair

if TYPE_CHECKING:
    from clnrm_nb.errors import Diagnostic
    from clnrm_nb.scenario.model import KeyPath
    from clnrm_nb.scenario.parse import Parsed
    from clnrm_nb.scenario.repairs import Change

__all__ = ["older_forms"]

_TABLES: Final = {
    "expect_graph": "graph",
    "expect_counts": "counts",
    "expect_windows": "window",
    "expect_order": "order",
    "expect_status": "status",
    "expect_hermeticity": "hermeticity",
}
_SPAN_KEYS: Final = {
    "attributes": "attrs.all",
    "min_duration_ms": "duration_ms.gte",
    "max_duration_ms": "duration_ms.lte",
    "min_count": "count.gte",
}
_SAME_SPAN_KEYS: Final = frozenset(("name", "parent", "count", "description", "reason"))


def older_forms(parsed: Parsed) -> list[Diagnostic]:
    """One finding (CLN308) a table in an older form, with its repair where there is one."""
    document = parsed.document or {}
    findings = Findings()
    validation = document.get("otel_validation")
    if isinstance(validation, dict):
        _validation(validation, document.get("expect", {}), findings)
    for key, why in (
        ("otel_expectations", "write its bounds as `[expect.counts]` and `[expect.status]`"),
        ("assertions", "write it as `[expect]` tables"),
    ):
        if key in document:
            findings.add("CLN308", (key,), f"`[{key}]` is an older form; {why}", part="header")
    return locate_all(findings.items, parsed)


def _validation(table: dict[str, Any], expect: Any, findings: Findings) -> None:
    path: KeyPath = ("otel_validation",)
    if table.get("enabled") is False:
        findings.add(
            "CLN308", path, "`[otel_validation]` is switched off; take it out or switch it on", part="header"
        )
        return
    if table.get("enabled") is True:
        alone = len(table) == 1
        repair = Repair("Take it out", (Delete((*path, "enabled")), *((Delete(path),) if alone else ())))
        findings.add("CLN308", (*path, "enabled"), "`enabled = true` says nothing", part="key", repair=repair)
    for key, value in table.items():
        where = (*path, key)
        if key in _TABLES:
            name = _TABLES[key]
            is_free = isinstance(expect, dict) and name not in expect
            moved = Repair(f"Write `[expect.{name}]`", (Move(where, f"expect.{name}"),)) if is_free else None
            message = f"`otel_validation.{key}` is spelled `expect.{name}`"
            findings.add("CLN308", where, message, part="header", repair=moved)
        elif key == "expected_spans" and isinstance(value, list):
            _spans(value, where, findings)
        elif key == "expected_traces":
            message = (
                "`otel_validation.expected_traces` has no current form; its names and edges go to `[expect]`"
            )
            findings.add("CLN308", where, message, part="header")


def _spans(spans: list[Any], path: KeyPath, findings: Findings) -> None:
    """All spans move together, or none: their headers are those of one array."""
    changes: list[Change] = [Move(path, "expect.span")]
    reasons: list[str] = []
    for index, span in enumerate(spans):
        for key, value in span.items() if isinstance(span, dict) else ():
            where = (*path, index, key)
            if key in _SPAN_KEYS and not (key == "min_count" and "count" in span):
                changes.append(Rename(where, _SPAN_KEYS[key]))
            elif key == "required" and value is True:
                changes.append(Delete(where))
            elif key not in _SAME_SPAN_KEYS:
                reasons.append(key)
    message = "`otel_validation.expected_spans` is spelled `expect.span`"
    if reasons:
        message += f"; {', '.join(f'`{key}`' for key in dict.fromkeys(reasons))} has no current form"
    repair = None if reasons else Repair("Write `[[expect.span]]`", tuple(changes))
    findings.add("CLN308", path, message, part="header", repair=repair)

"""How often each tolerance rule was about something, run by run, and which rules nothing needs any more.

Counted on this machine only, and only for rules that held in a comparison of the run: a run that leaves a
scenario out says nothing about its rules. A rule that is edited starts anew.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING, Final

from clnrm_nb.errors import Diagnostic
from clnrm_nb.spans.content import canonical_json
from clnrm_nb.spans.redaction import placeholder

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence

    from clnrm_nb.baseline.comparison import Comparison
    from clnrm_nb.diff.rules import Rule
    from clnrm_nb.state import State

__all__ = ["RUNS", "note_uses", "stale"]

RUNS: Final = 20
"""So many runs without a match make a rule stale (CLN708)."""


def note_uses(comparisons: Iterable[Comparison], state: State, run_id: str) -> None:
    """Write down what the rules of a run's comparisons matched."""
    uses: Counter[str] = Counter()
    keys: dict[int, str] = {}  # Most rules hold in most comparisons, as one and the same object.
    for comparison in comparisons:
        matched = comparison.diff.matched if comparison.diff is not None else {}
        for rule in comparison.rules:
            key = keys.get(id(rule)) or keys.setdefault(id(rule), _key(rule))
            uses[key] += matched.get(rule.id, 0) or _has_hidden(rule, comparison)
    if uses:
        state.write(lambda database: _write(database, run_id, uses))


def _has_hidden(rule: Rule, comparison: Comparison) -> bool:
    """Whether a ``redact`` rule was about spans before they were compared: no difference is left of that."""
    if rule.word != "redact" or comparison.table is None:
        return False
    blank, table = placeholder(rule.id), comparison.table
    columns = (table.name, table.status_message, table.attributes, table.events, table.links, table.resource)
    values = ({id(value): value for value in column}.values() for column in columns)
    return any(blank in repr(value) for column in values for value in column)


def _write(database: sqlite3.Connection, run_id: str, uses: Mapping[str, int]) -> None:
    # A run may be compared twice, the second time with what it has just become the baseline of.
    database.executemany(
        "INSERT INTO rule_uses (rule, run, matched) VALUES (?, ?, ?) "
        "ON CONFLICT (rule, run) DO UPDATE SET matched = max(matched, excluded.matched)",
        [(rule, run_id, matched) for rule, matched in uses.items()],
    )
    database.executemany(
        "DELETE FROM rule_uses WHERE rule = ? AND run NOT IN "
        "(SELECT run FROM rule_uses WHERE rule = ? ORDER BY run DESC LIMIT ?)",
        [(rule, rule, RUNS) for rule in uses],
    )


def stale(rules: Sequence[Rule], state: State) -> list[Diagnostic]:
    """What to say about rules that were about nothing in the last runs they held in."""
    if not rules:
        return []
    keys = {_key(rule): rule for rule in rules}
    marks = ", ".join("?" * len(keys))
    found = state.read(
        f"SELECT rule FROM rule_uses WHERE rule IN ({marks}) "  # noqa: S608  # Question marks.
        "GROUP BY rule HAVING count(*) >= ? AND max(matched) = 0",
        (*keys, RUNS),
    )
    idle = {row["rule"] for row in found}
    return [
        Diagnostic(
            "CLN708",
            f"rule `{rule.id}` matched nothing in the last {RUNS} runs",
            hint=f"take it out if nothing needs it any more ({rule.reason})",
        ).at(rule.place)
        for key, rule in keys.items()
        if key in idle
    ]


def _key(rule: Rule) -> str:
    text = canonical_json([rule.origin, rule.id, rule.select, rule.word, rule.value, rule.present])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

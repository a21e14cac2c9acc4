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

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence

    from clnrm_nb.baseline.compare import Comparison
    from clnrm_nb.diff.rules import Rule
    from clnrm_nb.state import State

__all__ = ["RUNS", "note_uses", "stale"]

RUNS: Final = 20
"""So many runs without a match make a rule stale (CLN708)."""


def note_uses(comparisons: Iterable[Comparison], state: State, run_id: str) -> None:
    """Write down what the rules of a run's comparisons matched."""
    uses: Counter[str] = Counter()
    for comparison in comparisons:
        if comparison.diff is not None:
            uses.update({_key(rule): comparison.diff.matched.get(rule.id, 0) for rule in comparison.rules})
    if uses:
        state.write(lambda database: _write(database, run_id, uses))


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
        )
        for key, rule in keys.items()
        if key in idle
    ]


def _key(rule: Rule) -> str:
    text = canonical_json([rule.origin, rule.id, rule.select, rule.word, rule.value, rule.present])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

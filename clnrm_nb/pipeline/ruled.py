"""The project's tolerance rules as a part of what a test is judged by.

They stand beside the baselines, where no manifest of a file looks; a test of a file that is not read is asked
about with them all the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clnrm_nb.diff.rules import Rule
    from clnrm_nb.pipeline.lookup import AnyTest

__all__ = ["rules_for"]

_WITHOUT_A_SAY: Final = frozenset({"id", "reason", "by", "at"})
"""Of a rule: what it is called, and what people say of it."""


def rules_for(test: AnyTest, rules: Sequence[Rule]) -> Mapping[str, Any]:
    """Those of the rules that may hold for a comparison of a test, as JSON, by id."""
    if not rules:
        # Most projects have none, and nothing is imported for them.
        return {}
    from clnrm_nb.baseline.tolerances import is_for

    ids = (test.test_id, *test.scenario_ids)
    return {
        rule.id: {key: value for key, value in rule.to_toml().items() if key not in _WITHOUT_A_SAY}
        for rule in rules
        if any(is_for(rule, one) for one in ids)
    }

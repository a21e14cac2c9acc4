"""The tolerance rules of a run: the project's, what of them a test is judged by, and those that hide.

Most runs have none, and nothing is imported for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.pipeline.known import KnownTest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clnrm_nb.config.project import Project
    from clnrm_nb.diff.rules import Rule
    from clnrm_nb.pipeline.lookup import AnyTest
    from clnrm_nb.pipeline.redacting import Redacting

__all__ = ["project_rules", "redacting_of", "rules_for"]

_WITHOUT_A_SAY: Final = frozenset({"id", "reason", "by", "at"})
"""Of a rule: what it is called, and what people say of it."""


def project_rules(project: Project) -> Sequence[Rule]:
    """The project's tolerance rules: a broken file is told about before anything is run.

    Raises
    ------
    ClnrmError
        CLN325, CLN001: as :func:`clnrm_nb.baseline.rulefile.read`.
    """
    if not (project.state_dir / "baselines" / "rules.toml").exists():
        return ()
    from clnrm_nb.baseline.rulefile import read

    return read(project)


def redacting_of(rules: Sequence[Rule], tests: Sequence[AnyTest]) -> Redacting | None:
    """What hides what ``redact`` rules of the project or of tests select; ``None``: there are none."""
    if not rules and not any(map(_has_rules, tests)):
        return None
    from clnrm_nb.pipeline.redacting import Redacting

    return Redacting(rules, tests) or None


def _has_rules(test: AnyTest) -> bool:
    if isinstance(test, KnownTest):
        return "tolerance" in test.known.more
    return bool(test.test and test.test.tolerance)


def rules_for(test: AnyTest, rules: Sequence[Rule]) -> Mapping[str, Any]:
    """Those of the project's rules that may hold for a comparison of a test, as JSON, by id.

    They stand beside the baselines, where no manifest of a file looks: a test of a file that is not read is
    asked about with them all the same.
    """
    if not rules:
        return {}
    from clnrm_nb.baseline.tolerances import is_for

    ids = (test.test_id, *test.scenario_ids)
    return {
        rule.id: {key: value for key, value in rule.to_toml().items() if key not in _WITHOUT_A_SAY}
        for rule in rules
        if any(is_for(rule, one) for one in ids)
    }

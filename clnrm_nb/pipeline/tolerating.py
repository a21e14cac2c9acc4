"""What each test of a run is compared under: its rules, where it stands, and what decisions keep of it.

From its file, or from what is known of a file that was not read.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from clnrm_nb.baseline.compare import Terms
from clnrm_nb.baseline.tolerances import scenario_rules
from clnrm_nb.errors import Location
from clnrm_nb.pipeline.known import KnownTest
from clnrm_nb.spans.content import canonical_json
from clnrm_nb.state.objects import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clnrm_nb.pipeline.load import LoadedTest
    from clnrm_nb.validation import Checked

__all__ = ["terms_of"]


def terms_of(tests: Iterable[KnownTest | LoadedTest]) -> dict[str, Terms]:
    """What each test is compared under, by its id."""
    return {test.test_id: _terms(test) for test in tests}


def _terms(test: KnownTest | LoadedTest) -> Terms:
    file = Location(test.test_id.partition("[")[0])
    if isinstance(test, KnownTest):
        return Terms(location=file, rules=scenario_rules(test.known.more.get("tolerance", ())))
    if test.checked is None or test.test is None:
        return Terms(location=file)
    rules = test.test.tolerance
    return replace(
        _origin(test.checked),
        location=file,
        scenarios={one.name: test.checked.locate(one.source) for one in test.test.scenarios if one.source},
        rules=scenario_rules(rules),
        rules_at=test.locate(("tolerance", 0)) if rules else None,
    )


def _origin(checked: Checked) -> Terms:
    """Hashes of the file and of the variables it read.

    Neither covers what came from the environment: decisions are committed, and a short secret could be found
    by trying.
    """
    rendered = checked.rendered
    read = rendered.dependencies.variables
    known = {
        one.name: one.value
        for one in rendered.variables
        if one.name in read and not one.origin.startswith("environment")
    }
    return Terms(_hash(rendered.source), _hash(canonical_json(known)))


def _hash(text: str) -> str:
    return digest_of(text.encode("utf-8", "surrogatepass"))

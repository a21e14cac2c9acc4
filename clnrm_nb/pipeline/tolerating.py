"""What each test of a run is compared under: its rules, where it stands, and what decisions keep of it.

From its file, or from what is known of a file that was not read.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from clnrm_nb.baseline.comparison import Terms
from clnrm_nb.baseline.tolerances import scenario_rules
from clnrm_nb.errors import Location
from clnrm_nb.pipeline.known import KnownTest
from clnrm_nb.spans.content import canonical_json
from clnrm_nb.state.objects import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from clnrm_nb.pipeline.load import LoadedTest
    from clnrm_nb.validation import Checked

__all__ = ["remembered_terms", "terms_of"]


def terms_of(tests: Iterable[KnownTest | LoadedTest]) -> dict[str, Terms]:
    """What each test is compared under, by its id."""
    return {test.test_id: _terms(test) for test in tests}


def _terms(test: KnownTest | LoadedTest) -> Terms:
    file = Location(test.test_id.partition("[")[0])
    if isinstance(test, KnownTest):
        more = test.known.more
        terms = more.get("terms", {})
        places = [Location(**place) for place in terms.get("rule_places", ())]
        return replace(
            _recalled(terms), location=file, rules=scenario_rules(more.get("tolerance", ()), places)
        )
    if test.checked is None or test.test is None:
        return Terms(location=file)
    rules = test.test.tolerance
    return replace(
        _origin(test.checked),
        location=file,
        scenarios={one.name: test.checked.locate(one.source) for one in test.test.scenarios if one.source},
        rules=scenario_rules(rules, (test.locate(("tolerance", index)) for index in range(len(rules)))),
    )


def remembered_terms(test: LoadedTest) -> dict[str, Any]:
    """What :func:`terms_of` needs of a file that will not be read the next time, its rules aside."""
    terms = _terms(test)
    return {
        "source_hash": terms.source_hash,
        "vars_hash": terms.vars_hash,
        "scenarios": {name: asdict(place) for name, place in terms.scenarios.items()},
        "rule_places": [asdict(rule.place) for rule in terms.rules if rule.place],
    }


def _recalled(kept: Mapping[str, Any]) -> Terms:
    return Terms(
        kept.get("source_hash"),
        kept.get("vars_hash"),
        scenarios={name: Location(**place) for name, place in kept.get("scenarios", {}).items()},
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

"""What a decision about a trace keeps of the test it came from, and where findings about it are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clnrm_nb.baseline import Terms
from clnrm_nb.errors import Location
from clnrm_nb.spans.content import canonical_json
from clnrm_nb.state.objects import digest_of

if TYPE_CHECKING:
    from clnrm_nb.pipeline.lookup import AnyTest

__all__ = ["terms_of"]


def terms_of(test: AnyTest) -> Terms:
    """Where a test stands, and hashes of what it was made of.

    Neither hash covers what came from the environment: decisions are committed, and a short secret could be
    found by trying.
    """
    file = Location(test.test_id.partition("[")[0])
    checked = getattr(test, "checked", None)
    if checked is None or checked.test is None:
        return Terms(location=file)
    rendered = checked.rendered
    read = rendered.dependencies.variables
    known = {
        one.name: one.value
        for one in rendered.variables
        if one.name in read and not one.origin.startswith("environment")
    }
    scenarios = {one.name: checked.locate(one.source) for one in checked.test.scenarios if one.source}
    return Terms(_hash(rendered.source), _hash(canonical_json(known)), file, scenarios)


def _hash(text: str) -> str:
    return digest_of(text.encode("utf-8", "surrogatepass"))

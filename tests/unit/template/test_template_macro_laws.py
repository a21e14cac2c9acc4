"""Whatever is handed to a built-in macro, what it writes is TOML that the validator accepts, holding what was given."""

from __future__ import annotations

from pathlib import Path

import pytest
import tomli
from hypothesis import given, settings
from hypothesis import strategies as st

from clnrm_nb.template import TemplateRequest, render
from clnrm_nb.validation import check

FILE = "a.clnrm.toml.tera"
HEAD = """\
{% import "_macros.toml.tera" as m %}
[meta]
name = "macros"
version = "1"

[service.api]
image = "a:1"

[[scenario]]
name = "one"
service = "api"
run = "true"
"""
# No `[`, `*` or `?`, which make a name a glob, and something that is not white space.
NAMES = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="[]*?"), min_size=1, max_size=12
).filter(lambda text: text.strip() and "{{" not in text and "{%" not in text)
VALUES = (
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | NAMES
)
CALLS = {
    "span": 'span(a, "server", attrs={"k": v}, events=[b])',
    "span with parent": "span(a, b)",
    "span_with_attrs": 'span_with_attrs(a, "client", {"k": v, "l": b})',
    "span_exists": "span_exists(a)",
    "attribute_validation": "attribute_validation(a, b, v)",
    "batch_validation": 'batch_validation([a, b], "exists = true")',
    "error_propagation": "error_propagation(a, b)",
    "service": "service(id, b, args=[a, b], env={K: b}, wait_for_span=a)",
    "scenario": "scenario(a, 'api', b, expect_success=false)",
    "lifecycle": "lifecycle(a)",
    "multi_lifecycle": "multi_lifecycle([a, a ~ 'x'])",
    "edges": "edges([[a, b], [b, a ~ 'x']])",
    "graph_relationship": "graph_relationship(a, b, 'contains')",
    "service_interaction": "service_interaction(a, b, 'GET')",
    "temporal_ordering": "temporal_ordering(a, a ~ 'x')",
    "window": "window(a, b)",
    "count": "count('server', 1, 3)",
    "count without max": "count('client', 0)",
    "resource_check": "resource_check('container', a)",
    "attrs": 'span(a) }}{{ "attrs.all = " }}{{ m::attrs({"k": v, "l": b})',
}
ABOUT_VALUES = {"CLN323", "CLN404", "CLN405", "CLN416"}
"""A command that cannot be split, a cycle, a name given twice, an image of blanks: what was given, not what is written."""


@pytest.mark.parametrize("call", CALLS)
@settings(max_examples=25, deadline=None)
@given(a=NAMES, b=NAMES, v=VALUES)
def test_template_macro_writes_what_the_validator_accepts(call: str, a: str, b: str, v: object) -> None:
    names = {"a": a, "b": b, "v": v, "id": "svc-1"}
    root = Path("/nowhere")

    rendered = render(
        TemplateRequest(root / FILE, FILE, root, text=f"{HEAD}{{{{ m::{CALLS[call]} }}}}", variables=names)
    )

    assert rendered.text is not None
    assert a in repr(tomli.loads(rendered.text)) or not a.isalnum() or "count" in call or call == "service"
    errors = [
        one for one in check(rendered).diagnostics if one.severity == "error" and one.code not in ABOUT_VALUES
    ]
    assert [str(one) for one in errors] == []

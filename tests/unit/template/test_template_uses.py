"""Where a variable is used, told from the markers alone."""

import pytest

from clnrm_nb.template.uses import environment_uses, variable_uses

SOURCE = """{% import "_m.tera" as m %}
{% macro f(svc, b=1) %}{{ svc }}{{ other }}{% endmacro %}
{% for svc in svcs %}{{ svc }}{% endfor %}{{ m::f(svc=svc) }}
{% if svc == "a" %}{{ x | svc }}{{ a.svc }}{{ vars.svc }}{{ vars["svc"] }}{% endif %}
{{ matrix.db }} {{ db }} {{ env(name="HOME") }} {{ env.HOME }} {{ get_env(name='X', default=svc) }}
{# {{ svc }} #}{% raw %}{{ svc }}{% endraw %} svc
"""


@pytest.mark.parametrize(
    ("name", "places"),
    [
        ("svc", [(3, 55), (4, 7), (4, 47), (4, 61), (5, 93)]),
        ("matrix.db", [(5, 4)]),
        ("db", [(5, 20)]),
        ("svcs", [(3, 15)]),
        ("other", [(2, 36)]),
        ("nothing", []),
    ],
)
def test_a_variable_is_found_where_it_is_used_and_names_of_macros_and_loops_are_others(name, places):
    assert variable_uses(SOURCE, name) == places


def test_the_environment_is_found_in_each_of_its_three_spellings():
    assert environment_uses(SOURCE, "HOME") == [(5, 29), (5, 52)]
    assert environment_uses(SOURCE, "X") == [(5, 67)]


@pytest.mark.parametrize(
    "source", ["", "{{", "{{ svc", "{% for %}", "{% macro %}{{ svc }}", "{{ svc.", "{% endfor %}"]
)
def test_broken_markers_are_no_reason_to_stop(source):
    assert isinstance(variable_uses(source, "svc"), list)
    assert isinstance(environment_uses(source, "svc"), list)

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clnrm_nb.expect.hosts import Inside, hosts_in
from clnrm_nb.expect.values import attribute_test, bound_text, comparison_text, describe_attribute, number_of
from clnrm_nb.scenario.model import AttributeCheck, Bound


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (False, "false"),
        (200, "200"),
        (1.0, "1"),
        (-0.5, "-0.5"),
        (0.1, "0.1"),
        (2**80, comparison_text(float(2**80))),
        (float("nan"), "NaN"),
        (float("-inf"), "-Infinity"),
        ("as it is ", "as it is "),
        ([1.0, "a", [True]], '[1,"a",[true]]'),
        ({"b": 1, "a": "é"}, '{"a":"é","b":1}'),
    ],
)
def test_values_are_compared_by_their_text(value, text):
    assert comparison_text(value) == text


@given(st.integers(-(2**53), 2**53))
def test_a_number_equals_itself_as_float_and_as_text(number):
    assert comparison_text(number) == comparison_text(float(number)) == comparison_text(str(number))


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (5, 5),
        (2.5, 2.5),
        ("5", 5),
        (" -2.5 ", -2.5),
        ("1e3", 1000),
        (".5", 0.5),
        (True, None),
        ("true", None),
        ("5 ms", None),
        ("1_000", None),
        ("nan", None),
        ("", None),
        ([1], None),
        ("٣", None),
    ],
)
def test_numbers_are_read_out_of_strings(value, number):
    assert number_of(value) == number


def test_every_operator_must_hold():
    check = attribute_test(AttributeCheck(key="k", gte=1, lt=10, ne=5))

    assert [check({"k": value}) for value in (0, 1, 5, "9.5", 10, "x")] == [
        False,
        True,
        False,
        True,
        False,
        False,
    ]
    assert not check({})


def test_a_check_is_described_in_words():
    check = AttributeCheck(key="k", gte=1, lt=10, is_in=(1, "a"), glob="x*", regex="^y")

    assert describe_attribute(check) == 'k >= 1 and < 10 and in [1, "a"] and like "x*" and matching "^y"'
    assert describe_attribute(AttributeCheck(key="k", exists=True)) == "k present"
    assert describe_attribute(AttributeCheck(key="k", exists=False)) == "k absent"


def test_a_bound_shows_every_digit():
    assert bound_text(Bound(gte=1234567, lt=9999999.5)) == ">= 1234567 and < 9999999.5"


@pytest.mark.parametrize(
    ("value", "hosts"),
    [
        ("API", ["api"]),
        ("api:8080", ["api"]),
        ("api.", ["api"]),
        ("http://user:secret@Example.org:8080/p?q=http://inner/", ["example.org"]),
        ("https://[2001:db8::1]:443/", ["2001:db8::1"]),
        ("[::1]:80", ["::1"]),
        ("fe80::1%eth0", ["fe80::1"]),
        ("10.0.0.1:5432", ["10.0.0.1"]),
        ("postgresql://u:p@db:5432,replica:5432/x", ["db", "replica"]),
        ("jdbc:mysql://db:3306/x", ["db"]),
        ("Server=tcp:sql.example.org,1433;Database=x", ["sql.example.org"]),
        ("host=db port=5432 user=x", ["db"]),
        ("/var/run/app.sock", []),
        ("unix:///var/run/app.sock", []),
        ("/relative?x=1", []),
        ("not a host", []),
        ("", []),
        (7, []),
        (["a", "http://b/"], ["a", "b"]),
    ],
)
def test_hosts_are_read_out_of_what_instrumentation_writes(value, hosts):
    assert list(hosts_in(value)) == hosts


@pytest.mark.parametrize(
    "host",
    ["localhost", "app.localhost", "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "0.0.0.0", "api",
     "x.example.org", "172.20.1.2", "gateway"],
)  # fmt: skip
def test_hosts_of_the_test_are_inside(host):
    assert host in Inside(["API"], ["*.example.org"], ["172.20.0.0/16", "Gateway"])


@pytest.mark.parametrize(
    "host", ["example.org", "8.8.8.8", "172.21.0.1", "2001:4860::1", "api2", "xlocalhost"]
)
def test_other_hosts_are_outside(host):
    assert host not in Inside(["API"], ["*.example.org"], ["172.20.0.0/16", "Gateway"])


def test_private_addresses_are_inside_until_the_network_of_the_test_is_known():
    assert "172.20.0.3" in Inside([], [], ["172.20.0.1"])
    assert "8.8.8.8" not in Inside([], [], ["172.20.0.1"])
    assert "172.21.0.3" not in Inside([], [], ["172.20.0.1", "172.20.0.0/16"])

"""Tolerance rules on edits (`format.md` 8.5): each word quiets what it says, and not its neighbour."""

from __future__ import annotations

import json
from dataclasses import replace
from fnmatch import fnmatchcase

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clnrm_nb.diff import DiffOptions, compare
from clnrm_nb.diff.rules import Rule
from clnrm_nb.patterns import EndlessError
from clnrm_nb.spans.model import Event, Link, Resource, Scope, Span
from clnrm_nb.spans.table import SpanTable

API, DB = Resource({"service.name": "api", "zone": "a1"}), Resource({"service.name": "db", "zone": "d1"})


def span(span_id, name, parent=None, start=0, **values):
    values = {"resource": API, "scope": Scope("lib"), "end_ns": start + 10, **values}
    return Span("t", span_id, name, parent_span_id=parent, start_ns=start, **values)


def shop():
    """checkout → (cart → read, pay → (charge, mail))."""
    return {
        one.span_id: one
        for one in (
            span("1", "checkout", attributes={"user": "ada", "http.id": "req-1 ok"}, kind="server"),
            span("2", "cart", "1", 1, attributes={"items": 3, "http.id": "req-7 ok"}),
            span("3", "read", "2", 2, attributes={"rows": 3, "table": "cart"}, resource=DB),
            span("4", "pay", "1", 3, attributes={"amount": 12.5}, events=(Event("retry", 4, {"n": 1}),)),
            span("5", "charge", "4", 4, attributes={"card": "visa", "argv": ["pay", "k1"]}),
            span("6", "mail", "4", 5, attributes={"to": "ada@example.com"}, links=(Link("t", "3", {}),)),
        )
    }


def changed(spans, span_id, **values):
    return {**spans, span_id: replace(spans[span_id], **values)}


def with_attributes(spans, span_id, **values):
    known = spans[span_id].attributes
    return changed(spans, span_id, attributes={**known, **values})


def rule(word, *value, rule_id="r7", origin="project", present=False, **select):
    return Rule(rule_id, "because", select, word, *(value or (True,)), present=present, origin=origin)


def diff_of(before, after, *rules, **options):
    return compare(
        SpanTable(before.values()), SpanTable(after.values()), options=DiffOptions(rules=rules, **options)
    )


def counted(before, after, *rules, **options):
    return [(edit.op, edit.key) for edit in diff_of(before, after, *rules, **options).counted]


def quieted(before, after, *rules, **options):
    return diff_of(before, after, *rules, **options).quieted


# ------------------------------------------------------------------------------------------------ values


def test_a_quieted_edit_is_listed_under_its_rule_and_leaves_its_span_the_same():
    after = with_attributes(shop(), "2", items=4)

    diff = diff_of(shop(), after, rule("ignore", key="items"))

    (edit,) = diff.edits
    assert (edit.counted, edit.rule, edit.reason) == (False, "r7", "because")
    assert diff.is_same
    assert diff.totals["same"] == len(shop())
    assert diff.quieted == diff.matched == {"r7": 1}


def test_rules_change_no_digest():
    after = with_attributes(shop(), "2", items=4)

    with_rule, without = diff_of(shop(), after, rule("ignore", key="items")), diff_of(shop(), after)

    assert with_rule.certified
    assert with_rule.baseline_digest != with_rule.trace_digest
    assert (with_rule.baseline_digest, with_rule.trace_digest) == (
        without.baseline_digest,
        without.trace_digest,
    )


def test_ignore_is_about_its_key_and_no_other():
    after = with_attributes(shop(), "1", user="bob", **{"http.id": "req-2 ok"})

    assert counted(shop(), after, rule("ignore", key="http.*")) == [("attr~", "user")]


def test_ignore_quiets_a_key_that_comes_or_goes():
    before = changed(shop(), "2", attributes={"items": 3})

    assert counted(before, with_attributes(before, "2", new=1), rule("ignore", key="new")) == []
    assert counted(with_attributes(before, "2", new=1), before, rule("ignore", key="new")) == []


def test_present_still_demands_the_key():
    before = with_attributes(shop(), "2", token="x")
    demanding = rule("ignore", key="token", present=True)

    assert counted(before, with_attributes(shop(), "2", token="y"), demanding) == []
    assert counted(before, shop(), demanding) == [("attr-", "token")]
    assert counted(shop(), before, demanding) == []


@pytest.mark.parametrize(
    ("new", "is_quiet"),
    [("req-2 ok", True), ("req-999 ok", True), ("req-2 no", False), ("req- ok", False), ("req-1 ok!", False)],
)
def test_a_template_quiets_what_differs_inside_its_regex_only(new, is_quiet):
    after = with_attributes(shop(), "1", **{"http.id": new})

    found = quieted(shop(), after, rule("template", "req-[0-9]+", key="http.id"))

    assert found == ({"r7": 1} if is_quiet else {})


def test_a_template_without_a_key_is_about_names_and_messages_too():
    before = changed(shop(), "5", name="charge 17", status_code="error", status_message="after 5 ms")
    after = changed(shop(), "5", name="charge 18", status_code="error", status_message="after 6 ms")

    assert counted(before, after) == [("rename", None), ("status", None)]
    assert counted(before, after, rule("template", "[0-9]+")) == []
    assert counted(before, after, rule("template", "[0-9]+", key="*")) == [("rename", None), ("status", None)]


def test_a_regex_that_takes_re_for_ever_ends_soon():
    before = with_attributes(shop(), "1", **{"http.id": "a" * 100_000 + "!"})
    after = with_attributes(shop(), "1", **{"http.id": "a" * 100_000 + "?"})

    assert counted(before, after, rule("template", "(a+)+$", key="http.id")) == [("attr~", "http.id")]
    assert counted(before, after, rule("template", "(a+)+.$", key="http.id")) == []


def test_a_rule_whose_regex_might_never_end_is_named():
    before = with_attributes(shop(), "1", **{"http.id": "a" * 2_000 + "!"})
    after = with_attributes(shop(), "1", **{"http.id": "a" * 2_000 + "?"})

    with pytest.raises(EndlessError, match=r"rule `r7`: the regular expression .* 2,001 characters"):
        diff_of(before, after, rule("template", "(a{1,999}){1,999}$", key="http.id"))


def test_a_status_code_is_hidden_only_by_a_rule_that_spells_it_out():
    after = changed(shop(), "5", status_code="error")

    for harmless in (rule("ignore"), rule("ignore", key="*"), rule("ignore", key="status.*")):
        assert counted(shop(), after, harmless) == [("status", None)]
    assert counted(shop(), after, rule("ignore", key="status.code")) == []


def test_a_kind_is_hidden_only_by_a_rule_that_spells_it_out():
    after = changed(shop(), "5", kind="client")

    for harmless in (
        rule("ignore"),
        rule("ignore", key="*"),
        rule("template", "[a-z]+"),
        rule("ignore", key="kind"),
    ):
        assert counted(shop(), after, harmless) == [("kind", None)]
    assert counted(shop(), after, rule("ignore", key="span.kind", span="charge")) == []
    assert counted(shop(), after, rule("ignore", key="span.kind", span="cart")) == [("kind", None)]


@pytest.mark.parametrize(
    ("kinds", "is_quiet"), [(["internal", "client"], True), (["internal", "server"], False)]
)
def test_a_list_of_kinds_allows_those_alone(kinds, is_quiet):
    after = changed(shop(), "5", kind="client")

    assert quieted(shop(), after, rule("one_of", kinds, key="span.kind")) == ({"r7": 1} if is_quiet else {})


def test_a_status_message_has_a_key_of_its_own():
    before = changed(shop(), "5", status_code="error", status_message="a")
    after = changed(shop(), "5", status_code="error", status_message="b")
    worse = changed(shop(), "5", status_code="ok", status_message="b")

    assert counted(before, after, rule("ignore", key="status.message")) == []
    assert counted(before, worse, rule("ignore", key="status.message")) == [("status", None)]


@pytest.mark.parametrize(
    ("word", "value", "new", "is_quiet"),
    [
        ("one_of", [3, 4], 4, True),
        ("one_of", [3, 4.0], 4, True),
        ("one_of", [3, 4], 5, False),
        ("one_of", [3, "4"], 4, False),
        ("one_of", [True], 1, False),
        ("range", [1, 9], 9, True),
        ("range", [1, 9], 9.5, False),
        ("range", [1, 9], True, False),
        ("range", [1, 9], "4", False),
        ("tolerance", {"abs": 1}, 4, True),
        ("tolerance", {"abs": 1}, 5, False),
        ("tolerance", {"rel": 0.5}, 4.5, True),
        ("tolerance", {"rel": 0.5}, 4.6, False),
        ("tolerance", {"abs": 0.1, "rel": 0.0}, 3.1, True),
        ("tolerance", {"abs": 0.1}, "3", False),
    ],
)
def test_values_are_allowed_by_what_the_run_has(word, value, new, is_quiet):
    after = with_attributes(shop(), "2", items=new)

    assert bool(quieted(shop(), after, rule(word, value, key="items"))) is is_quiet


def test_a_decimal_at_its_bound_is_within_it():
    """1.1 - 1.0 is more than 0.1 in binary."""
    before, after = (with_attributes(shop(), "4", amount=amount) for amount in (1.0, 1.1))

    assert counted(before, after, rule("tolerance", {"abs": 0.1}, key="amount")) == []


def test_words_of_values_do_not_hide_a_key_that_went():
    after = changed(shop(), "2", attributes={"http.id": "req-7 ok"})

    for one in (rule("one_of", [3], key="items"), rule("range", [0, 9], key="items"), rule("template", ".*")):
        assert counted(shop(), after, one) == [("attr-", "items")]


def test_members_of_arrays_and_maps_go_by_a_path():
    before = with_attributes(shop(), "5", argv=["pay", "k1"], env={"id": "7", "mode": "a"})
    after = with_attributes(shop(), "5", argv=["pay", "k2"], env={"id": "8", "mode": "a"})
    worse = with_attributes(shop(), "5", argv=["buy", "k2"], env={"id": "8", "mode": "b"})
    rules = (rule("ignore", key="env.id"), rule("template", "k[0-9]", rule_id="r8", key="argv"))

    assert counted(before, after, *rules) == []
    assert counted(before, worse, *rules) == [("attr~", "argv"), ("attr~", "env")]


def test_attributes_of_events_go_by_their_key_and_by_the_events():
    after = changed(shop(), "4", events=(Event("retry", 4, {"n": 2}),))

    for key in ("n", "retry.n", "retry"):
        assert counted(shop(), after, rule("ignore", key=key)) == []
    assert counted(shop(), after, rule("ignore", key="other.n")) == [("event~", "retry")]


def test_an_event_or_a_link_that_comes_or_goes_is_named_by_its_key():
    after = changed(shop(), "4", events=())
    unlinked = changed(shop(), "6", links=())
    (link,) = diff_of(shop(), unlinked).counted

    assert counted(shop(), after, rule("ignore", key="retry")) == []
    assert counted(shop(), after, rule("ignore", span="pay")) == [("event-", "retry")]
    assert counted(shop(), unlinked, rule("ignore", key=link.key)) == []


def test_a_resource_is_about_all_its_spans():
    new = Resource({"service.name": "api", "zone": "a2"})
    after = {key: replace(one, resource=new) if one.resource is API else one for key, one in shop().items()}

    assert counted(shop(), after, rule("ignore", key="zone", service="api")) == []
    assert counted(shop(), after, rule("ignore", key="zone", span="pay")) == [("resource~", "zone")]
    assert counted(shop(), after, rule("ignore", key="zone", service="db")) == [("resource~", "zone")]


def test_redact_quiets_as_a_template_and_shows_nothing_of_it():
    after = with_attributes(shop(), "1", user="bob", **{"http.id": "req-2 ok"})

    diff = diff_of(shop(), after, rule("redact", "req-[0-9]+|ada|bob"))

    assert diff.is_same
    shown = json.dumps(diff.to_json())
    assert "<redacted:r7> ok" in shown
    assert not any(secret in shown for secret in ("req-1", "req-2", "ada", "bob"))


def test_volatile_values_that_count_by_settings_can_be_quieted_one_by_one():
    old, new = (Resource({"service.name": "db", "process.pid": n, "host.name": f"h{n}"}) for n in (1, 2))
    before, after = (changed(shop(), "3", resource=one) for one in (old, new))

    assert counted(before, after) == []
    assert counted(before, after, volatile_defaults=False) == [
        ("resource~", "host.name"),
        ("resource~", "process.pid"),
    ]
    kept = rule("ignore", key="process.*")
    assert counted(before, after, kept, volatile_defaults=False) == [("resource~", "host.name")]


def test_redacted_text_is_equal_to_what_it_stands_for():
    """A baseline accepted before the rule holds the text, the run no more."""
    after = with_attributes(shop(), "1", **{"http.id": "<redacted:r7> ok"})

    assert counted(shop(), after, rule("redact", "req-[0-9]+", key="http.id")) == []


# --------------------------------------------------------------------------------------------- structure


def retries(count, **of_last):
    tries = [
        span(f"t{n}", "try", "1", 10 + n, attributes=of_last if n == count - 1 else {}) for n in range(count)
    ]
    return {**shop(), **{one.span_id: one for one in tries}}


@pytest.mark.parametrize(
    ("before", "after", "bounds", "is_quiet"),
    [
        (1, 3, "1..3", True),
        (1, 4, "1..3", False),
        (3, 1, "1..3", True),
        (1, 0, "1..3", False),
        (1, 0, "0..3", True),
        (0, 1, "1..", True),
        (3, 2, 2, True),
        (3, 1, "..1", True),
    ],
)
def test_count_allows_a_number_of_siblings_in_the_run(before, after, bounds, is_quiet):
    found = counted(retries(before), retries(after), rule("count", bounds, span="try"))

    assert (found == []) is is_quiet


def test_count_is_about_the_siblings_of_one_parent_and_of_one_label():
    after = {**retries(2), "x": span("x", "try", "4", 20), "y": span("y", "cry", "1", 21)}

    found = counted(retries(1), after, rule("count", "1..2", span="?ry", path="checkout/?ry"))

    assert found == [("insert", None)], "the one under pay has another path"


def test_count_holds_for_siblings_that_differ():
    assert counted(retries(1), retries(3, error="late"), rule("count", "1..3", span="try")) == []
    assert counted(retries(1), retries(4, error="late"), rule("count", "1..3", span="try")) != []


def test_optional_is_a_subtree_that_may_be_there():
    without = {key: one for key, one in shop().items() if key not in ("4", "5", "6")}
    maybe = rule("optional", span="pay")

    assert counted(shop(), without, maybe) == []
    assert counted(without, shop(), maybe) == []
    assert counted(shop(), without, rule("optional", span="charge")) == [("delete", None)]


def test_optional_is_no_leave_for_a_second_one():
    before, after = retries(1), retries(2)

    assert counted(before, after, rule("optional", span="try")) == [("count", None)]


def test_the_spans_of_a_quieted_subtree_keep_their_status():
    without = {key: one for key, one in shop().items() if key not in ("4", "5", "6")}

    assert diff_of(shop(), without, rule("optional", span="pay")).totals["missing"] == 3


def test_optional_is_about_a_span_between_too():
    between = {**shop(), "w": span("w", "proxy", "1", 3)}
    between = changed(changed(between, "4", parent_span_id="w"), "2", parent_span_id="w")

    assert counted(shop(), between) == [("wrap", None)]
    assert counted(shop(), between, rule("optional", span="proxy")) == []
    assert counted(between, shop(), rule("optional", span="proxy")) == []
    assert counted(shop(), between, rule("optional", span="pay")) == [("wrap", None)]


def test_any_parent_lets_its_spans_move_and_no_others():
    moved = changed(shop(), "6", parent_span_id="2")

    assert counted(shop(), moved) == [("move", None)]
    assert counted(shop(), moved, rule("any_parent", span="mail")) == []
    assert counted(shop(), moved, rule("any_parent", span="charge")) == [("move", None)]


# --------------------------------------------------------------------------------------------- renames


def test_an_alias_renames_a_span_a_scope_a_service_or_a_key():
    renamed = changed(shop(), "5", name="debit")
    scoped = changed(shop(), "5", scope=Scope("lib2"))
    served = changed(shop(), "3", resource=Resource({"service.name": "store", "zone": "d1"}))
    keyed = changed(shop(), "3", attributes={"n": 3, "table": "cart"})

    assert counted(shop(), renamed, rule("alias", "debit", span="charge")) == []
    assert counted(shop(), scoped, rule("alias", "lib2", scope="lib")) == []
    assert counted(shop(), served, rule("alias", "store", service="db")) == []
    assert counted(shop(), keyed, rule("alias", "n", key="rows")) == []
    for after in (renamed, scoped, served, keyed):
        assert counted(shop(), after, rule("alias", "other", span="charge")) != []


def test_an_alias_holds_in_both_directions_and_for_its_own_two_names_only():
    renamed, other = changed(shop(), "5", name="debit"), changed(shop(), "5", name="take")
    one = rule("alias", "debit", span="charge")

    assert counted(renamed, shop(), one) == []
    assert counted(shop(), other, one) == [("rename", None)]


def test_an_alias_of_a_key_holds_where_only_some_spans_have_the_new_one():
    def keyed(*spans):
        found = shop()
        for one in ("2", "4", "5"):
            found = with_attributes(found, one, **{"new" if one in spans else "old": "v"})
        return found

    assert sorted(counted(keyed(), keyed("2"))) == [("attr+", "new"), ("attr-", "old")]
    assert counted(keyed(), keyed("2"), rule("alias", "new", key="old")) == []
    assert counted(keyed(), with_attributes(keyed("2"), "2", new="w"), rule("alias", "new", key="old")) != []


def test_an_alias_of_a_whole_key_is_one_edit():
    before, after = (
        {one: replace(each, attributes={key: one}) for one, each in shop().items()} for key in ("old", "new")
    )

    assert counted(before, after) == [("attr~", "old → new")]
    assert counted(before, after, rule("alias", "new", key="old")) == []


# ---------------------------------------------------------------------------------------------- checks


def test_a_duration_counts_where_a_rule_asks_and_both_bounds_are_passed():
    slow = changed(shop(), "4", end_ns=shop()["4"].start_ns + 3_000_000)

    def asked(**bounds):
        return counted(shop(), slow, rule("duration", bounds, span="pay"))

    assert counted(shop(), slow) == []
    assert asked(ratio=2.0, floor_ms=1) == [("duration", None)]
    assert asked(ratio=2.0, floor_ms=50) == []
    assert asked(ratio=1e9, floor_ms=1) == []
    assert counted(shop(), slow, rule("duration", {"ratio": 2}, span="cart")) == []
    (edit,) = diff_of(shop(), slow, rule("duration", {"ratio": 2}, span="pay")).counted
    assert (edit.rule, edit.reason) == ("r7", "because")


def test_the_bounds_of_a_rule_stand_before_those_of_the_settings():
    slow = {key: replace(one, end_ns=one.start_ns + 9_000_000) for key, one in shop().items()}

    found = diff_of(
        shop(), slow, rule("duration", {"ratio": 2, "floor_ms": 50}, span="pay"), ignore_timestamps=False
    )

    assert len(found.counted) == len(shop()) - 1


def test_order_counts_under_the_parents_a_rule_selects():
    swapped = changed(shop(), "5", start_ns=5, end_ns=15)
    swapped = changed(swapped, "6", start_ns=4, end_ns=14)

    assert counted(shop(), swapped) == []
    assert counted(shop(), swapped, rule("order", span="pay")) == [("order", None)]
    assert counted(shop(), swapped, rule("order", span="checkout")) == []


# ------------------------------------------------------------------------------------- which rule decides


def test_the_rule_with_most_selectors_decides_alone():
    after = with_attributes(shop(), "2", items=40)
    wide, narrow = rule("ignore", key="*"), rule("range", [1, 9], rule_id="r8", key="items", span="cart")

    assert counted(shop(), after, wide) == []
    assert counted(shop(), after, wide, narrow) == [("attr~", "items")]
    assert diff_of(shop(), after, wide, narrow).matched == {"r8": 1}


def test_then_the_longest_text_and_then_the_scenario_file():
    after = with_attributes(shop(), "2", items=4)
    short, long = rule("one_of", [9], rule_id="a", key="*"), rule("ignore", rule_id="b", key="it*")
    ours = rule("ignore", rule_id="c", origin="scenario", key="item?")
    theirs = rule("one_of", [9], rule_id="d", key="item*")

    assert quieted(shop(), after, short, long) == {"b": 1}
    assert quieted(shop(), after, theirs, ours) == {"c": 1}


def test_the_order_in_which_rules_are_given_means_nothing():
    after = with_attributes(shop(), "2", items=4)
    rules = [rule("ignore", rule_id=name, key="items") for name in "abc"]

    assert quieted(shop(), after, *rules) == quieted(shop(), after, *reversed(rules)) == {"c": 1}


@pytest.mark.parametrize(
    ("select", "is_quiet"),
    [
        ({"service": "api", "scope": "l*", "kind": "internal", "span": "c?rt", "path": "*/cart"}, True),
        ({"service": "db"}, False),
        ({"scope": "other"}, False),
        ({"kind": "server"}, False),
        ({"span": "cart*", "kind": "client"}, False),
        ({"path": "cart"}, False),
        ({"path": "checkout/cart"}, True),
        ({"span": "CART"}, False),
    ],
)
def test_all_selectors_must_match(select, is_quiet):
    after = with_attributes(shop(), "2", items=4)

    assert bool(quieted(shop(), after, rule("ignore", key="items", **select))) is is_quiet


def test_settings_ignore_keys_of_events_and_resources_too_and_yield_to_rules():
    after = changed(with_attributes(shop(), "2", items=4), "4", events=(Event("retry", 4, {"n": 2}),))

    assert counted(shop(), after, ignore_attributes=("items", "n")) == []
    assert counted(
        shop(), after, rule("range", [8, 9], key="items", span="cart"), ignore_attributes=("items", "n")
    ) == [("attr~", "items")]


# ------------------------------------------------------------------------------------------------ laws

NAMES, KEYS = ["a", "b"], ["x", "y"]
INVERSE = {"insert": "delete", "wrap": "unwrap", "attr+": "attr-", "resource+": "resource-"}
INVERSE |= {back: forth for forth, back in INVERSE.items()}


@st.composite
def traces(draw):
    size = draw(st.integers(1, 7))
    return {
        f"s{n}": span(
            f"s{n}",
            draw(st.sampled_from(NAMES)),
            None if n == 0 else f"s{draw(st.integers(0, n - 1))}",
            n,
            attributes=draw(st.dictionaries(st.sampled_from(KEYS), st.integers(0, 3), max_size=2)),
            resource=draw(st.sampled_from([API, DB])),
        )
        for n in range(size)
    }


@st.composite
def rules_of_any_word(draw):
    word, value = draw(
        st.sampled_from(
            [
                ("ignore", True), ("one_of", [0, 1]), ("range", [1, 2]), ("tolerance", {"abs": 1}),
                ("template", "a"), ("count", "1..2"), ("optional", True), ("any_parent", True),
            ]
        )
    )  # fmt: skip
    select = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "service": st.sampled_from(["api", "d?"]),
                "span": st.sampled_from(["a", "[!a]", "*"]),
                "path": st.sampled_from(["a/*", "*b"]),
                "key": st.sampled_from(["x", "*"]),
            },
        )
    )
    return rule(word, value, rule_id=f"r{draw(st.integers(0, 9))}", **select)


def described(diff):
    return [
        (e.edit_id, e.op, e.path, e.baseline_path, e.key, repr(e.baseline), repr(e.current), e.cost)
        for e in sorted(diff.edits, key=lambda edit: edit.edit_id)
    ]


def concerns(one, edit, before, after):
    """Written anew: whether every span of an edit is one the rule selects, as it was or as it is."""
    select = one.select
    paths = [path for path in (edit.baseline_path, edit.path) if path]
    names = {path.rpartition("/")[2] for path in paths}
    if len(edit.baseline_spans) > 1 and len(edit.current_spans) > 1:
        return True
    if "span" in select and not any(fnmatchcase(name, select["span"]) for name in names):
        return False
    if "path" in select and not any(fnmatchcase(path, select["path"]) for path in paths):
        return False
    is_keyed = edit.op.startswith(("attr", "resource"))
    return not ("key" in select and is_keyed and not fnmatchcase(edit.key, select["key"]))


@given(traces(), traces(), st.lists(rules_of_any_word(), max_size=4))
@settings(max_examples=150, deadline=None)
def test_rules_take_no_edit_away_and_quiet_none_that_they_do_not_select(before, after, rules):
    plain, ruled = diff_of(before, after), diff_of(before, after, *rules)

    assert described(plain) == described(ruled)
    assert (plain.baseline_digest, plain.trace_digest) == (ruled.baseline_digest, ruled.trace_digest)
    assert ruled.is_same == (not ruled.counted)
    for edit in ruled.edits:
        if not edit.counted and edit.rule != "volatile":
            assert any(one.id in edit.rule and concerns(one, edit, before, after) for one in rules)


@given(traces(), traces(), st.lists(rules_of_any_word(), max_size=4))
@settings(max_examples=60, deadline=None)
def test_with_rules_too_the_diff_of_the_sides_exchanged_is_the_inverse(before, after, rules):
    forth, back = diff_of(before, after, *rules), diff_of(after, before, *rules)

    assert sorted((INVERSE.get(e.op, e.op), repr(e.current), repr(e.baseline)) for e in back.edits) == sorted(
        (e.op, repr(e.baseline), repr(e.current)) for e in forth.edits
    )

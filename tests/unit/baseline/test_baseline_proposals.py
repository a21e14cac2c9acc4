"""Rules proposed from edits, and learnt from runs: each quiets what it was made of, and holds nowhere else."""

from __future__ import annotations

import pytest

from clnrm_nb.baseline.learning import learn
from clnrm_nb.baseline.proposals import propose
from clnrm_nb.diff import DiffOptions, compare
from clnrm_nb.spans.model import Event, Resource, Scope, Span
from clnrm_nb.spans.table import SpanTable

API = {"service.name": "api"}


class Tree:
    """Spans by name; built in one expression, ids of its own."""

    def __init__(self, name="root", *below, service="api", scope="lib", resource=(), **values):
        self.name, self.below, self.values = name, below, values
        self.resource = Resource({"service.name": service, **dict(resource)})
        self.scope = Scope(scope)

    def table(self):
        table, todo = SpanTable(), [(self, None)]
        while todo:
            tree, parent = todo.pop()
            span_id = f"{len(table) + 1:016x}"
            table.append(
                Span(
                    "1" * 32,
                    span_id,
                    tree.name,
                    parent,
                    resource=tree.resource,
                    scope=tree.scope,
                    **tree.values,
                )
            )
            todo.extend((child, span_id) for child in reversed(tree.below))
        return table


def leaf(name="leaf", **values):
    return Tree(name, **values)


def attributes(**values):
    return Tree("root", leaf("leaf", attributes=values), leaf("other", attributes={"rows": 1}))


CASES = {
    "number": (attributes(rows=2), attributes(rows=9), ["range", "range", "ignore"]),
    "near": (attributes(rows=100), attributes(rows=102), ["range", "tolerance", "ignore"]),
    "id in text": (attributes(k="req-1234"), attributes(k="req-9876"), ["template", "ignore"]),
    "words": (attributes(k="red"), attributes(k="blue"), ["one_of", "ignore"]),
    "attribute gone": (attributes(rows=2, k=1), attributes(rows=2), ["ignore"]),
    "attribute new": (attributes(rows=2), attributes(rows=2, k=1), ["ignore"]),
    "retry": (Tree("root", leaf()), Tree("root", leaf(), leaf(), leaf()), ["count", "count", "count"]),
    "other sibling": (
        Tree("root", leaf(attributes={"n": 1})),
        Tree("root", leaf(attributes={"n": 1}), leaf(attributes={"n": 2})),
        ["count", "count", "count"],
    ),
    "new subtree": (Tree("root"), Tree("root", Tree("miss", leaf())), ["optional"]),
    "gone subtree": (Tree("root", Tree("miss", leaf())), Tree("root"), ["optional"]),
    "came between": (
        Tree("root", Tree("a", leaf("x"), leaf("y"))),
        Tree("root", Tree("mid", Tree("a", leaf("x"), leaf("y")))),
        ["optional"],
    ),
    "moved": (
        Tree("root", Tree("a", Tree("m", leaf("x"), leaf("y"))), leaf("b")),
        Tree("root", Tree("a"), Tree("b", Tree("m", leaf("x"), leaf("y")))),
        ["any_parent"],
    ),
    "renamed": (
        Tree("root", Tree("load", leaf("x"), leaf("y"))),
        Tree("root", Tree("fetch", leaf("x"), leaf("y"))),
        ["alias"],
    ),
    "renamed by a number": (
        Tree("root", Tree("GET /1234", leaf("x"), leaf("y"))),
        Tree("root", Tree("GET /9876", leaf("x"), leaf("y"))),
        ["template", "alias"],
    ),
    "service": (
        Tree("root", leaf("x", service="db-old"), leaf("y", service="db-old")),
        Tree("root", leaf("x", service="db"), leaf("y", service="db")),
        ["alias"],
    ),
    "scope": (Tree("root", leaf(scope="a")), Tree("root", leaf(scope="b")), ["alias"]),
    "key": (
        Tree("root", *(leaf(f"l{n}", attributes={"http.method": "GET"}) for n in range(3))),
        Tree("root", *(leaf(f"l{n}", attributes={"http.request.method": "GET"}) for n in range(3))),
        ["alias"],
    ),
    "status message": (
        Tree("root", leaf(status_code="error", status_message="timeout after 812 ms")),
        Tree("root", leaf(status_code="error", status_message="timeout after 1305 ms")),
        ["template", "ignore"],
    ),
    "kind": (Tree("root", leaf(kind="client")), Tree("root", leaf(kind="server")), ["one_of", "ignore"]),
    "status": (Tree("root", leaf()), Tree("root", leaf(status_code="error")), ["one_of", "ignore"]),
    "event attribute": (
        Tree("root", leaf(events=(Event("sent", None, {"id": "aa11bb22"}),))),
        Tree("root", leaf(events=(Event("sent", None, {"id": "cc33dd44"}),))),
        ["template", "ignore"],
    ),
    "event": (Tree("root", leaf()), Tree("root", leaf(events=(Event("sent", None, {}),))), ["ignore"]),
    "resource": (
        Tree("root", leaf(resource={"pod": "api-7d9f41"}), resource={"pod": "api-7d9f41"}),
        Tree("root", leaf(resource={"pod": "api-8c0e52"}), resource={"pod": "api-8c0e52"}),
        ["template", "ignore"],
    ),
}


def proposed(before, after):
    diff = compare(before.table(), after.table())
    (cause,) = diff.causes[:1]
    edits = [edit for edit in diff.counted if edit.cause_id == cause.cause_id]
    return diff, propose(edits, diff, scenario="main")


@pytest.mark.parametrize("name", CASES)
def test_every_kind_of_difference_has_its_rules_narrowest_first(name):
    before, after, words = CASES[name]

    _, found = proposed(before, after)

    assert [one.rule.word for one in found] == words


@pytest.mark.parametrize("name", CASES)
def test_each_proposed_rule_quiets_the_difference_it_was_made_of(name):
    before, after, _ = CASES[name]
    diff, found = proposed(before, after)

    for one in found:
        again = compare(before.table(), after.table(), options=DiffOptions(rules=(one.rule,)))
        assert len(again.counted) < len(diff.counted), one.rule


def test_a_rule_holds_for_that_span_and_key_alone():
    _, found = proposed(attributes(rows=2), attributes(rows=9))
    elsewhere = Tree("root", leaf("leaf", attributes={"rows": 2}), leaf("other", attributes={"rows": 5}))

    for one in found:
        options = DiffOptions(rules=(one.rule,))
        assert compare(attributes(rows=2).table(), elsewhere.table(), options=options)


def test_names_with_signs_of_globs_are_taken_literally():
    def named(rows):
        return Tree("root", leaf("GET /[id]*", attributes={"rows": rows}))

    _, found = proposed(named(1), named(2))

    assert not compare(named(1).table(), named(2).table(), options=DiffOptions(rules=(found[0].rule,)))
    assert found[0].rule.select["span"] == "GET /[[]id][*]"


def test_one_rule_is_made_of_a_cause_in_many_places():
    def many(value):
        return Tree("root", *(leaf(f"leaf {n}", attributes={"plan": value}) for n in range(4)))

    diff, found = proposed(many("free"), many("pro"))

    assert len(diff.counted) == 4
    assert not compare(many("free").table(), many("pro").table(), options=DiffOptions(rules=(found[0].rule,)))


def test_the_same_difference_gives_a_rule_of_the_same_id():
    before, after, _ = CASES["number"]

    assert proposed(before, after)[1][0].rule.id == proposed(before, after)[1][0].rule.id


# ------------------------------------------------------------------------------------------- learning


def learnt(*runs, reference=None, options=None):
    tables = [run.table() for run in runs]
    return learn(tables, reference.table() if reference else None, options=options or DiffOptions())


def words_of(lesson):
    return [(one.proposal.rule.word, one.proposal.rule.value) for one in lesson.learnt]


def test_runs_that_do_not_differ_teach_nothing():
    lesson = learnt(*[attributes(rows=2)] * 5)

    assert (lesson.runs, lesson.differing, lesson.learnt) == (4, 0, ())


def test_a_number_that_is_another_each_time_may_be_beyond_what_was_seen():
    lesson = learnt(*(attributes(rows=n) for n in (10, 40, 22, 31, 15)))

    ((word, (low, high)),) = words_of(lesson)
    assert word == "range"
    assert low == 0
    assert high > 40


def test_five_words_are_not_taken_for_all_there_are():
    assert words_of(learnt(*(attributes(k=word) for word in ("red", "blue", "red", "blue", "red")))) == [
        ("ignore", True)
    ]


def test_many_values_of_two_words_are_a_set():
    runs = [Tree("root", *(leaf(f"l{n}", attributes={"k": k}) for n in range(6))) for k in ("on", "off") * 3]

    assert ("one_of", ["off", "on"]) in words_of(learnt(*runs))


def test_a_flag_has_two_values_however_often_it_was_seen():
    assert words_of(learnt(attributes(k=True), attributes(k=True), attributes(k=False))) == [
        ("one_of", [False, True])
    ]


def test_retries_may_be_one_more_than_was_seen():
    runs = [Tree("root", *[leaf()] * n) for n in (1, 2, 2, 3, 1)]

    assert words_of(learnt(*runs)) == [("count", "1..4")]


def test_a_subtree_that_is_there_in_some_runs_is_optional():
    there, gone = Tree("root", Tree("miss", leaf())), Tree("root")

    assert words_of(learnt(gone, there, gone, there, gone)) == [("optional", True)]


def test_an_optional_subtree_is_optional_only_where_it_was_seen():
    def run(*misses):
        return Tree("root", *(Tree(f"get {n}", *[leaf("miss")] * n_miss) for n, n_miss in enumerate(misses)))

    lesson = learnt(run(1, 0), run(0, 0), run(0, 1), run(1, 1))
    (rule,) = [one.proposal.rule for one in lesson.learnt if one.proposal.rule.word == "optional"]
    elsewhere = Tree("root", Tree("get 0"), Tree("get 1"), leaf("miss"))

    assert compare(run(0, 0).table(), elsewhere.table(), options=DiffOptions(rules=(rule,)))


def test_what_rules_allow_already_is_not_learnt_again():
    runs = [attributes(rows=n) for n in (10, 40, 22)]
    known = tuple(one.proposal.rule for one in learnt(*runs).learnt)

    assert learnt(*runs, options=DiffOptions(rules=known)).learnt == ()


def test_a_kind_that_changes_from_run_to_run_is_learnt():
    kinds = ("client", "server") * 11
    lesson = learnt(*(Tree("root", leaf(kind=kind)) for kind in kinds))

    ((rule, left),) = [(one.proposal.rule, lesson.left) for one in lesson.learnt]
    assert (rule.word, rule.value, rule.select["key"]) == ("one_of", ["client", "server"], "span.kind")
    assert left == ()


def test_one_key_on_many_kinds_of_span_is_one_rule():
    def run(number):
        return Tree(
            "root", *(leaf(f"l{n}", attributes={"id": f"{number * 7919 + n:016x}"}) for n in range(3))
        )

    lesson = learnt(*(run(10**9 * n + n) for n in range(1, 6)))

    assert [dict(one.proposal.rule.select) for one in lesson.learnt] == [{"service": "api", "key": "id"}]


def test_rules_learnt_from_runs_let_those_runs_pass():
    runs = [
        Tree("root", *[leaf(attributes={"id": f"req-{n * 1117}", "rows": n * n})] * (n % 3 + 1))
        for n in range(6)
    ]

    rules = tuple(one.proposal.rule for one in learnt(*runs).learnt)

    for run in runs[1:]:
        assert not compare(runs[0].table(), run.table(), options=DiffOptions(rules=rules))


def test_one_span_less_and_another_one_more_are_not_learnt_as_a_new_name():
    """Two things that come and go on their own were once told as one span that moved and was renamed."""

    def run(charges, misses):
        return Tree("root", Tree("cart", *[leaf("query")] * misses), *[leaf("charge")] * charges)

    runs = [run(2, 0), run(1, 1), run(2, 1), run(1, 0), run(2, 0), run(1, 1)]

    lesson = learnt(*runs)

    rules = tuple(one.proposal.rule for one in lesson.learnt)
    assert {rule.word for rule in rules} == {"count", "optional"}
    for seen in (*runs, run(3, 1)):
        assert not compare(runs[0].table(), seen.table(), options=DiffOptions(rules=rules))


def test_what_may_not_come_is_not_let_in_as_a_new_name_of_what_may_go():
    def run(name):
        return Tree("root", leaf("a"), *([leaf(name)] if name else []))

    rules = tuple(one.proposal.rule for one in learnt(run("miss"), run(None), run("miss"), run(None)).learnt)

    assert compare(run("miss").table(), run("other").table(), options=DiffOptions(rules=rules))

"""What is validated, run and cancelled after changes."""

from __future__ import annotations

from clnrm_nb.watch import Change, Facts, Graph, Planner


def planner(**options):
    graph = Graph()
    graph.put(Facts("a", "/p/a.clnrm.toml", templates=frozenset({"/p/_m.tera"})))
    graph.put(Facts("b[x=1]", "/p/b.clnrm.toml", templates=frozenset({"/p/_m.tera"})))
    graph.put(Facts("b[x=2]", "/p/b.clnrm.toml"))
    return Planner(graph, **options)


def changed(path, before="1", after="2"):
    return Change(path, before, after)


def test_a_changed_macro_validates_and_runs_exactly_its_dependents():
    plan = planner().trailing([changed("/p/_m.tera")])

    assert list(plan.run) == ["a", "b[x=1]"]
    assert plan.validate == ("/p/a.clnrm.toml", "/p/b.clnrm.toml")
    assert (plan.obsolete, plan.added, plan.removed) == ((), (), ())


def test_only_running_tests_whose_inputs_changed_are_obsolete():
    plan = planner().leading([changed("/p/a.clnrm.toml")], running={"a", "b[x=2]"})

    assert plan.obsolete == ("a",)


def test_a_cancelled_test_runs_even_if_its_file_was_changed_back():
    deciding = planner()
    deciding.leading([changed("/p/a.clnrm.toml")], running={"a"})

    plan = deciding.trailing([])

    assert dict(plan.run) == {"a": ()}
    assert plan.validate == ("/p/a.clnrm.toml",)
    assert not deciding.trailing([])


def test_a_cancelled_test_that_ran_for_another_reason_is_not_owed():
    deciding = planner()
    deciding.leading([changed("/p/a.clnrm.toml")], running={"a"})
    deciding.ran(["a"])

    assert dict(deciding.trailing([]).run) == {}


def test_a_new_scenario_file_is_added_and_validated():
    plan = planner().leading([changed("/p/new.clnrm.toml.tera", before=None)])

    assert plan.added == plan.validate == ("/p/new.clnrm.toml.tera",)
    assert dict(plan.run) == {}


def test_new_libraries_and_files_that_nobody_watches_for_are_not_added():
    plan = planner(counts=lambda path: not path.startswith("/elsewhere")).leading(
        [changed("/p/_lib.clnrm.toml.tera", before=None), changed("/elsewhere/x.clnrm.toml", before=None)]
    )

    assert not plan


def test_a_deleted_scenario_file_is_removed_and_its_running_tests_are_cancelled():
    plan = planner().trailing([changed("/p/b.clnrm.toml", after=None)], running={"b[x=1]"})

    assert plan.removed == ("/p/b.clnrm.toml",)
    assert plan.obsolete == ("b[x=1]",)
    assert dict(plan.run) == {}
    assert plan.validate == ()

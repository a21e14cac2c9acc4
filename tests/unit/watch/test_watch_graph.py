"""Which tests a change concerns, and why."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from clnrm_nb.watch import Change, Facts, Graph, Place, Reason


def changed(path, before="1", after="2", **more):
    return Change(path, before, after, **more)


def graph(*facts, configuration=()):
    built = Graph(frozenset(configuration))
    for one in facts:
        built.put(one)
    return built


def test_each_role_of_a_file_is_a_reason_and_its_sentence_names_file_and_event():
    facts = Facts(
        "t",
        "/p/t.clnrm.toml",
        templates=frozenset({"/p/m.tera"}),
        missing=frozenset({"/p/n.tera"}),
        variables=frozenset({"/p/v.toml"}),
        mounts=frozenset({"/data"}),
        baselines=frozenset({"/p/b.json"}),
        recordings=frozenset({"/p/r.json"}),
    )
    built = graph(facts, configuration=["/p/cleanroom.toml"])

    def why(change):
        ((reason,),) = built.dependents([change]).values()
        return reason.role, reason.sentence()

    assert why(changed("/p/t.clnrm.toml")) == ("scenario", "because /p/t.clnrm.toml changed")
    assert why(changed("/p/m.tera", after=None)) == ("template", "because /p/m.tera is gone")
    assert why(changed("/p/n.tera", before=None)) == ("missing", "because /p/n.tera is there now")
    assert why(changed("/p/v.toml")) == ("variables", "because /p/v.toml changed")
    assert why(changed("/data/deep/x.sql")) == ("mount", "because /data/deep/x.sql changed")
    assert why(changed("/p/b.json")) == ("baseline", "because /p/b.json changed")
    assert why(changed("/p/r.json")) == ("recording", "because /p/r.json changed")
    assert why(changed("/p/cleanroom.toml")) == ("configuration", "because /p/cleanroom.toml changed")


def test_a_neighbour_of_a_mounted_directory_with_the_same_beginning_concerns_nobody():
    built = graph(Facts("t", "/p/t", mounts=frozenset({"/p/data"})))

    assert built.dependents([changed("/p/database/x")]) == {}
    assert list(built.dependents([changed("/p/data")])) == ["t"]


def test_writers_are_tests_for_which_a_file_is_nothing_but_mounted_and_may_be_written_to():
    built = graph(
        Facts("reader", "/p/r.toml", mounts=frozenset({"/p/data"})),
        Facts("writer", "/p/w.toml", mounts=frozenset({"/p/data"}), writable=frozenset({"/p/data"})),
        Facts("whole", "/p/t.toml", mounts=frozenset({"/p"}), writable=frozenset({"/p"})),
    )

    assert built.writers(changed("/p/data/deep/file")) == {"writer", "whole"}
    assert built.writers(changed("/p/t.toml")) == set()
    assert built.writers(changed("/p/w.toml")) == {"whole"}
    assert built.writers(changed("/elsewhere")) == set()


def test_configuration_concerns_every_test_in_their_order():
    built = graph(Facts("b", "/b"), Facts("a", "/a"), configuration=["/c"])

    assert list(built.dependents([changed("/c", before=None)])) == ["b", "a"]


def test_a_symlink_that_leads_elsewhere_concerns_those_who_read_either_file():
    built = graph(
        Facts("old", "/x", templates=frozenset({"/v/1"})), Facts("new", "/y", templates=frozenset({"/v/2"}))
    )

    found = built.dependents([changed("/p/link", targets=("/v/1", "/v/2"))])

    assert found == {
        "old": (Reason("template", "/p/link", "changed"),),
        "new": (Reason("template", "/p/link", "changed"),),
    }


def test_a_change_for_some_readers_concerns_only_them():
    built = graph(*(Facts(test, f"/{test}", templates=frozenset({"/m"})) for test in "abc"))

    assert list(built.dependents([changed("/m", readers=("b",))])) == ["b"]


def test_new_facts_take_the_place_of_old_ones_and_dropped_tests_are_forgotten():
    built = graph(Facts("t", "/t", templates=frozenset({"/old"}), mounts=frozenset({"/data"})))
    built.put(Facts("t", "/t", templates=frozenset({"/new"})))

    assert not built.names("/old")
    assert not built.covers("/data/x")
    assert list(built.dependents([changed("/new")])) == ["t"]
    built.drop("t")
    built.drop("t")
    assert built.paths() == []
    assert built.dependents([changed("/t")]) == {}


def test_places_are_the_directories_of_all_dependencies_and_mounted_directories_whole(tmp_path):
    built = graph(
        Facts("t", "/p/tests/t", missing=frozenset({"/p/nowhere/m"}), mounts=frozenset({str(tmp_path)})),
        configuration=["/p/.clnrm/config.toml"],
    )

    assert built.places() == {
        Place("/p/tests"),
        Place("/p/nowhere"),
        Place("/p/.clnrm"),
        Place(str(tmp_path.parent)),
        Place(str(tmp_path), recursive=True, whole=True),
    }


paths = st.sampled_from([f"/p/{name}" for name in ("a", "b", "d", "d/e", "d/e/f", "g", "g/h")])
several = st.frozensets(paths, max_size=3)
facts = st.builds(
    Facts, st.sampled_from("uvwxyz"), paths, several, several, several, several, several, several
)


@given(
    st.lists(facts, max_size=12), st.lists(st.sampled_from("uvwxyz"), max_size=3), st.sets(paths, max_size=3)
)
def test_exactly_the_dependents_are_found(put, dropped, touched):
    built = Graph()
    model = {}
    for one in put:
        built.put(one)
        if model.get(one.test) != one:
            model.pop(one.test, None)
            model[one.test] = one
    for test in dropped:
        built.drop(test)
        model.pop(test, None)

    found = built.dependents([changed(path) for path in sorted(touched)])

    def depends(one):
        exact = {path for path, _role in one.roles()}
        return any(
            path in exact or any(path.startswith(f"{place}/") for place in one.mounts) for path in touched
        )

    assert list(found) == [test for test, one in model.items() if depends(one)]
    assert all(reasons for reasons in found.values())

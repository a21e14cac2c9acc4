from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clnrm_nb.errors import UsageError
from clnrm_nb.pipeline.select import Shard, Words, select


@dataclass
class Chosen:
    test_id: str
    tags: list[str] = field(default_factory=list)
    scenario_ids: list[str] = field(default_factory=list)


API = Chosen("tests/api.clnrm.toml", ["fast", "http"], ["tests/api.clnrm.toml::checkout"])
DB = Chosen("tests/db.clnrm.toml[engine=pg]", ["slow"], ["tests/db.clnrm.toml[engine=pg]::migrate"])


def ids(tests):
    return [test.test_id for test in tests]


def test_a_tag_keeps_the_tests_that_carry_it():
    assert ids(select([API, DB], tags=["slow"])) == [DB.test_id]


def test_only_matches_tests_and_scenarios_by_glob():
    assert ids(select([API, DB], only=["*::checkout"])) == [API.test_id]
    assert ids(select([API, DB], only=["tests/*"])) == [API.test_id, DB.test_id]


def test_only_takes_the_id_of_a_matrix_combination_as_it_is_printed():
    assert ids(select([API, DB], only=["tests/db.clnrm.toml[engine=pg]"])) == [DB.test_id]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("checkout", [API]),
        ("not checkout", [DB]),
        ("API or migrate", [API, DB]),
        ("fast and slow", []),
        ("not (fast or slow)", []),
        ("not fast or http", [API, DB]),
        ("http and not db", [API]),
    ],
)
def test_words_bind_as_in_python(expression, expected):
    assert select([API, DB], expression=expression) == expected


@pytest.mark.parametrize("expression", ["", "and", "a b", "a and", "(a", "a)", "not", "a not b", "()"])
def test_a_malformed_expression_is_a_usage_error(expression):
    with pytest.raises(UsageError):
        Words(expression)


def test_ten_thousand_parentheses_are_no_problem():
    assert Words("(" * 10_000 + "a" + ")" * 10_000).holds(["xax"])


@pytest.mark.parametrize("text", ["0/3", "4/3", "1/0", "half:1/2", "1", "1/2/3", "-1/2"])
def test_a_malformed_shard_is_a_usage_error(text):
    with pytest.raises(UsageError):
        Shard.parse(text)


@given(
    names=st.lists(st.text(min_size=1), unique=True),
    count=st.integers(1, 7),
    mode=st.sampled_from(["slice", "hash", "time"]),
    durations=st.dictionaries(st.text(min_size=1), st.floats(0, 1e6)),
)
def test_every_test_is_in_exactly_one_shard(names, count, mode, durations):
    known = {name: durations[name] for name in names if name in durations}
    parts = [Shard.parse(f"{mode}:{index}/{count}").take(names, known) for index in range(1, count + 1)]

    assert sorted(name for part in parts for name in part) == sorted(names)


def test_time_shards_balance_recorded_durations():
    durations = {"a": 90.0, "b": 50.0, "c": 40.0, "d": 10.0}

    loads = [
        sum(durations[name] for name in Shard("time", i, 2).take(list(durations), durations)) for i in (1, 2)
    ]

    assert sorted(loads) == [90.0, 100.0]


@given(
    durations=st.dictionaries(st.text(min_size=1), st.floats(1, 1e6), min_size=1, max_size=60),
    unknown=st.sets(st.text(min_size=1), max_size=5),
    count=st.integers(1, 7),
)
def test_no_time_shard_is_longer_than_its_share_and_one_test(durations, unknown, count):
    ids = sorted({*durations, *unknown})
    mean = sum(durations.values()) / len(durations)
    all_of_them = {name: durations.get(name, mean) for name in ids}

    loads = [
        sum(all_of_them[name] for name in Shard("time", index, count).take(ids, durations))
        for index in range(1, count + 1)
    ]

    assert max(loads) <= sum(all_of_them.values()) / count + max(all_of_them.values()) + 1e-6
    assert max(loads) - min(loads) <= max(all_of_them.values()) + 1e-6


@given(names=st.lists(st.text(min_size=1), unique=True, min_size=1), count=st.integers(1, 7))
def test_a_new_test_moves_no_other_one_between_hash_shards(names, count):
    *before, new = names
    for index in range(1, count + 1):
        shard = Shard("hash", index, count)
        assert shard.take(names, {}) - {new} == shard.take(before, {})

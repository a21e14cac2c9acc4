"""Every spelling of a file means one canonical model; nothing asked for gets lost on the way."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from clnrm_nb.scenario import build, parse
from clnrm_nb.scenario.model import AttributeCheck, Bound, NamePattern
from clnrm_nb.template import TemplateRequest, render

BASE = '[meta]\nname = "t"\nversion = "1"\n[[steps]]\nname = "s"\ncommand = "true"\n'


def _build(text, matrix=None):
    request = TemplateRequest(
        path=Path("a.clnrm.toml"), file="a.clnrm.toml", project_root=Path(), text=text, no_template=True
    )
    test, diagnostics = build(parse(render(request)), file="a.clnrm.toml", matrix=matrix or {})
    assert test is not None, [str(finding) for finding in diagnostics]
    return test


def _of(text):
    return _build(BASE + textwrap.dedent(text))


# ---------------------------------------------------------------------------------- services, commands


@pytest.mark.parametrize(
    ("plugin", "image", "port", "http"),
    [
        ("surrealdb", "surrealdb/surrealdb:v2", 8_000, None),
        ("otel_collector", "otel/opentelemetry-collector:latest", 4_318, None),
        ("ollama", "ollama/ollama:latest", None, (11_434, "/")),
        ("vllm", "vllm/vllm-openai:latest", None, (8_000, "/health")),
        ("tgi", "ghcr.io/huggingface/text-generation-inference:latest", None, (80, "/health")),
    ],
)
def test_a_plugin_brings_its_image_and_its_probe(plugin, image, port, http):
    service = _of(f'[services.a]\nplugin = "{plugin}"\n').services["a"]

    assert (service.image, service.ready_port, service.ready_http) == (image, port, http)


def test_a_given_image_and_args_win_over_the_preset():
    service = _of('[services.a]\nplugin = "surrealdb"\nimage = "mine"\nargs = ["x"]\n').services["a"]

    assert (service.image, service.args) == ("mine", ("x",))


def test_surrealdb_is_started_with_its_user_and_password():
    preset, own = (
        _of(f'[services.a]\nplugin = "surrealdb"\n{keys}\n').services["a"].args
        for keys in ("", 'username = "u"\npassword = "p"\nstrict = true')
    )

    assert preset == ("start", "--user", "root", "--pass", "root")
    assert own == ("start", "--user", "u", "--pass", "p", "--strict")


def test_an_unknown_plugin_with_an_image_is_a_generic_container():
    assert _of('[services.a]\nplugin = "node"\nimage = "x"\n').services["a"].plugin == "generic_container"


ONE = '[services.a]\nimage = "x"\n'
TWO = ONE + '[services.b]\nimage = "x"\n'


@pytest.mark.parametrize(
    ("services", "keys", "where"),
    [
        ("", "", None),
        (ONE, "", "a"),
        (TWO, "", None),
        (TWO, 'service = "b"\n', "b"),
        ('[services.net]\nplugin = "network_service"\nendpoint = "h:1"\n', "", None),
        ('[services.net]\nplugin = "network_service"\nendpoint = "h:1"\n' + ONE, "", "a"),
    ],
)
def test_a_step_runs_in_its_service_or_in_the_only_one(services, keys, where):
    test = _of(f'{services}[[steps]]\nname = "n"\ncommand = "a"\n{keys}')

    assert test.steps[1].service == where


def test_commands_of_a_scenario_inherit_its_service():
    (scenario,) = _of(
        TWO
        + """
        [[scenario]]
        name = "x"
        service = "b"
        run = [
          { command = "one" },
          { command = "two", service = "a", name = "named", timeout_ms = 1500 },
        ]
        steps = [{ name = "n", command = "three" }]
        """
    ).scenarios

    assert [(step.name, step.command, step.service) for step in (*scenario.run, *scenario.steps)] == [
        ("run-1", ("one",), "b"),
        ("named", ("two",), "a"),
        ("n", ("three",), "b"),
    ]
    assert scenario.run[1].timeout_s == 1.5


def test_a_run_of_one_command_is_one_step():
    scenarios = _of(
        '[[scenario]]\nname = "x"\nrun = "a | b"\n[[scenario]]\nname = "y"\nrun = ["a", "|"]\n'
    ).scenarios

    assert [scenario.run[0].command for scenario in scenarios] == [("sh", "-c", "a | b"), ("a", "|")]


@pytest.mark.parametrize(
    ("keys", "attempts", "delay_s"),
    [
        ("", 1, 0),
        ("retry_on_failure = true", 4, 0),
        ("retry_on_failure = true\nmax_retries = 1", 2, 0),
        ("max_retries = 5", 1, 0),
        ('retry = { max_attempts = 3, delay = "2s" }', 3, 2),
    ],
)
def test_retries_are_attempts_in_all(keys, attempts, delay_s):
    retry = _of(f'[[steps]]\nname = "n"\ncommand = "a"\n{keys}\n').steps[1].retry

    assert (retry.max_attempts, retry.delay_s) == (attempts, delay_s)


def test_parallel_services_run_commands_at_once_without_overlapping_neighbours():
    (scenario,) = _of(ONE + '[[scenario]]\nname = "x"\nrun = "a"\nparallel_services = ["a"]\n').scenarios

    assert (scenario.runs_commands_at_once, scenario.concurrent) == (True, False)


# ---------------------------------------------------------------------------------------- expectations


def test_attribute_operators_are_kept():
    (span,) = _of(
        """
        [[expect.span]]
        name = "a"
        attrs.all = { status = { gte = 200, lt = 300 }, tags = ["x", 1], n = { in = [1, 2] } }
        """
    ).expect.spans

    assert span.attrs_all == (
        AttributeCheck(key="status", gte=200, lt=300),
        AttributeCheck(key="tags", eq=("x", 1)),
        AttributeCheck(key="n", is_in=(1, 2)),
    )


@pytest.mark.parametrize(
    ("written", "pattern"),
    [
        ('"GET /a"', NamePattern(text="GET /a")),
        ('"GET *"', NamePattern(text="GET *", mode="glob")),
        ('{ exact = "GET *" }', NamePattern(text="GET *")),
        ('{ regex = "^GET" }', NamePattern(text="^GET", mode="regex")),
    ],
)
def test_a_name_is_exact_a_glob_or_a_regex(written, pattern):
    (span,) = _of(f"[[expect.span]]\nname = {written}\n").expect.spans

    assert span.name == pattern


def test_expectations_without_an_evaluator_are_reported_as_not_evaluated():
    expect = _of(
        """
        [expect.chaos]
        x = 1
        [expect.hermeticity]
        allowed_env_vars = ["A"]
        [otel_validation]
        validate_spans = true
        tree_structure = true
        temporal_constraints = []
        [assertions]
        all_good = true
        container_should_have_executed_commands = 1
        execution_should_be_hermetic = false
        """
    ).expect

    assert {entry.id for entry in expect.not_evaluated} == {
        "chaos",
        "hermeticity.allowed_env_vars",
        "otel_validation.tree_structure",
        "otel_validation.temporal_constraints",
        "assertions.all_good",
    }
    assert [entry.key for entry in expect.assertions] == ["container_should_have_executed_commands"]


def test_a_disabled_otel_validation_asks_for_nothing():
    expect = _of(
        '[otel_validation]\nenabled = false\n[[otel_validation.expected_spans]]\nname = "a"\n'
    ).expect

    assert expect == _of("").expect


def test_allowed_hosts_of_services_count_for_hermeticity():
    test = _of(
        """
        [services.a]
        image = "x"
        network.allowed_hosts = ["out"]
        [expect.hermeticity]
        allow_hosts = ["in"]
        [[scenario]]
        name = "x"
        run = "a"
        expect.hermeticity = { no_external_services = true }
        """
    )

    assert test.expect.hermeticity[0].allow_hosts == ("in", "out")
    assert test.scenarios[0].expect.hermeticity[0].allow_hosts == ("out",)


def test_an_expected_trace_keeps_all_it_asks_for():
    (trace,) = _of(
        '[[otel_validation.expected_traces]]\nspan_names = ["a", "b"]\nparent_child = [["a", "b"]]\n'
        "complete = true\nis_tree = true\nordered = true\ntrace_count = 2\n"
    ).expect.traces

    assert (trace.span_names, trace.complete, trace.is_tree, trace.ordered) == (("a", "b"), True, True, True)
    assert trace.parent_child == ((NamePattern(text="a"), NamePattern(text="b")),)
    assert trace.trace_count == Bound(eq=2)


def test_a_block_knows_where_its_keys_are_written():
    test = _of('[expect.graph]\nedges = [["a", "b"]]\nacyclic = true\n[expect.status]\nerror_count = 0\n')

    (graph,), (counts,) = test.expect.graph, test.expect.counts

    assert graph.path_of("must_include", 0) == ("expect", "graph", "edges", 0)
    assert graph.path_of("acyclic") == ("expect", "graph", "acyclic")
    assert counts.path_of("errors_total") == ("expect", "status", "error_count")


# ---------------------------------------------------------------------------------------- other tables


def test_the_matrix_combination_is_part_of_the_test():
    assert _build(BASE, {"db": "redis"}).matrix == {"db": "redis"}


def test_the_remaining_tables_are_read():
    test = _of(
        """
        [limits]
        memory_mb = 64
        max_duration_seconds = 1.5
        [secrets]
        env = ["TOKEN"]
        [report]
        json = "r.json"
        digest = { path = "d" }
        [cleanup]
        containers = "never"
        verify_cleanup = true
        [determinism]
        seed = 7
        freeze_clock = 2025-01-01T00:00:00Z
        [[tolerance]]
        id = "r"
        reason = "x"
        select = { span = "GET *" }
        count = "1..3"
        """
    )

    assert (test.limits.memory_mb, test.limits.max_duration_s) == (64, 1.5)
    assert test.secrets.env == ("TOKEN",)
    assert (test.report.json_path, test.report.digest) == ("r.json", "d")
    assert (test.cleanup.containers, test.cleanup.verify_cleanup) == ("never", True)
    assert (test.determinism.seed, test.determinism.freeze_clock) == (7, "2025-01-01T00:00:00Z")
    assert [rule["id"] for rule in test.tolerance] == ["r"]

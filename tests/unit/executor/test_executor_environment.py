from __future__ import annotations

import pytest

from clnrm_nb.executor.environment import (
    Telemetry,
    combined,
    injected,
    is_exporter_variable,
    read_secrets,
)
from clnrm_nb.scenario.model import Determinism, Otel, Secrets

TELEMETRY = Telemetry("http://10.0.0.1:4318/tok", "tok", "00-aa-bb-01", "checkout")


@pytest.fixture
def env_of(a_test, plan_for):
    def make(service="api", telemetry=TELEMETRY, **fields):
        return injected(plan_for(a_test(**fields)), telemetry, service)

    return make


def test_everything_a_program_needs_to_send_its_spans_is_injected(env_of):
    env = env_of()

    assert env == {
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://10.0.0.1:4318/tok",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_EXPORTER_OTLP_HEADERS": "x-clnrm-token=tok",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "OTEL_BSP_EXPORT_TIMEOUT": "5000",
        "OTEL_RESOURCE_ATTRIBUTES": "clnrm.test.id=a.clnrm.toml,clnrm.scenario=checkout",
        "OTEL_SERVICE_NAME": "api",
        "OTEL_PROPAGATORS": "tracecontext,baggage",
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": "1.0",
        "TRACEPARENT": "00-aa-bb-01",
    }


@pytest.mark.parametrize(
    ("exporter", "word"),
    [
        ("otlp-http", "otlp"),
        ("stdout", "console"),
        ("stdout-ndjson", "console"),
        ("none", "none"),
        ("zipkin", "none"),
    ],
)
def test_the_exporter_word_follows_the_file(env_of, exporter, word):
    assert env_of(otel=Otel(exporter=exporter))["OTEL_TRACES_EXPORTER"] == word


@pytest.mark.parametrize(
    ("otel", "protocol"),
    [
        (Otel(protocol="grpc"), "grpc"),
        (Otel(exporter="otlp-grpc"), "grpc"),
        (Otel(exporter="otlp-http", protocol="grpc"), "http/protobuf"),
        (Otel(protocol="http/json"), "http/json"),
    ],
)
def test_the_protocol_is_what_the_exporter_is_called_else_the_files(env_of, otel, protocol):
    assert env_of(otel=otel)["OTEL_EXPORTER_OTLP_PROTOCOL"] == protocol


def test_resource_attributes_are_percent_encoded(env_of):
    env = env_of(otel=Otel(resources={"team": "a=b,c"}))

    assert env["OTEL_RESOURCE_ATTRIBUTES"].startswith("team=a%3Db%2Cc,clnrm.test.id=")


def test_a_service_name_among_the_resources_is_not_overridden(env_of):
    assert "OTEL_SERVICE_NAME" not in env_of(otel=Otel(resources={"service.name": "mine"}))


def test_a_frozen_clock_is_told_in_both_forms(env_of):
    env = env_of(determinism=Determinism(seed=7, freeze_clock="2025-01-01T00:00:00Z"))

    assert (env["CLNRM_SEED"], env["CLNRM_FREEZE_CLOCK"]) == ("7", "2025-01-01T00:00:00Z")
    assert env["SOURCE_DATE_EPOCH"] == "1735689600"


def test_services_are_told_no_scenario(env_of):
    env = env_of(telemetry=Telemetry("http://h/t", "t", "00-aa-bb-01"))

    assert "clnrm.scenario" not in env["OTEL_RESOURCE_ATTRIBUTES"]


def test_the_file_wins_except_where_spans_go():
    given_env = {"OTEL_EXPORTER_OTLP_ENDPOINT": "ours", "OTEL_TRACES_EXPORTER": "otlp", "CLNRM_SEED": "1"}
    service = {
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "theirs",
        "OTEL_TRACES_EXPORTER": "zipkin",
        "CLNRM_SEED": "2",
    }

    env = combined(given_env, service, {"CLNRM_SEED": "3"}, secrets={"TOKEN": "x"})

    assert env == {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "ours",
        "OTEL_TRACES_EXPORTER": "otlp",
        "CLNRM_SEED": "3",
        "TOKEN": "x",
    }


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("OTEL_TRACES_EXPORTER", True),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", True),
        ("OTEL_SERVICE_NAME", False),
        ("OTEL_METRICS_EXPORTER", False),
    ],
)
def test_exporter_variables_are_known(name, is_one):
    assert is_exporter_variable(name) is is_one


def test_a_secret_that_is_not_set_is_a_finding_each(a_test, plan_for):
    plan = plan_for(a_test(secrets=Secrets(env=("A", "B", "C"))))

    secrets, findings = read_secrets(plan, {"B": ""})

    assert secrets == {"B": ""}
    assert [(finding.code, finding.severity) for finding in findings] == [("CLN106", "error")] * 2


def test_a_secret_too_short_to_be_masked_is_said_to_be_shown(a_test, plan_for):
    plan = plan_for(a_test(secrets=Secrets(env=("PIN", "EMPTY", "LONG"))))

    secrets, findings = read_secrets(plan, {"PIN": "123", "EMPTY": "", "LONG": "1234"})

    assert secrets["PIN"] == "123"
    assert [(finding.code, finding.severity) for finding in findings] == [("CLN413", "warning")]
    assert "`PIN` is not masked" in findings[0].message
    assert "123" not in str(findings[0])

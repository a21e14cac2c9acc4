from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from clnrm_nb import api
from clnrm_nb.errors import ClnrmError, UsageError, ValidationFailedError
from clnrm_nb.report.render import render_report
from clnrm_nb.schemas import schema
from clnrm_nb.spans.loaders import write_otlp_json
from clnrm_nb.spans.model import Event, Resource, Scope, Span
from clnrm_nb.spans.table import SpanTable

MANIFEST = """
[system]
name = "shop"

[dimensions.api_surface]
endpoints = ["POST /orders", "GET /orders/*", "DELETE /orders"]

[[dimensions.state_transitions.entities]]
name = "Order"
states = ["new", "paid", "sent"]
[[dimensions.state_transitions.entities.transitions]]
from = "new"
to = "paid"
[[dimensions.state_transitions.entities.transitions]]
from = "paid"
to = "sent"

[[dimensions.error_scenarios.scenarios]]
name = "card_refused"
[[dimensions.error_scenarios.scenarios]]
name = "out_of_stock"

[[dimensions.data_flows.flows]]
name = "checkout"
steps = ["reserve lines", "price order"]
[[dimensions.data_flows.flows]]
name = "backwards"
steps = ["price order", "reserve lines"]

[[dimensions.integrations.services]]
name = "redis"
operations = ["get", "del"]

[dimensions.span_coverage]
expected_spans = ["reserve *", "clnrm.run", "nothing"]
"""
SHOP = Resource({"service.name": "shop"})


def span(number: int, name: str, **more) -> Span:
    return Span("1" * 32, f"{number:016x}", name, start_ns=number, end_ns=number + 1, resource=SHOP, **more)


SPANS = [
    span(1, "POST", attributes={"http.request.method": "POST", "http.route": "/orders"}),
    span(2, "GET /orders/7"),
    span(3, "reserve lines"),
    span(
        4, "price order", events=(Event("state changed", 4, {"entity": "order", "was": "new", "is": "paid"}),)
    ),
    span(5, "charge", status_code="error", attributes={"error.type": "card-refused"}),
    span(6, "warehouse", attributes={"reason": "out_of_stock"}),
    span(7, "GET", attributes={"db.system.name": "redis"}),
    span(8, "clnrm.run", scope=Scope("clnrm_nb"), own=True),
]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "shop.clnrm.toml").write_text(MANIFEST)
    (tmp_path / "trace.json").write_bytes(write_otlp_json(SpanTable(SPANS)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def covered(report) -> dict[str, bool]:
    return {row["behaviour"]: row["covered"] for row in report.frame.to_dict("records")}


def test_each_dimension_finds_its_own_kind_of_evidence(project):
    report = api.coverage("shop.clnrm.toml", traces="trace.json")

    assert covered(report) == {
        "POST /orders": True,
        "GET /orders/*": True,
        "DELETE /orders": False,
        "Order: new → paid": True,
        "Order: paid → sent": False,
        "card_refused": True,
        "out_of_stock": False,
        "checkout": True,
        "backwards": False,
        "redis: get": True,
        "redis: del": False,
        "reserve *": True,
        "clnrm.run": True,
        "nothing": False,
    }
    assert report.exit_code == 0


def test_the_total_is_the_weighted_mean_of_the_shares(project):
    report = api.coverage("shop.clnrm.toml", traces="trace.json")

    expected = 0.2 * 2 / 3 + 0.2 / 2 + 0.15 / 2 + 0.2 / 2 + 0.15 / 2 + 0.1 * 2 / 3
    assert report.raw["summary"]["percent"] == pytest.approx(100 * expected, abs=0.1)
    assert (report.raw["summary"]["reached"], report.raw["summary"]["total"]) == (8, 14)


def test_weights_of_the_manifest_count_and_missing_dimensions_do_not(project):
    (project / "m.toml").write_text(
        '[system]\nname = "s"\n[weights]\napi_surface = 0.25\nspan_coverage = 0.75\n'
        '[dimensions.api_surface]\nendpoints = ["GET *"]\n[dimensions.span_coverage]\nexpected_spans = ["no"]\n'
    )

    report = api.coverage("m.toml", traces="trace.json")

    assert report.raw["summary"]["percent"] == 25.0


def test_without_a_span_nothing_is_covered_and_the_exit_says_so(project):
    report = api.coverage("shop.clnrm.toml")

    assert (report.exit_code, report.raw["summary"]["percent"]) == (1, 0.0)
    assert [one["code"] for one in report.raw["diagnostics"]] == ["CLN607"]
    assert not any(covered(report).values())


def test_own_spans_alone_cover_nothing(project):
    (project / "own.json").write_bytes(write_otlp_json(SpanTable([SPANS[-1]])))

    report = api.coverage("shop.clnrm.toml", traces="own.json")

    assert (report.exit_code, report.raw["summary"]["reached"]) == (1, 0)


def test_a_manifest_that_lists_nothing_is_never_complete(project):
    (project / "m.toml").write_text('[system]\nname = "s"\n[dimensions.api_surface]\nendpoints = []\n')

    report = api.coverage("m.toml", traces="trace.json")

    assert report.raw["summary"]["percent"] == 0.0
    assert "nothing listed" in render_report(report)


def test_a_mistyped_only_dimension_is_no_manifest_of_nothing(project):
    (project / "m.toml").write_text('[system]\nname = "s"\n[dimensions.api_surfac]\nendpoints = ["x"]\n')

    with pytest.raises(ValidationFailedError) as caught:
        api.coverage("m.toml", traces="trace.json")

    assert [one.code for one in caught.value.diagnostics] == ["CLN304", "CLN301"]
    assert "did you mean `api_surface`?" in caught.value.diagnostics[1].message


def test_a_recording_is_a_trace_to_coverage_spans_and_graph(project):
    recording = str(resources.files("clnrm_nb.examples") / "quickstart" / "recording.json")

    report = api.coverage("shop.clnrm.toml", traces=recording)

    assert report.raw["data"]["spans"] == 18
    assert len(api.load_trace(recording)) == 26


def test_stored_runs_are_the_default(project):
    example = Path(api.__file__).parent.parent / "examples" / "quickstart"
    for file in ("quickstart.clnrm.toml.tera", "recording.json"):
        (project / file).write_bytes((example / file).read_bytes())
    api.run("quickstart.clnrm.toml.tera", replay="recording.json", allow_not_evaluated=True)

    report = api.coverage("shop.clnrm.toml")

    assert report.raw["data"]["traces"] == ["quickstart.clnrm.toml.tera"]
    assert covered(report)["checkout"]


def test_unknown_keys_and_wrong_values_are_named_at_their_place(project):
    (project / "m.toml").write_text(
        '[system]\nname = "s"\n[dimensions.api_surfac]\nendpoints = []\n'
        "[dimensions.span_coverage]\nexpected_span = []\nexpected_spans = [1]\n"
    )

    with pytest.raises(ValidationFailedError) as caught:
        api.coverage("m.toml", traces="trace.json")

    assert [(one.code, one.line, one.column) for one in caught.value.diagnostics] == [
        *(("CLN301", 3, 13), ("CLN301", 6, 1), ("CLN303", 7, 19))
    ]
    (project / "m.toml").write_text(
        '[system]\nname = "s"\n[dimensions.api_surfac]\n[dimensions.span_coverage]\nexpected_span = []\n'
    )
    report = api.coverage("m.toml", traces="trace.json")
    assert [(one["code"], one["line"], one["message"]) for one in report.raw["diagnostics"]] == [
        ("CLN301", 3, "unknown key `api_surfac`; did you mean `api_surface`?"),
        ("CLN301", 5, "unknown key `expected_span`; did you mean `expected_spans`?"),
    ]


@pytest.mark.parametrize(
    ("weights", "code"),
    [("api_surface = 0.5", "CLN307"), ("api_surface = 2", "CLN307"), ('api_surface = "x"', "CLN303")],
)
def test_weights_that_cannot_be_are_refused(project, weights, code):
    (project / "m.toml").write_text(
        f'[system]\nname = "s"\n[weights]\n{weights}\n[dimensions.api_surface]\nendpoints = ["x"]\n'
    )

    with pytest.raises(ValidationFailedError) as caught:
        api.coverage("m.toml", traces="trace.json")

    assert caught.value.code == code


def test_a_file_that_is_no_manifest_is_refused(project):
    (project / "t.toml").write_text('[meta]\nname = "x"\nversion = "1"\n')

    with pytest.raises(UsageError, match="not a coverage manifest"):
        api.coverage("t.toml", traces="trace.json")
    with pytest.raises(ClnrmError) as caught:
        api.coverage("missing.toml", traces="trace.json")
    assert (caught.value.code, caught.value.exit_code) == ("CLN001", 2)
    with pytest.raises(ClnrmError) as caught:
        api.coverage("shop.clnrm.toml", traces="t.toml")
    assert (caught.value.code, caught.value.exit_code) == ("CLN607", 1)


def test_the_report_has_every_form(project):
    report = api.coverage("shop.clnrm.toml", traces="trace.json")

    human, page = render_report(report), render_report(report, "html")
    Draft202012Validator(schema("report")).validate(json.loads(render_report(report, "json")))
    assert "card_refused" not in human
    assert "card_refused" in render_report(report, verbose=True)
    assert "not seen" not in human
    assert "shop: 55 % covered, 8 of 14 behaviours reached by 7 spans" in human
    assert "Order: paid → sent" in page
    assert "<script" not in page


def test_steps_of_a_flow_that_were_not_seen_are_named(project):
    (project / "m.toml").write_text(
        '[system]\nname = "s"\n[[dimensions.data_flows.flows]]\nname = "f"\nsteps = ["price order", "ship", "bill"]\n'
    )

    report = api.coverage("m.toml", traces="trace.json")

    assert "not seen: ship, bill" in render_report(report)


def test_the_public_manifest_is_read_without_a_finding(corpus, project):
    report = api.coverage(corpus / "scenarios" / "examples__behaviors.clnrm.toml", traces="trace.json")

    assert report.raw["diagnostics"] == []
    assert report.raw["summary"]["total"] == 106

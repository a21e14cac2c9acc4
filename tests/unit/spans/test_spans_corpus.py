"""Real trace files of other projects: the loaders' counts against those of the corpus."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

from clnrm_nb.errors import ClnrmError
from clnrm_nb.spans.canonical import trace_digest
from clnrm_nb.spans.loaders import load, write_otlp_json

CORPUS = Path(os.environ.get("CLNRM_CORPUS") or Path(__file__).parents[4] / "shared" / "corpus") / "traces"
MANIFEST = CORPUS / "manifest.csv"

pytestmark = pytest.mark.skipif(
    not MANIFEST.is_file(), reason="no trace corpus; point CLNRM_CORPUS at the folder that holds traces/"
)

# The corpus counts a parent in another trace as missing; ours is found by its unique span id.
ADOPTED = {"robotframework-trace-report/malformed_trace.json": {"orphans": 0}}


def rows(*formats):
    if not MANIFEST.is_file():
        return []
    with MANIFEST.open() as file:
        return [
            pytest.param(row, id=row["file"])
            for row in csv.DictReader(file)
            if row["format"].startswith(formats)
        ]


@pytest.mark.parametrize("row", rows(""))
def test_counts_of_every_file_are_those_of_the_manifest(row):
    if row["spans"] == "0":
        with pytest.raises(ClnrmError, match="SigNoz about something else than spans"):
            load(CORPUS / row["file"])
        return

    table, report = load(CORPUS / row["file"])

    counted = {key: int(row[key]) for key in ("entries", "spans", "traces", "roots", "orphans", "skipped")}
    assert {key: getattr(report, key) for key in counted} == counted | ADOPTED.get(row["file"], {})
    assert sum(map(len, table.events)) == int(row["events"])
    assert len({resource.service for resource in table.resource}) == int(row["services"])


@pytest.mark.parametrize("row", [row for row in rows("") if row.values[0]["spans"] != "0"])
def test_every_file_survives_being_written(row):
    table, _ = load(CORPUS / row["file"])

    again, _ = load(write_otlp_json(table))

    assert trace_digest(again) == trace_digest(table)
    assert write_otlp_json(again) == write_otlp_json(table)


def test_one_span_in_json_and_in_protobuf_has_one_digest():
    as_json, _ = load(CORPUS / "opentelemetry-proto" / "trace.json")
    as_protobuf, _ = load(CORPUS / "opentelemetry-proto" / "trace.protobuf-bin")

    assert (as_json.name, as_json.trace_id) == (as_protobuf.name, as_protobuf.trace_id)
    assert as_json.resource[0].service == as_protobuf.resource[0].service

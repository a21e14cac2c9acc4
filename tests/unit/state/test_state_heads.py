"""Rows of cached tests name the record of the run they come from, and say what is their own."""

import json
import zlib

import pytest

from clnrm_nb.executor.outcome import TestOutcome
from clnrm_nb.executor.stored import outcome_from
from clnrm_nb.state.heads import pack, pack_head, unpack

RAN = TestOutcome("a.clnrm.toml", "a", duration_ms=7.0, hash="h").to_json()
CACHED = {**RAN, "status": "cached", "stored_status": "passed", "cached": True, "reason": "unchanged"}


def test_a_whole_document_comes_back_whole():
    assert unpack(pack(RAN), {}.get) == RAN


def test_a_head_is_completed_from_its_record():
    stored = {**RAN, "scenarios": [{"name": "s"}], "timings_ms": {"open": 1.0}}
    record = zlib.compress(json.dumps({"outcome": stored}).encode())

    found = unpack(pack_head(CACHED, "sha256:1"), {"sha256:1": record}.get)

    assert found == {**CACHED, "scenarios": [{"name": "s"}], "timings_ms": {"open": 1.0}}


def test_findings_of_the_file_are_those_of_the_run_that_was_not():
    finding = {"code": "CLN505"}

    found = unpack(pack_head({**CACHED, "diagnostics": [finding]}, "sha256:1"), {}.get)

    assert found["diagnostics"] == [finding]


def test_where_the_record_is_gone_the_rest_is_empty_and_can_still_be_read():
    found = unpack(pack_head(CACHED, "sha256:1"), {}.get)

    assert (found["status"], found["stored_status"], found["duration_ms"]) == ("cached", "passed", 7.0)
    assert outcome_from(found).scenarios == []


@pytest.mark.parametrize("damaged", [b"{", b"{}", b"x"])
def test_what_is_damaged_is_an_error_the_store_knows(damaged):
    with pytest.raises((ValueError, KeyError, zlib.error)):
        unpack(damaged, {}.get)

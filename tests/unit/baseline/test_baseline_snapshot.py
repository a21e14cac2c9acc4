"""``.clnrm/baseline.json``: written, read back, and what is said when it is not what it was."""

import hashlib
import json

import pytest

from clnrm_nb.baseline.snapshot import RecordedResult, Snapshot
from clnrm_nb.errors import ClnrmError, UsageError

SNAPSHOT = Snapshot(
    timestamp="2025-01-01T00:00:00.000Z",
    version="0.1.0",
    test_results=(RecordedResult("a.clnrm.toml[db=é]", True, 12.5, "a.clnrm.toml"),),
    spans_file=".clnrm/recording.json",
    trace_digest="sha256:ab",
    seed=7,
    freeze_clock="2025-01-01T00:00:00Z",
    vars={"port": 8080, "name": "x"},
)


def test_what_is_written_is_read_back():
    assert Snapshot.parse(SNAPSHOT.to_bytes(), "b.json") == SNAPSHOT


def test_the_digest_is_that_of_the_documented_canonical_json():
    document = json.loads(SNAPSHOT.to_bytes())
    covered = {key: document[key] for key in ("test_results", "timestamp", "version")}
    text = json.dumps(covered, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    assert document["digest"] == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("key", "value"), [("timestamp", "2026"), ("version", "9"), ("test_results", []), ("digest", "0" * 64)]
)
def test_a_changed_file_is_told_from_its_digest(key, value):
    document = {**json.loads(SNAPSHOT.to_bytes()), key: value}

    with pytest.raises(ClnrmError, match=r"digest in `b\.json` differs from its content") as refused:
        Snapshot.parse(json.dumps(document).encode(), "b.json")

    assert (refused.value.code, refused.value.exit_code) == ("CLN702", 2)


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe", b"[1]", b"3", b'{"format": "clnrm-recording/1"}', b'{"timestamp": 1, "version": 1, "test_results": 3, "digest": 1}'],
)  # fmt: skip
def test_another_file_is_called_what_it_is_not(content):
    with pytest.raises(UsageError, match=r"`b\.json` is not what `clnrm record` writes"):
        Snapshot.parse(content, "b.json")

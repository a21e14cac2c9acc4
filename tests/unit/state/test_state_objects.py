from __future__ import annotations

import hashlib
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clnrm_nb.config.writing import write_atomically
from clnrm_nb.state import ObjectStore


@pytest.fixture
def damage():
    return []


@pytest.fixture
def store(tmp_path, damage):
    return ObjectStore(tmp_path / "objects", damage.append)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200))
def test_what_is_put_is_got_by_its_digest(store, content):
    digest = store.put(content)

    assert digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert store.get(digest) == content


def test_an_object_lies_under_the_first_two_digits(store):
    digest = store.put(b"abc")

    name = digest.removeprefix("sha256:")
    assert store.path(digest) == store.root / name[:2] / name[2:]
    assert list(store.digests()) == [digest]


def test_a_missing_object_is_none(store):
    assert store.get("sha256:" + "0" * 64) is None


@pytest.mark.parametrize("text", ["", "sha256:xyz", "0" * 64, "sha256:" + "0" * 63, "sha256:../" + "0" * 61])
def test_what_is_no_digest_is_refused(store, text):
    with pytest.raises(ValueError, match="not a sha256 digest"):
        store.get(text)


def test_a_damaged_object_is_set_aside_and_counts_as_missing(store, damage):
    digest = store.put(b"right")
    store.path(digest).write_bytes(b"wrong")

    assert store.get(digest) is None

    assert not store.path(digest).exists()
    assert [file.read_bytes() for file in (store.root / "quarantine").iterdir()] == [b"wrong"]
    assert digest in damage[0]
    assert list(store.digests()) == []


def test_putting_the_content_again_heals_a_damaged_object(store):
    digest = store.put(b"right")
    store.path(digest).write_bytes(b"wrong")

    assert store.put(b"right") == digest

    assert store.get(digest) == b"right"


def test_putting_the_content_again_makes_the_object_young(store):
    digest = store.put(b"content")
    os.utime(store.path(digest), (1, 1))

    store.put(b"content")

    assert store.path(digest).stat().st_mtime > 1


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, b"old")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))

    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")

    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
